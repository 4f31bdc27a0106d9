/* Files that the safetensors library wrote, written again; damaged files; conversions. */
#include "common/tensor/safetensors.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const golden_files[] = {
    "tests/golden/bert-seqcls/expected/adapter_model.safetensors",
    "tests/golden/bert-seqcls/init/adapter_model.safetensors",
    "tests/golden/bert-multilabel/expected/adapter_model.safetensors",
    "tests/golden/bert-multilabel/init/adapter_model.safetensors",
    "tests/golden/bert-seqcls/model/model.safetensors",
    "tests/golden/bert-multilabel/model/model.safetensors",
};
enum { GOLDEN = sizeof golden_files / sizeof *golden_files };

/* A folder of its own for each test. */
typedef struct Place {
    char folder[32];
    char *path; /* of the file most tests need */
} Place;

static int setup(void **state)
{
    Place *place = xcalloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/safetensors-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    place->path = path_join(place->folder, "t.safetensors");
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    Place *place = *state;
    Err err = { 0 };
    const bool ok = folder_remove(place->folder, &err);
    free(place->path);
    free(place);
    return ok ? 0 : -1;
}

static void put(const char *path, const void *data, size_t size)
{
    Err err = { 0 };
    must(file_write(path, data, size, &err), &err);
}

/* A file with this header, whatever it says, and `size` bytes of data. */
static void put_file(const char *path, const char *header, const void *data, size_t size)
{
    Text text = { 0 };
    const uint64_t n = strlen(header);
    text_add(&text, (const char *)&n, sizeof n);
    text_adds(&text, header);
    if (size > 0)
        text_add(&text, data, size);
    put(path, text.data, text.size);
    text_release(&text);
}

static SafeTensors *open_file(const char *path)
{
    Err err = { 0 };
    SafeTensors *st = safetensors_open(path, &err);
    must(st != NULL, &err);
    return st;
}

/* It is refused with these words, and the error names the file. */
static void refused(const char *path, const char *words)
{
    Err err = { 0 };
    SafeTensors *st = safetensors_open(path, &err);
    if (st)
        fail_msg("accepted, though %s", words);
    if (!strstr(err.what, words) || !strstr(err.where, path) || err.kind != ERR_INPUT)
        fail_msg("'%s' at '%s' says nothing of '%s'", err.what, err.where, words);
    assert_string_not_equal(err.hint, "");
}

static void refused_header(const Place *place, const char *header, size_t size, const char *words)
{
    char *data = xcalloc(size + 1, 1);
    put_file(place->path, header, data, size);
    refused(place->path, words);
    free(data);
}

/* ---- reading and writing ------------------------------------------------------- */

static void write_again(const SafeTensors *st, const char *path)
{
    const int64_t n = safetensors_count(st);
    TensorOut *out = xcalloc((size_t)n, sizeof *out);
    Err err = { 0 };
    for (int64_t i = 0; i < n; i++) { /* backwards: the writer sorts */
        const TensorView *t = safetensors_at(st, n - 1 - i);
        float *data = xmalloc((size_t)t->bytes + 1);
        must(tensor_to_f32(data, t, 0, t->count, &err), &err);
        out[i] = (TensorOut){ .name = t->name, .dims = t->dims, .data = data };
        memcpy(out[i].dim, t->dim, sizeof out[i].dim);
    }
    must(safetensors_write(path, out, n, &err), &err);
    for (int64_t i = 0; i < n; i++)
        free((void *)(uintptr_t)out[i].data);
    free(out);
}

static void a_file_of_the_library_written_again_has_the_same_bytes(void **state)
{
    const Place *place = *state;
    for (int k = 0; k < GOLDEN; k++) {
        Err err = { 0 };
        FileMap golden, ours;
        SafeTensors *st = open_file(golden_files[k]);
        write_again(st, place->path);
        must(file_map(&golden, golden_files[k], &err), &err);
        must(file_map(&ours, place->path, &err), &err);
        assert_int_equal(golden.size, ours.size);
        assert_memory_equal(golden.data, ours.data, ours.size);
        file_unmap(&golden);
        file_unmap(&ours);
        safetensors_close(st);
    }
}

/* The expected bytes are those of safetensors 0.8.0's save() for the same four tensors. */
static void names_are_quoted_and_empty_and_scalar_tensors_written_as_the_library_does(void **state)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"\\u001f\\n\x7f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                 "\"a\\\"b\\\\\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]},"
                                 "\"none\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[8,8]},"
                                 "\"\xc3\xa9\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}";
    const Place *place = *state;
    const float zero = 0.0f, one = 1.5f, two[] = { -2.0f, 3.25f };
    const TensorOut out[] = {
        { .name = "\xc3\xa9", .dims = 1, .dim = { 2 }, .data = two },
        { .name = "none", .dims = 2, .dim = { 0, 3 }, .data = NULL },
        { .name = "a\"b\\", .dims = 0, .data = &one },
        { .name = "\x1f\n\x7f", .dims = 1, .dim = { 1 }, .data = &zero },
    };
    Err err = { 0 };
    must(safetensors_write(place->path, out, 4, &err), &err);
    FileMap map;
    must(file_map(&map, place->path, &err), &err);
    uint64_t n = 0;
    memcpy(&n, map.data, sizeof n);
    assert_int_equal(n, (sizeof header - 1 + 7) / 8 * 8);
    assert_int_equal(map.size, 8 + n + 16);
    assert_memory_equal(map.data + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < n; i++)
        assert_int_equal(map.data[8 + i], ' ');
    assert_memory_equal(map.data + 8 + n, &zero, 4);
    assert_memory_equal(map.data + 12 + n, &one, 4);
    assert_memory_equal(map.data + 16 + n, two, 8);
    file_unmap(&map);
    SafeTensors *st = open_file(place->path);
    assert_int_equal(safetensors_count(st), 4);
    assert_int_equal(safetensors_find(st, "none")->count, 0);
    assert_int_equal(safetensors_find(st, "a\"b\\")->count, 1);
    assert_string_equal(safetensors_metadata(st, "format"), "pt");
    assert_null(safetensors_metadata(st, "none"));
    assert_null(safetensors_find(st, "__metadata__"));
    safetensors_close(st);
}

static void tensors_stand_sorted_and_are_found_by_name(void **state)
{
    (void)state;
    SafeTensors *st = open_file(golden_files[5]);
    assert_int_equal(safetensors_count(st), 62);
    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const TensorView *t = safetensors_at(st, i);
        assert_true(i == 0 || strcmp(safetensors_at(st, i - 1)->name, t->name) < 0);
        assert_ptr_equal(safetensors_find(st, t->name), t);
        assert_int_equal(t->bytes, 4 * t->count);
    }
    const TensorView *words = safetensors_find(st, "bert.embeddings.word_embeddings.weight");
    assert_int_equal(words->dims, 2);
    assert_int_equal(words->dim[0], 604);
    assert_int_equal(words->dim[1], 32);
    assert_null(safetensors_find(st, "bert.embeddings.word_embeddings"));
    safetensors_close(st);
}

static void the_digest_changes_with_any_byte(void **state)
{
    const Place *place = *state;
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    const char *const data[] = { "xy", "xy", "xz" };
    uint64_t digest[3];
    for (int i = 0; i < 3; i++) {
        put_file(place->path, header, data[i], 2);
        SafeTensors *st = open_file(place->path);
        digest[i] = safetensors_digest(st);
        safetensors_close(st);
    }
    assert_int_equal(digest[0], digest[1]);
    assert_int_not_equal(digest[0], digest[2]);
}

/* ---- damaged files --------------------------------------------------------------- */

static void a_file_cut_anywhere_is_refused(void **state)
{
    const Place *place = *state;
    Err err = { 0 };
    size_t size = 0;
    char *whole = file_read(golden_files[0], &size, &err);
    must(whole != NULL, &err);
    uint64_t n = 0;
    memcpy(&n, whole, sizeof n);
    for (size_t cut = 0; cut < size; cut += cut <= 8 + n ? 1 : 97) {
        FILE *file = fopen(place->path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(whole, 1, cut, file), cut);
        assert_int_equal(fclose(file), 0);
        err = (Err){ 0 };
        assert_null(safetensors_open(place->path, &err));
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.where, place->path));
    }
    free(whole);
}

/* The length says less than the header is: what is left of it is no JSON, or misses data. */
static void a_header_length_that_is_not_the_headers_is_refused(void **state)
{
    const Place *place = *state;
    Err err = { 0 };
    size_t size = 0;
    char *whole = file_read(golden_files[0], &size, &err);
    must(whole != NULL, &err);
    uint64_t n = 0;
    memcpy(&n, whole, sizeof n);
    for (uint64_t wrong = 0; wrong < n + 16; wrong++) {
        if (wrong == n)
            continue;
        memcpy(whole, &wrong, sizeof wrong);
        FILE *file = fopen(place->path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(whole, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
        err = (Err){ 0 };
        assert_null(safetensors_open(place->path, &err));
        assert_int_equal(err.kind, ERR_INPUT);
    }
    free(whole);
}

static void a_header_longer_than_allowed_or_than_the_file_is_refused(void **state)
{
    const Place *place = *state;
    const uint64_t lengths[] = { UINT64_MAX, INT64_MAX, 100000001 };
    for (int i = 0; i < 3; i++) {
        char bytes[16] = { 0 };
        memcpy(bytes, &lengths[i], 8);
        put(place->path, bytes, sizeof bytes);
        refused(place->path, "at most 100000000 are allowed");
    }
    static const struct {
        char bytes[16];
        size_t size;
        const char *words;
    } bad[] = {
        { { 9 }, 16, "a header of 9 bytes in a file of 16" },
        { { 9 }, 7, "7 bytes" },
        { { 0 }, 0, "0 bytes" },
        { "PK\3\4", 16, "a pickle of torch.save" },
        { "\x80\2\x8a\n", 16, "a pickle of torch.save" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(place->path, bad[i].bytes, bad[i].size);
        refused(place->path, bad[i].words);
    }
}

#define F32(offsets) "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":" offsets "}"

static void data_that_is_not_tiled_exactly_is_refused(void **state)
{
    const Place *place = *state;
    refused_header(place, "{\"a\":" F32("[0,4]") ",\"b\":" F32("[2,6]") "}", 6, "its data overlaps another tensor's");
    refused_header(place, "{\"a\":" F32("[0,4]") ",\"b\":" F32("[0,4]") "}", 4, "its data overlaps another tensor's");
    refused_header(place, "{\"a\":" F32("[0,4]") ",\"b\":" F32("[5,9]") "}", 9, "there is a hole before its data");
    refused_header(place, "{\"a\":" F32("[4,8]") "}", 8, "there is a hole before its data");
    refused_header(place, "{\"a\":" F32("[0,4]") "}", 7, "3 bytes behind the last tensor");
    refused_header(place, "{}", 1, "1 bytes behind the last tensor");
    refused_header(place, "{\"a\":" F32("[0,4]") "}", 3, "its data ends at byte 4, the file has 3");
}

static void offsets_and_shapes_that_overflow_are_refused(void **state)
{
    const Place *place = *state;
    refused_header(place, "{\"a\":" F32("[9223372036854775800,9223372036854775804]") "}", 4,
                   "its data ends at byte 9223372036854775804");
    refused_header(place, "{\"a\":" F32("[18446744073709551612,18446744073709551616]") "}", 4,
                   "'data_offsets' is not [begin, end]");
    refused_header(place, "{\"a\":" F32("[4,0]") "}", 4, "'data_offsets' is not [begin, end]");
    refused_header(place, "{\"a\":" F32("[-4,0]") "}", 4, "'data_offsets' is not [begin, end]");
    refused_header(place, "{\"a\":" F32("[0,4,8]") "}", 4, "'data_offsets' is not [begin, end]");
    refused_header(place, "{\"a\":" F32("[0,4.0]") "}", 4, "'data_offsets' is not [begin, end]");
    refused_header(place, "{\"a\":" F32("null") "}", 4, "'data_offsets' is not [begin, end]");
    refused_header(place,
                   "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
                   "\"data_offsets\":[0,0]}}",
                   0, "'shape' has more elements than can be counted");
    refused_header(place,
                   "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],"
                   "\"data_offsets\":[0,0]}}",
                   0, "0 bytes of data do not fit its shape and dtype F32");
}

static void a_size_that_does_not_fit_shape_and_dtype_is_refused(void **state)
{
    const Place *place = *state;
    refused_header(place, "{\"a\":" F32("[0,5]") "}", 5, "5 bytes of data do not fit its shape and dtype F32");
    refused_header(place, "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1,
                   "1 bytes of data do not fit its shape and dtype F4");
    refused_header(place, "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
                   "'F31' is not a dtype of safetensors");
    refused_header(place, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "it has no 'dtype'");
    refused_header(place, "{\"a\":7}", 0, "it has no 'dtype'");
    refused_header(place, "{\"a\":{\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,0]}}", 0,
                   "size 1 of 'shape' is not a count");
    refused_header(place, "{\"a\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "'shape' is not a list");
    refused_header(place, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
                   "'shape' is not a list of at most 8 sizes");
}

static void a_header_that_is_no_table_of_tensors_is_refused(void **state)
{
    const Place *place = *state;
    refused_header(place, "{\"a\":" F32("[0,4]") ",\"a\":" F32("[4,8]") "}", 8, "duplicate");
    refused_header(place, "[]", 0, "the header is not a JSON object");
    refused_header(place, "{} {}", 0, "not valid JSON");
    refused_header(place, "{\"\xff\":" F32("[0,4]") "}", 4, "not valid JSON");
    refused_header(place, "{\"__metadata__\":[]}", 0, "'__metadata__' is not an object");
    refused_header(place, "{\"__metadata__\":{\"format\":1}}", 0, "'format' of '__metadata__' is not a string");
}

static void the_error_names_file_and_tensor(void **state)
{
    const Place *place = *state;
    Err err = { 0 };
    put_file(place->path, "{\"lora.A\":" F32("[0,4]") "}", "", 0);
    assert_null(safetensors_open(place->path, &err));
    char *where = xprintf("%s: lora.A", place->path);
    assert_string_equal(err.where, where);
    assert_string_equal(err.hint, "the file is damaged: copy or download it again");
    free(where);
}

static void a_file_without_tensors_is_valid(void **state)
{
    const Place *place = *state;
    put_file(place->path, "{}      ", "", 0);
    SafeTensors *st = open_file(place->path);
    assert_int_equal(safetensors_count(st), 0);
    assert_null(safetensors_find(st, "a"));
    assert_null(safetensors_metadata(st, "format"));
    safetensors_close(st);
}

/* ---- sharded models ---------------------------------------------------------------- */

static void put_in(const Place *place, const char *name, const char *header, const char *data)
{
    char *path = path_join(place->folder, name);
    if (header)
        put_file(path, header, data, strlen(data));
    else
        put(path, data, strlen(data));
    free(path);
}

#define TWO(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"
#define INDEX "model.safetensors.index.json"

static void put_shards(const Place *place, const char *index)
{
    put_in(place, "m-1.safetensors", TWO("b"), "BB");
    put_in(place, "m-2.safetensors", TWO("a"), "AA");
    put_in(place, INDEX, NULL, index);
}

static void all_shards_of_an_index_are_one_model(void **state)
{
    const Place *place = *state;
    Err err = { 0 };
    put_shards(place, "{\"metadata\":{\"total_size\":4},\"weight_map\":"
                      "{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\"}}");
    SafeTensors *st = safetensors_open_model(place->folder, &err);
    must(st != NULL, &err);
    assert_int_equal(safetensors_count(st), 2);
    assert_string_equal(safetensors_at(st, 0)->name, "a");
    assert_memory_equal(safetensors_at(st, 0)->data, "AA", 2);
    assert_string_equal(path_name(safetensors_at(st, 0)->file), "m-2.safetensors");
    assert_memory_equal(safetensors_find(st, "b")->data, "BB", 2);
    safetensors_close(st);
}

static void refused_index(const Place *place, const char *index, const char *words)
{
    Err err = { 0 };
    put_shards(place, index);
    SafeTensors *st = safetensors_open_model(place->folder, &err);
    if (st)
        fail_msg("accepted, though %s", words);
    if (!strstr(err.what, words) || !strstr(err.where, place->folder))
        fail_msg("'%s' at '%s' says nothing of '%s'", err.what, err.where, words);
    assert_int_equal(err.kind, ERR_INPUT);
}

static void an_index_that_does_not_fit_its_shards_is_refused(void **state)
{
    const Place *place = *state;
    refused_index(place, "{\"weight_map\":", "not valid JSON");
    refused_index(place, "{}", "'weight_map' is not an object");
    refused_index(place, "[]", "'weight_map' is not an object");
    refused_index(place, "{\"weight_map\":{}}", "'weight_map' is not an object");
    refused_index(place, "{\"weight_map\":{\"a\":1}}", "the file of 'a' is not a file's name");
    refused_index(place, "{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "the file of 'a' is not a file's name");
    refused_index(place, "{\"weight_map\":{\"a\":\"m-3.safetensors\"}}", "there is no such file");
    refused_index(place, "{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}",
                  "'a' is not in 'm-1.safetensors'");
    refused_index(place, "{\"weight_map\":{\"c\":\"m-1.safetensors\"}}", "'c' is not in 'm-1.safetensors'");
    put_in(place, "m-3.safetensors", TWO("a"), "aa");
    refused_index(place, "{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-3.safetensors\"}}",
                  "'a' stands in two files");
}

static void a_folder_without_weights_says_what_it_should_hold(void **state)
{
    const Place *place = *state;
    Err err = { 0 };
    assert_null(safetensors_open_model(place->folder, &err));
    assert_string_equal(err.what, "no model.safetensors (nor model.safetensors.index.json)");
    assert_string_equal(err.where, place->folder);
    put_in(place, "pytorch_model.bin", NULL, "x");
    err = (Err){ 0 };
    assert_null(safetensors_open_model(place->folder, &err));
    assert_non_null(strstr(err.hint, "pytorch_model.bin"));
}

/* ---- conversions ---------------------------------------------------------------------- */

static TensorView view_of(Dtype dtype, const char *name, const void *data, int64_t n)
{
    return (TensorView){
        .name = "t", .dtype = dtype, .dtype_name = name, .dims = 1, .dim = { n }, .count = n, .data = data, .file = "f"
    };
}

/* Fraction, exponent and sign put together by ldexp: another way than the code's. */
static float half_by_formula(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const float sign = h >> 15 ? -1.0f : 1.0f;
    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexpf((float)fraction, -24);
    return sign * ldexpf((float)(1024 + fraction), exponent - 25);
}

/* The halves start at an odd address, as data behind a header of odd length does. */
static void every_half_is_converted_exactly(void **state)
{
    (void)state;
    enum { ALL = 65536 };
    char *bytes = xmalloc(2 * ALL + 1);
    float *out = xmalloc(ALL * sizeof *out);
    Err err = { 0 };
    for (uint32_t h = 0; h < ALL; h++) {
        const uint16_t half = (uint16_t)h;
        memcpy(bytes + 1 + 2 * h, &half, sizeof half);
    }
    const TensorView t = view_of(DTYPE_F16, "F16", bytes + 1, ALL);
    must(tensor_to_f32(out, &t, 0, ALL, &err), &err);
    for (uint32_t h = 0; h < ALL; h++) {
        const float wanted = half_by_formula((uint16_t)h);
        if (isnan(wanted))
            assert_true(isnan(out[h]));
        else
            assert_memory_equal(&out[h], &wanted, sizeof wanted);
    }
    free(bytes);
    free(out);
}

static void known_numbers_of_each_dtype_are_converted(void **state)
{
    (void)state;
    Err err = { 0 };
    float out[5];
    const uint16_t halves[] = { 0x3c00, 0x0001, 0x7bff, 0xfc00, 0x8000 };
    TensorView t = view_of(DTYPE_F16, "F16", halves, 5);
    const float from_halves[] = { 1.0f, 0x1p-24f, 65504.0f, -INFINITY, -0.0f };
    must(tensor_to_f32(out, &t, 0, 5, &err), &err);
    assert_memory_equal(out, from_halves, sizeof out);
    const uint16_t brains[] = { 0x3f80, 0x0001, 0x7f7f, 0xff80, 0x8000 };
    t = view_of(DTYPE_BF16, "BF16", brains, 5);
    const float from_brains[] = { 1.0f, 0x1p-133f, 0x1.fep127f, -INFINITY, -0.0f };
    must(tensor_to_f32(out, &t, 0, 5, &err), &err);
    assert_memory_equal(out, from_brains, sizeof out);
    const double doubles[] = { 1.0, 0.1, 1e-320, -HUGE_VAL, -0.0 };
    t = view_of(DTYPE_F64, "F64", doubles, 5);
    const float from_doubles[] = { 1.0f, 0.1f, 0.0f, -INFINITY, -0.0f };
    must(tensor_to_f32(out, &t, 0, 5, &err), &err);
    assert_memory_equal(out, from_doubles, sizeof out);
}

static void a_part_of_a_tensor_is_converted(void **state)
{
    (void)state;
    const uint16_t brains[] = { 0x3f80, 0x4000, 0x4040, 0x4080 };
    const double doubles[] = { 1, 2, 3, 4 };
    const uint16_t halves[] = { 0x3c00, 0x4000, 0x4200, 0x4400 };
    const float floats[] = { 1, 2, 3, 4 };
    const TensorView views[] = { view_of(DTYPE_BF16, "BF16", brains, 4), view_of(DTYPE_F64, "F64", doubles, 4),
                                 view_of(DTYPE_F16, "F16", halves, 4), view_of(DTYPE_F32, "F32", floats, 4) };
    for (int i = 0; i < 4; i++) {
        Err err = { 0 };
        float out[] = { 7, 7, 7, 7 };
        const float wanted[] = { 2, 3, 7, 7 };
        must(tensor_to_f32(out, &views[i], 1, 2, &err), &err);
        assert_memory_equal(out, wanted, sizeof out);
    }
}

static void whole_numbers_are_no_weights(void **state)
{
    (void)state;
    Err err = { 0 };
    float out[1];
    const int64_t numbers[] = { 1 };
    const TensorView t = view_of(DTYPE_I64, "I64", numbers, 1);
    assert_false(tensor_to_f32(out, &t, 0, 1, &err));
    assert_string_equal(err.what, "its dtype is I64");
    assert_string_equal(err.where, "f: t");
    assert_string_equal(err.hint, "weights may be F32, F16, BF16 or F64");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_of_the_library_written_again_has_the_same_bytes),
        TEST(names_are_quoted_and_empty_and_scalar_tensors_written_as_the_library_does),
        TEST(tensors_stand_sorted_and_are_found_by_name),
        TEST(the_digest_changes_with_any_byte),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(a_header_length_that_is_not_the_headers_is_refused),
        TEST(a_header_longer_than_allowed_or_than_the_file_is_refused),
        TEST(data_that_is_not_tiled_exactly_is_refused),
        TEST(offsets_and_shapes_that_overflow_are_refused),
        TEST(a_size_that_does_not_fit_shape_and_dtype_is_refused),
        TEST(a_header_that_is_no_table_of_tensors_is_refused),
        TEST(the_error_names_file_and_tensor),
        TEST(a_file_without_tensors_is_valid),
        TEST(all_shards_of_an_index_are_one_model),
        TEST(an_index_that_does_not_fit_its_shards_is_refused),
        TEST(a_folder_without_weights_says_what_it_should_hold),
        TEST(every_half_is_converted_exactly),
        TEST(known_numbers_of_each_dtype_are_converted),
        TEST(a_part_of_a_tensor_is_converted),
        TEST(whole_numbers_are_no_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
