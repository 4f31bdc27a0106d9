#include "common/base/file.h"
#include "common/base/mem.h"
#include "launch/predict.h"
#include "worker/images/image_read.h"

#include <stdlib.h>

/* Images that wait for the model. */
typedef struct Gallery {
    Session *session;
    const PredictInput *input;
    int64_t count, most, seen; /* waiting; room for them; all so far */
    uint8_t *planes; /* of one image */
    char *paths[PREDICT_BATCH];
    int64_t start[PREDICT_BATCH + 1], example[PREDICT_BATCH];
} Gallery;

static bool print_answer(const Gallery *g, int64_t b, Err *err)
{
    const ModelArch *arch = g->session->base.adapted.arch;
    json_t *line = predict_classes(arch, g->session->logits + b * arch->head.labels, g->input->logits);
    json_object_set_new(line, "file", json_string(g->paths[b]));
    return predict_print(line, err);
}

static bool print_answers(Gallery *g, Err *err)
{
    Session *s = g->session;
    for (int64_t b = 0; b <= g->count; b++)
        g->start[b] = b * s->base.adapted.arch->positions;
    const Batch batch = {
        .B = g->count, .N = g->start[g->count], .start = g->start, .example = g->example, .pixels = s->room.pixels
    };
    bool ok = g->count == 0 || session_predict(s, &batch, err);
    for (int64_t b = 0; b < g->count; b++) {
        ok = ok && print_answer(g, b, err);
        free(g->paths[b]);
    }
    g->count = 0;
    return ok;
}

static bool read_image(Gallery *g, float *out, const char *path, Err *err)
{
    const Session *s = g->session;
    const int64_t size = s->base.adapted.arch->image_size;
    Image image = { 0 };
    bool ok = image_read(&image, path, err);
    if (ok && !image_process_apply(&s->process, g->planes, size, size, &image, err))
        ok = err_at(err, "%s", path);
    if (ok)
        image_process_values(&s->process, out, g->planes, size * size);
    image_release(&image);
    return ok;
}

static bool add_image(Gallery *g, const char *path, Err *err)
{
    Session *s = g->session;
    if (g->count == g->most && !print_answers(g, err))
        return false;
    if (!read_image(g, s->room.pixels + g->count * pictures_floats(s->base.adapted.arch), path, err))
        return false;
    g->seen++;
    g->example[g->count] = g->count;
    g->paths[g->count++] = xstrdup(path);
    return true;
}

static bool add_line(void *self, const char *line, size_t n, Err *err)
{
    Gallery *g = self;
    char *path = xstrndup(line, n);
    const bool ok = n == 0 || (add_image(g, path, err) && (g->input->path || print_answers(g, err)));
    free(path);
    return ok;
}

/* A folder of none is a slip: nobody asks for no answer. */
static bool refuse_empty(const char *folder, Err *err)
{
    err_set(err, ERR_INPUT, "there is no image in this folder, nor in those inside it");
    return err_at(err, "%s", folder);
}

static bool add_folder(Gallery *g, const char *folder, Err *err)
{
    size_t count;
    char **names = folder_list(folder, &count, err);
    bool ok = names != NULL;
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(folder, names[i]);
        if (ok && names[i][0] != '.')
            ok = file_is_folder(path) ? add_folder(g, path, err) : add_image(g, path, err);
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

/* By its bytes: a list of paths is no image. */
static bool is_image(const char *path)
{
    FileMap map;
    Err ignored = { 0 };
    if (!file_map(&map, path, &ignored))
        return false;
    const bool is = image_format((const uint8_t *)map.data, map.size, NULL) != IMAGE_OTHER;
    file_unmap(&map);
    return is;
}

bool predict_images(Session *session, const PredictInput *input, Err *err)
{
    const int64_t fit = session->most_tokens / session->max_length;
    Gallery *g = xcalloc(1, sizeof *g);
    *g = (Gallery){ .session = session, .input = input, .most = fit < PREDICT_BATCH ? fit : PREDICT_BATCH };
    g->planes = xmalloc((size_t)pictures_floats(session->base.adapted.arch));
    bool ok;
    if (input->path && file_is_folder(input->path))
        ok = add_folder(g, input->path, err) && (g->seen > 0 || refuse_empty(input->path, err));
    else if (input->path && is_image(input->path))
        ok = add_image(g, input->path, err);
    else
        ok = predict_lines(input, add_line, g, err);
    ok = ok && print_answers(g, err);
    for (int64_t b = 0; b < g->count; b++)
        free(g->paths[b]);
    free(g->planes);
    free(g);
    return ok;
}
