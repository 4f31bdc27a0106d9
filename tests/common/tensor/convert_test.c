/* Numbers rounded to 16 bits, and files of them. */
#include "common/base/file.h"
#include "common/tensor/safetensors.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The 16 bits of a dtype, as a number. */
static float value_of(Dtype dtype, uint16_t bits)
{
    Err err = { 0 };
    float out;
    const TensorView t = { .dtype = dtype, .dims = 1, .dim = { 1 }, .count = 1, .bytes = 2, .data = &bits };
    must(tensor_to_f32(&out, &t, 0, 1, &err), &err);
    return out;
}

/* Each finite number of the dtype comes back; the middle between two goes to the even one, and what lies beside it to
 * the nearer. */
static void check_rounding(Dtype dtype, uint16_t (*to)(float), uint16_t infinite)
{
    for (uint16_t bits = 0; bits < infinite; bits++) {
        const float x = value_of(dtype, bits), next = value_of(dtype, (uint16_t)(bits + 1));
        assert_int_equal(to(x), bits);
        assert_int_equal(to(-x), bits | 0x8000);
        if (bits + 1 == infinite)
            break;
        const float middle = (float)(((double)x + next) / 2);
        if (middle <= x || middle >= next) /* the smallest of bf16: there is no float between */
            continue;
        assert_int_equal(to(middle), bits + (bits & 1));
        assert_int_equal(to(nextafterf(middle, 0)), bits);
        assert_int_equal(to(nextafterf(middle, INFINITY)), bits + 1);
    }
    assert_int_equal(to(INFINITY), infinite);
    assert_int_equal(to(-INFINITY), infinite | 0x8000);
    assert_true(isnan(value_of(dtype, to(NAN))));
}

static void numbers_are_rounded_to_the_nearest_even(void **state)
{
    (void)state;
    check_rounding(DTYPE_F16, tensor_f16, 0x7c00);
    check_rounding(DTYPE_BF16, tensor_bf16, 0x7f80);
    assert_int_equal(tensor_f16(65519.99F), 0x7bff);
    assert_int_equal(tensor_f16(65520), 0x7c00);
}

static bool write_some(void *self, int64_t index, FILE *file, Err *err)
{
    const Dtype *dtypes = self;
    const float x[] = { (float)index, 1, 65519, 0x1p-30F };
    double lost = 0;
    const bool ok = tensor_write_f32(file, dtypes[index], x, 4, &lost, err);
    if (ok && dtypes[index] == DTYPE_BF16)
        assert_true(lost == 17.0 * 17.0); /* 65536 for 65519 */
    return ok;
}

static void tensors_are_streamed_by_dtype_then_by_name(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *path = path_join(folder, "t.safetensors");
    Err err = { 0 };
    Dtype dtypes[] = { DTYPE_BF16, DTYPE_F32, DTYPE_F16, DTYPE_BF16 };
    TensorOut out[] = { { .name = "d" }, { .name = "c" }, { .name = "a" }, { .name = "b" } };
    for (int i = 0; i < 4; i++) {
        out[i].dtype = dtypes[i];
        out[i].dims = 1;
        out[i].dim[0] = 4;
    }
    must(safetensors_stream(path, out, 4, write_some, dtypes, &err), &err);
    SafeTensors *st = safetensors_open(path, &err);
    must(st != NULL, &err);
    const char *const order[] = { "c", "b", "d", "a" }; /* as the library: F32, BF16, F16 */
    const void *last = NULL;
    for (int i = 0; i < 4; i++) {
        const TensorView *t = safetensors_find(st, order[i]);
        float x[4];
        must(tensor_to_f32(x, t, 0, 4, &err), &err);
        assert_true(!last || (const char *)t->data > (const char *)last);
        assert_true(x[1] == 1);
        last = t->data;
    }
    safetensors_close(st);
    test_folder_drop(folder);
    free(path);
}

static bool write_large(void *self, int64_t index, FILE *file, Err *err)
{
    (void)self;
    (void)index;
    return tensor_write_f32(file, DTYPE_F16, (const float[]){ 70000 }, 1, NULL, err);
}

static void what_f16_cannot_hold_is_refused(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *path = path_join(folder, "t.safetensors");
    Err err = { 0 };
    const TensorOut out = { .name = "a", .dims = 1, .dim = { 1 }, .dtype = DTYPE_F16 };
    assert_false(safetensors_stream(path, &out, 1, write_large, NULL, &err));
    assert_string_equal(err.what, "70000 is too large for F16, whose largest is 65504");
    assert_string_equal(err.hint, "write BF16 or F32");
    assert_false(file_exists(path));
    test_folder_drop(folder);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rounded_to_the_nearest_even),
        cmocka_unit_test(tensors_are_streamed_by_dtype_then_by_name),
        cmocka_unit_test(what_f16_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
