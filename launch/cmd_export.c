#include "launch/cmd_export.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/export/gguf_model.h"
#include "common/export/onnx_model.h"
#include "common/model/model_folder.h"
#include "launch/command.h"
#include "launch/merged_model.h"

#include <stdlib.h>
#include <string.h>

typedef struct ExportArguments {
    const char *model, *format, *type;
    bool other_base;
    OnnxOptions onnx;
} ExportArguments;

/* A way out. */
typedef struct ExportFormat {
    const char *name;
    bool (*write)(MergedModel *m, const ExportArguments *a, const char *out, Err *err);
} ExportFormat;

/* The name of what is exported: of its folder. Owned. */
static char *name_of(const MergedModel *m, const char *out)
{
    (void)m;
    const char *name = path_name(out), *dot = strrchr(name, '.');
    return xstrndup(name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

/* An option that would be passed over. */
static bool no_sense(const char *option, const char *why, Err *err)
{
    err_set(err, ERR_INPUT, "it has no sense %s", why);
    return err_at(err, "--%s", option);
}

static bool gguf_of(const ExportArguments *a, const char *out, GgufType *type, Err *err)
{
    *type = GGUF_F32;
    if (a->onnx.no_cache || a->onnx.external)
        return no_sense(a->onnx.no_cache ? "no-cache" : "external", "in a GGUF file: it is of --format=onnx", err);
    if (file_exists(out)) {
        err_set(err, ERR_INPUT, "'%s' is there already", out);
        return err_hint(err, "name a file that is not there yet");
    }
    return !a->type || gguf_type(a->type, type, err) || err_at(err, "--type");
}

static bool write_gguf(MergedModel *m, const ExportArguments *a, const char *out, Err *err)
{
    GgufType type;
    char *name = name_of(m, out);
    const bool ok = gguf_of(a, out, &type, err) && gguf_model_write(out, &m->merged, &m->saved, type, name, err);
    free(name);
    return ok;
}

static bool write_gguf_lora(MergedModel *m, const ExportArguments *a, const char *out, Err *err)
{
    GgufType type;
    char *name = name_of(m, out);
    const bool ok = gguf_of(a, out, &type, err) && gguf_lora_write(out, &m->merged, &m->saved, type, name, err);
    free(name);
    return ok;
}

static bool write_onnx(MergedModel *m, const ExportArguments *a, const char *out, Err *err)
{
    if (a->type) {
        err_set(err, ERR_INPUT, "weights of ONNX are f32 here");
        err_hint(err, "onnxruntime.quantization and onnxruntime.transformers.float16 make other types of it");
        return err_at(err, "--type");
    }
    if (a->onnx.no_cache && !m->saved.arch->head.task->speaks)
        return no_sense("no-cache", "with a classifier, whose graph has no cache", err);
    char *begun = folder_begin(out, err);
    if (!begun)
        return false;
    if (onnx_model_write(begun, &m->merged, &m->saved, &a->onnx, err) && model_folder_files(begun, &m->saved, err))
        return folder_commit(begun, out, err);
    folder_abandon(begun);
    return false;
}

static const ExportFormat formats[] = { { "onnx", write_onnx },
                                        { "gguf", write_gguf },
                                        { "gguf-lora", write_gguf_lora } };

static const ExportFormat *find_format(const char *name, Err *err)
{
    Text names = { 0 };
    for (size_t i = 0; i < LENGTH(formats); i++) {
        if (name && strcmp(formats[i].name, name) == 0) {
            text_release(&names);
            return &formats[i];
        }
        text_addf(&names, "%s%s", i ? ", " : "", formats[i].name);
    }
    if (name)
        err_set(err, ERR_INPUT, "'%s' is no format here", name);
    else
        err_set(err, ERR_INPUT, "no --format");
    err_hint(err, "--format=%s", names.data);
    text_release(&names);
    return NULL;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    const ExportArguments *a = self;
    const MergedOptions o = { .adapter = given->positionals[0],
                              .model = a->model,
                              .whole = true,
                              .other_base = a->other_base,
                              .dtype = DTYPE_F32,
                              .given = given };
    const char *out = given->positionals[1];
    const ExportFormat *format = find_format(a->format, err);
    MergedModel m = { 0 };
    Text told = { 0 };
    const bool ok = format && merged_model_open(&m, &o, err) && format->write(&m, a, out, err);
    if (ok) {
        merged_model_tell(&m, &told);
        printf("%s%s: %s\n", told.data ? told.data : "", out, format->name);
    }
    text_release(&told);
    merged_model_release(&m);
    return ok;
}

int cmd_export(int argc, char **argv)
{
    ExportArguments a = { 0 };
    bool help = false;
    const Option own[] = {
        { "format", "FORMAT",
          "onnx (a folder, for onnxruntime and Optimum), gguf (a file, for llama.cpp), gguf-lora (the adapter alone, for it)",
          &a.format, NULL },
        { "type", "TYPE", "of a GGUF file's numbers: f32 (default), f16; of a whole model also bf16, q8_0", &a.type,
          NULL },
        { "no-cache", NULL, "onnx, of a language model: without keys and values of before", NULL, &a.onnx.no_cache },
        { "external", NULL, "onnx: weights in a file of their own, also below 1.5 GB", NULL, &a.onnx.external },
        { "model", "DIR", "the base model; default: the one the adapter names", &a.model, NULL },
        { "other_base", NULL, "take the base though the adapter was trained on another", NULL, &a.other_base },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora export",
                                "ADAPTER|MODEL OUT",
                                "the model with its adapter in the form of another runtime; what that computes "
                                "otherwise is refused",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    return command_main(&(Command){ &table, &help, 2, 2, run, &a }, argc, argv);
}
