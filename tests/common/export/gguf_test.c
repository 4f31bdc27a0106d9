/* GGUF files read back by a plain reader of the format: structure, encodings by the definition, the order of heads'
 * rows, an adapter's scales; and what has no form there. */
#include "common/export/gguf_model.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/export/gguf.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a reader ------------------------------------------------------------------------- */

typedef struct Read {
    FileMap map;
    size_t at, data; /* where the tensors' numbers begin */
    uint64_t tensors, keys;
} Read;

typedef struct Found {
    uint32_t dims, type;
    uint64_t ne[4], offset;
} Found;

static void take(Read *r, void *out, size_t size)
{
    assert_true(r->at + size <= r->map.size);
    memcpy(out, r->map.data + r->at, size);
    r->at += size;
}

static uint64_t take64(Read *r)
{
    uint64_t x;
    take(r, &x, sizeof x);
    return x;
}

static uint32_t take32(Read *r)
{
    uint32_t x;
    take(r, &x, sizeof x);
    return x;
}

/* A string is compared with `name`, unless that is NULL. */
static bool take_string(Read *r, const char *name)
{
    const uint64_t size = take64(r);
    assert_true(r->at + size <= r->map.size);
    const bool same = name && strlen(name) == size && memcmp(r->map.data + r->at, name, size) == 0;
    r->at += size;
    return same;
}

static void skip_value(Read *r, uint32_t type)
{
    static const size_t sizes[] = { [4] = 4, [5] = 4, [6] = 4, [7] = 1 };
    if (type == 8) {
        take_string(r, NULL);
    } else if (type == 9) {
        const uint32_t of = take32(r);
        for (uint64_t n = take64(r); n > 0; n--)
            skip_value(r, of);
    } else {
        r->at += sizes[type];
    }
}

/* Where the key's value begins, behind its type; 0: there is none. */
static size_t find_key(Read *r, const char *key)
{
    r->at = 24;
    for (uint64_t i = 0; i < r->keys; i++) {
        const bool same = take_string(r, key);
        const uint32_t type = take32(r);
        if (same)
            return r->at;
        skip_value(r, type);
    }
    return 0;
}

static double number(Read *r, const char *key, bool real)
{
    const size_t at = find_key(r, key);
    if (at == 0)
        fail_msg("there is no key '%s'", key);
    float f;
    uint32_t u;
    memcpy(&f, r->map.data + at, 4);
    memcpy(&u, r->map.data + at, 4);
    return real ? (double)f : (double)u;
}

static bool text_is(Read *r, const char *key, const char *text)
{
    r->at = find_key(r, key);
    return r->at > 0 && take_string(r, text);
}

static bool find_tensor(Read *r, const char *name, Found *found)
{
    find_key(r, "");
    for (uint64_t i = 0; i < r->tensors; i++) {
        const bool same = take_string(r, name);
        *found = (Found){ .dims = take32(r) };
        for (uint32_t d = 0; d < found->dims; d++)
            found->ne[d] = take64(r);
        found->type = take32(r);
        found->offset = take64(r);
        if (same)
            return true;
    }
    return false;
}

static void open_read(Read *r, const char *path)
{
    Err err = { 0 };
    *r = (Read){ 0 };
    must(file_map(&r->map, path, &err), &err);
    char magic[4];
    take(r, magic, 4);
    assert_memory_equal(magic, "GGUF", 4);
    assert_int_equal(take32(r), 3);
    r->tensors = take64(r);
    r->keys = take64(r);
    Found last;
    find_tensor(r, NULL, &last);
    r->data = (r->at + 31) / 32 * 32;
    assert_int_equal(last.offset % 32, 0);
    assert_true(r->data + last.offset < r->map.size);
    assert_int_equal(r->map.size % 32, 0);
}

static const void *data_of(const Read *r, const Found *t)
{
    return r->map.data + r->data + t->offset;
}

/* ---- what is written --------------------------------------------------------------------- */

typedef struct Subject {
    Case c;
    SafeTensors *files;
    SavedModel saved;
    Merged merged;
    char *folder, *path;
} Subject;

static void open_subject(Subject *s, const char *name, TaskType task, const char *lora)
{
    Err err = { 0 };
    *s = (Subject){ 0 };
    open_with(&s->c, name, task, lora);
    for (int64_t i = 0; i < s->c.table->size; i++)
        s->c.values[i] = (float)((double)(i * 7919 % 1000) / 10000 - 0.04);
    s->files = safetensors_open_model(s->c.arch->folder, &err);
    must(s->files != NULL, &err);
    saved_open(&s->saved, s->c.arch, s->files, DTYPE_F32, merged_unties(s->c.table));
    must(merged_init(&s->merged, s->c.table, s->c.values, &s->saved, &err), &err);
    s->folder = test_folder_new();
    s->path = path_join(s->folder, "x.gguf");
}

static void close_subject(Subject *s)
{
    test_folder_drop(s->folder);
    free(s->path);
    merged_release(&s->merged);
    saved_release(&s->saved);
    safetensors_close(s->files);
    close_case(&s->c);
}

/* out[count] <- a merged tensor by its name there. */
static float *merged_named(Subject *s, const char *name)
{
    Err err = { 0 };
    for (int i = 0; i < s->saved.count; i++)
        if (strcmp(s->saved.tensors[i].name, name) == 0) {
            float *out = xcalloc((size_t)s->saved.tensors[i].count, sizeof *out);
            must(merged_read(&s->merged, &s->saved.tensors[i], out, &err), &err);
            return out;
        }
    fail_msg("no tensor '%s'", name);
    return NULL;
}

static void rows_of_heads_are_pairs_where_llama_turns_neighbours(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    open_subject(&s, "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}");
    must(gguf_model_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err), &err);
    Read r;
    Found t;
    open_read(&r, s.path);
    assert_true(text_is(&r, "general.architecture", "llama"));
    assert_int_equal(number(&r, "llama.attention.head_count", false), s.c.arch->H);
    assert_int_equal(number(&r, "llama.attention.head_count_kv", false), s.c.arch->K);
    assert_true(number(&r, "llama.rope.freq_base", true) == 10000);
    assert_int_equal(number(&r, "llama.vocab_size", false), s.c.arch->V);
    static const struct {
        const char *there, *here;
        bool turned;
    } rows[] = { { "blk.1.attn_q.weight", "model.layers.1.self_attn.q_proj.weight", true },
                 { "blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight", true },
                 { "blk.1.attn_v.weight", "model.layers.1.self_attn.v_proj.weight", false },
                 { "token_embd.weight", "model.embed_tokens.weight", false },
                 { "output.weight", "lm_head.weight", false } };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        assert_true(find_tensor(&r, rows[i].there, &t));
        assert_int_equal(t.type, 0);
        const int64_t C = (int64_t)t.ne[0], D = s.c.arch->D;
        float *want = merged_named(&s, rows[i].here);
        const float *got = data_of(&r, &t);
        for (int64_t row = 0; row < (int64_t)t.ne[1]; row++) {
            const int64_t in = row % D, from = rows[i].turned ? row - in + in / 2 + (in % 2) * (D / 2) : row;
            assert_memory_equal(got + row * C, want + from * C, (size_t)C * sizeof(float));
        }
        free(want);
    }
    file_unmap(&r.map);
    close_subject(&s);
}

static void a_conv1d_is_turned_and_llama3_has_divisors(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    Read r;
    Found t;
    open_subject(&s, "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"c_attn\"]}");
    must(gguf_model_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err), &err);
    open_read(&r, s.path);
    assert_false(find_tensor(&r, "output.weight", &t));
    assert_true(find_tensor(&r, "blk.0.attn_qkv.weight", &t));
    const int64_t in = (int64_t)t.ne[0], out = (int64_t)t.ne[1];
    assert_int_equal(out, 3 * in);
    float *want = merged_named(&s, "transformer.h.0.attn.c_attn.weight");
    const float *got = data_of(&r, &t);
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            assert_true(got[o * in + i] == want[i * out + o]);
    free(want);
    file_unmap(&r.map);
    close_subject(&s);

    open_subject(&s, "qwen2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}");
    must(gguf_model_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err), &err);
    open_read(&r, s.path);
    assert_true(text_is(&r, "general.architecture", "llama")); /* llama.cpp's qwen2 reads no divisors */
    assert_true(find_tensor(&r, "rope_freqs.weight", &t));
    assert_int_equal(t.ne[0], s.c.arch->D / 2);
    double *inverse = xcalloc((size_t)t.ne[0], sizeof *inverse);
    arch_rope(s.c.arch, 0, 1, inverse);
    for (uint64_t j = 0; j < t.ne[0]; j++) {
        const double plain = 1 / pow(50000, 2.0 * (double)j / (double)s.c.arch->D);
        assert_true(fabs(plain / ((const float *)data_of(&r, &t))[j] / inverse[j] - 1) < 1e-6);
    }
    free(inverse);
    file_unmap(&r.map);
    close_subject(&s);
}

/* Of GPT-NeoX, whose heads have their q, k and v beside each other; and what turns of a head is a key. */
static void heads_that_stand_together_are_parted(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    Read r;
    Found t;
    open_subject(&s, "gpt_neox-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"query_key_value\"]}");
    must(gguf_model_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err), &err);
    open_read(&r, s.path);
    const int64_t H = s.c.arch->H, D = s.c.arch->D;
    static const char *const ends[] = { "weight", "bias" };
    for (int e = 0; e < 2; e++) {
        char *there = xprintf("blk.1.attn_qkv.%s", ends[e]),
             *here = xprintf("gpt_neox.layers.1.attention.query_key_value.%s", ends[e]);
        assert_true(find_tensor(&r, there, &t));
        float *want = merged_named(&s, here);
        const float *got = data_of(&r, &t);
        const int64_t C = e == 0 ? (int64_t)t.ne[0] : 1;
        for (int64_t part = 0; part < 3; part++)
            for (int64_t h = 0; h < H; h++)
                assert_memory_equal(got + (part * H + h) * D * C, want + (h * 3 + part) * D * C,
                                    (size_t)(D * C) * sizeof(float));
        free(want);
        free(there);
        free(here);
    }
    assert_int_equal(number(&r, "gptneox.rope.dimension_count", false), arch_rotated(s.c.arch));
    assert_true(arch_rotated(s.c.arch) < D);
    file_unmap(&r.map);
    close_subject(&s);
}

/* Of Gemma, whose norms multiply by 1 + their weight, where llama.cpp multiplies by it. */
static void gains_are_from_nought(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    Read r;
    Found t;
    open_subject(&s, "gemma-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}");
    must(gguf_model_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err), &err);
    open_read(&r, s.path);
    assert_true(find_tensor(&r, "blk.0.ffn_norm.weight", &t));
    float *want = merged_named(&s, "model.layers.0.post_attention_layernorm.weight");
    for (uint64_t i = 0; i < t.ne[0]; i++)
        assert_true(((const float *)data_of(&r, &t))[i] == 1 + want[i]);
    free(want);
    file_unmap(&r.map);
    close_subject(&s);
}

/* 0.5 d behind every other way to round: halves go away from zero. */
static void q8_blocks_are_a_scale_and_32_bytes(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    Read r;
    Found t;
    open_subject(&s, "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}");
    must(gguf_model_write(s.path, &s.merged, &s.saved, GGUF_Q8_0, "x", &err), &err);
    open_read(&r, s.path);
    assert_int_equal(number(&r, "general.file_type", false), 7);
    assert_true(find_tensor(&r, "blk.0.attn_v.weight", &t));
    assert_int_equal(t.type, 8);
    float *want = merged_named(&s, "model.layers.0.self_attn.v_proj.weight");
    const char *block = data_of(&r, &t);
    for (uint64_t b = 0; b < t.ne[0] * t.ne[1] / 32; b++, block += 34) {
        float most = 0, d;
        for (int i = 0; i < 32; i++)
            most = fmaxf(most, fabsf(want[b * 32 + (uint64_t)i]));
        uint16_t half;
        memcpy(&half, block, 2);
        const TensorView view = { .dtype = DTYPE_F16, .count = 1, .data = &half };
        must(tensor_to_f32(&d, &view, 0, 1, &err), &err);
        assert_true(fabsf(d - most / 127) <= most / 127 / 1024);
        for (int i = 0; i < 32; i++)
            assert_true(fabsf((float)(int8_t)block[2 + i] * (most / 127) - want[b * 32 + (uint64_t)i]) <=
                        0.501F * most / 127);
    }
    free(want);
    assert_true(find_tensor(&r, "blk.0.ffn_down.weight", &t)); /* its rows are no multiple of 32 */
    assert_int_equal(t.type, 1);
    assert_true(find_tensor(&r, "blk.0.attn_norm.weight", &t));
    assert_int_equal(t.type, 0);
    file_unmap(&r.map);
    close_subject(&s);
}

static void an_adapters_scales_are_in_its_b(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    Read r;
    Found a, b;
    open_subject(
        &s, "llama-clm", TASK_CAUSAL_LM,
        "{\"target_modules\": [\"v_proj\", \"up_proj\"], \"use_rslora\": true, \"rank_pattern\": {\"up_proj\": 6}, "
        "\"lora_alpha\": 3}");
    must(gguf_lora_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err), &err);
    open_read(&r, s.path);
    assert_true(text_is(&r, "general.type", "adapter"));
    const double alpha = number(&r, "adapter.lora.alpha", true);
    for (int i = 0; i < s.c.arch->module_count; i++) {
        const ModuleSlots *of = &s.c.table->modules[i];
        const Module *m = &s.c.arch->modules[i];
        if (of->a < 0)
            continue;
        const char *name = m->role == ROLE_V ? "attn_v" : "ffn_up";
        char *down = xprintf("blk.%d.%s.weight.lora_a", m->layer, name),
             *up = xprintf("blk.%d.%s.weight.lora_b", m->layer, name);
        assert_true(find_tensor(&r, down, &a));
        assert_true(find_tensor(&r, up, &b));
        assert_int_equal(a.ne[1], of->r);
        assert_int_equal(b.ne[0], of->r);
        const Slot *A = &s.c.table->slots[of->a], *B = &s.c.table->slots[of->b];
        assert_memory_equal(data_of(&r, &a), s.c.values + A->offset, (size_t)A->count * sizeof(float));
        for (int64_t k = 0; k < B->count; k++) {
            const double got = ((const float *)data_of(&r, &b))[k] * alpha / (double)of->r;
            assert_true(fabs(got - (double)of->scale * s.c.values[B->offset + k]) < 1e-7);
        }
        free(up);
        free(down);
    }
    file_unmap(&r.map);
    close_subject(&s);
}

static void what_llama_cpp_computes_otherwise_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        TaskType task;
        const char *lora;
        bool adapter; /* alone */
        const char *what;
    } rows[] = {
        { "distilbert-regress", TASK_SEQ_CLS, "{\"target_modules\": [\"q_lin\"]}", false,
          "'distilbert' has no GGUF form" },
        { "bert-tokcls", TASK_TOKEN_CLS, "{\"target_modules\": [\"query\"]}", false, "a bert of the task TOKEN_CLS" },
        { "bert-multilabel", TASK_SEQ_CLS, "{\"target_modules\": [\"query\"]}", false, "the activation of this bert" },
        { "vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"q_proj\"]}", false, "'vit' has no GGUF form" },
        { "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"wte\"]}", false, "not tied to the word table" },
        { "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"wte\"]}", true, "LoRA on 'transformer.wte'" },
        { "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"], \"modules_to_save\": [\"lm_head\"]}", true,
          "'lm_head', which was trained itself," },
        { "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"], \"use_dora\": true}", true,
          "q_proj.lora_magnitude_vector' has no place in a GGUF adapter" },
        { "opt-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}", false, "'opt' has no GGUF form" },
        { "gemma2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}", false, "not scaled by the root of 16" },
        { "gemma3-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}", false, "not scaled by the root of 16" },
        { "gemma-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"embed_tokens\"]}", false,
          "not tied to the word table" },
        { "cohere-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"embed_tokens\"]}", false,
          "not tied to the word table" },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Subject s;
        Err err = { 0 };
        open_subject(&s, rows[i].model, rows[i].task, rows[i].lora);
        assert_false(rows[i].adapter ? gguf_lora_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err)
                                     : gguf_model_write(s.path, &s.merged, &s.saved, GGUF_F32, "x", &err));
        if (!strstr(err.what, rows[i].what))
            fail_msg("%s: %s", rows[i].what, err.what);
        assert_int_equal(err_exit_code(&err), 2);
        assert_false(file_exists(s.path));
        close_subject(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_heads_are_pairs_where_llama_turns_neighbours),
        cmocka_unit_test(a_conv1d_is_turned_and_llama3_has_divisors),
        cmocka_unit_test(heads_that_stand_together_are_parted),
        cmocka_unit_test(gains_are_from_nought),
        cmocka_unit_test(q8_blocks_are_a_scale_and_32_bytes),
        cmocka_unit_test(an_adapters_scales_are_in_its_b),
        cmocka_unit_test(what_llama_cpp_computes_otherwise_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
