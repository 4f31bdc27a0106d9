/* int8 and nf4 beside bitsandbytes, to the byte (tests/golden/nf4/make.py). */
#include "common/tensor/quant.h"

#include "common/base/mem.h"
#include "common/tensor/safetensors.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static SafeTensors *open_file(const char *name)
{
    Err err = { 0 };
    char *path = xprintf("tests/golden/nf4/%s.safetensors", name);
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    free(path);
    return file;
}

static const TensorView *find(const SafeTensors *file, const char *name, const char *end)
{
    char *whole = xprintf("%s%s", name, end);
    const TensorView *view = safetensors_find(file, whole);
    assert_non_null(view);
    free(whole);
    return view;
}

/* Owned. */
static float *floats_of(const TensorView *view)
{
    Err err = { 0 };
    float *x = xcalloc((size_t)view->count, sizeof *x);
    must(tensor_to_f32(x, view, 0, view->count, &err), &err);
    return x;
}

static void same_bytes(const TensorView *view, const void *got)
{
    assert_memory_equal(view->data, got, (size_t)view->bytes);
}

static void the_dynamic_numbers_are_bitsandbytes(void **state)
{
    (void)state;
    SafeTensors *file = open_file("nf4-double");
    float table[256];
    nf4_dynamic(table);
    same_bytes(find(file, "plain", ".weight.nested_quant_map"), table);
    same_bytes(find(file, "plain", ".weight.quant_map"), nf4_numbers);
    safetensors_close(file);
}

static void codes_and_scales_are_bitsandbytes(void **state)
{
    (void)state;
    static const char *const names[] = { "plain", "spiky", "bf16", "odd" };
    SafeTensors *weights = open_file("weights"), *single = open_file("nf4");
    for (size_t k = 0; k < LENGTH(names); k++) {
        const TensorView *from = find(weights, names[k], ".weight");
        float *x = floats_of(from), *absmax = xcalloc((size_t)nf4_blocks(from->count), sizeof *absmax);
        uint8_t *codes = xcalloc((size_t)from->count, 1);
        nf4_pack(codes, absmax, x, from->count);
        same_bytes(find(single, names[k], ".weight"), codes);
        same_bytes(find(single, names[k], ".weight.absmax"), absmax);
        free(x);
        free(absmax);
        free(codes);
    }
    safetensors_close(weights);
    safetensors_close(single);
}

/* The number of "nested_offset" in the JSON of a quantisation's state. */
static float offset_of(const TensorView *state)
{
    char *text = xstrndup(state->data, (size_t)state->bytes);
    const char *at = strstr(text, "\"nested_offset\": ");
    assert_non_null(at);
    const float offset = strtof(at + strlen("\"nested_offset\": "), NULL);
    free(text);
    return offset;
}

static void double_quantisation_is_bitsandbytes(void **state)
{
    (void)state;
    static const char *const names[] = { "plain", "spiky", "bf16" };
    SafeTensors *weights = open_file("weights"), *nested = open_file("nf4-double");
    float table[256];
    nf4_dynamic(table);
    for (size_t k = 0; k < LENGTH(names); k++) {
        const TensorView *from = find(weights, names[k], ".weight"), *back = find(nested, names[k], ".dequantised");
        const int64_t n = from->count, blocks = nf4_blocks(n);
        float *x = floats_of(from), *absmax = xcalloc((size_t)blocks, sizeof *absmax), *want = floats_of(back);
        float *scales = xcalloc((size_t)nf4_nested(n), sizeof *scales), offset;
        uint8_t *codes = xcalloc((size_t)n, 1), *index = xcalloc((size_t)blocks, 1);
        nf4_pack(codes, absmax, x, n);
        nf4_pack_scales(index, scales, &offset, absmax, blocks, table);
        same_bytes(find(nested, names[k], ".weight"), codes);
        same_bytes(find(nested, names[k], ".weight.absmax"), index);
        same_bytes(find(nested, names[k], ".weight.nested_absmax"), scales);
        assert_true(offset == offset_of(find(nested, names[k], ".weight.quant_state.bitsandbytes__nf4")));
        for (int64_t i = 0; i < n; i++) {
            const float number = nf4_numbers[i % 2 ? codes[i / 2] & 15 : codes[i / 2] >> 4];
            const float value = number * nf4_scale(index, scales, offset, table, i / NF4_BLOCK);
            if (back->dtype == DTYPE_F32)
                assert_true(value == want[i]);
            else /* the file rounds it */
                assert_float_equal(value, want[i], 0.004 * fabs((double)value));
        }
        free(x), free(absmax), free(want), free(scales), free(codes), free(index);
    }
    safetensors_close(weights);
    safetensors_close(nested);
}

static void rows_of_int8_are_bitsandbytes(void **state)
{
    (void)state;
    SafeTensors *file = open_file("int8");
    const TensorView *input = find(file, "input", ""), *weight = find(file, "weight", ""), *scb = find(file, "SCB", "");
    const int64_t in = input->dim[1];
    float *x = floats_of(input), *largest = floats_of(scb);
    int8_t *q = xcalloc((size_t)in, 1);
    for (int64_t o = 0; o < input->dim[0]; o++) {
        const float scale = int8_pack(q, x + o * in, in);
        assert_memory_equal(q, (const int8_t *)weight->data + o * in, (size_t)in);
        assert_true(scale == largest[o] / 127.0f);
    }
    memset(x, 0, (size_t)in * sizeof *x);
    assert_true(int8_pack(q, x, in) == 0 && q[0] == 0);
    free(x);
    free(largest);
    free(q);
    safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dynamic_numbers_are_bitsandbytes),
        cmocka_unit_test(codes_and_scales_are_bitsandbytes),
        cmocka_unit_test(double_quantisation_is_bitsandbytes),
        cmocka_unit_test(rows_of_int8_are_bitsandbytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
