/* Class folders, the cache file, and images made ahead. */
#include "worker/images/pixels.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/must.h"
#include "worker/images/ahead.h"
#include "worker/images/folder.h"
#include "worker/images/image_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FIXTURES "tests/worker/images/fixtures/"
#define SIZE 8
#define VALUES (3 * SIZE * SIZE)

/* ---- a data set, and a cache of its own -------------------------------------------------- */

typedef struct Room {
    char *folder, *cache;
    ImageProcess process;
} Room;

static void put(const Room *room, const char *name, const char *fixture)
{
    Err err = { 0 };
    char *to = path_join(room->folder, name), *folder = path_folder(to);
    must(folder_make(folder, &err), &err);
    if (fixture) {
        char *from = path_join(FIXTURES, fixture);
        must(file_copy(from, to, &err), &err);
        free(from);
    } else {
        must(file_write(to, "", 0, &err), &err);
    }
    free(folder);
    free(to);
}

static void open_room(Room *room)
{
    static const char json[] = "{\"size\": 8}";
    char name[] = "/tmp/pixels_test_XXXXXX";
    Err err = { 0 };
    assert_non_null(mkdtemp(name));
    room->folder = path_join(name, "data");
    room->cache = path_join(name, "cache");
    assert_int_equal(setenv("LORA_CACHE", room->cache, 1), 0);
    must(image_process_parse(&room->process, json, strlen(json), "json", &err), &err);
    put(room, "bees/b.jpg", "jpeg-420");
    put(room, "bees/a.jpg", "jpeg-grey");
    put(room, "ants/z.txt", "refused-text");
    put(room, "ants/named.gif", "png-rgb-8"); /* a name says nothing */
    put(room, "ants/cut.jpg", "refused-cut-jpeg");
    put(room, "ants/.hidden", "jpeg-420");
    put(room, "ants/empty.png", NULL);
    put(room, ".git/c.jpg", "jpeg-420");
    put(room, "README", "refused-text");
}

static void close_room(Room *room)
{
    Err err = { 0 };
    char *folder = path_folder(room->folder);
    must(folder_remove(folder, &err), &err);
    free(folder);
    free(room->folder);
    free(room->cache);
}

static const char **paths_of(const ImageFolder *folder)
{
    const char **paths = xcalloc((size_t)folder->count, sizeof *paths);
    for (int64_t i = 0; i < folder->count; i++)
        paths[i] = folder->file[i].path;
    return paths;
}

/* ---- folders ------------------------------------------------------------------------------- */

static void classes_and_files_are_sorted_and_what_is_no_image_is_bad(void **state)
{
    static const char *const names[] = { "cut.jpg", "empty.png", "named.gif", "z.txt", "a.jpg", "b.jpg" };
    (void)state;
    Err err = { 0 };
    Room room;
    ImageFolder folder;
    open_room(&room);
    must(image_folder_open(&folder, room.folder, -1, true, &err), &err);
    assert_int_equal(folder.class_count, 2);
    assert_string_equal(folder.classes[0], "ants");
    assert_string_equal(folder.classes[1], "bees");
    assert_int_equal(folder.count, 6);
    for (int64_t i = 0; i < 6; i++) {
        assert_string_equal(path_name(folder.file[i].path), names[i]);
        assert_int_equal(folder.file[i].label, i < 4 ? 0 : 1);
        assert_int_equal(folder.file[i].bad != NULL, i == 1 || i == 3);
    }
    image_folder_release(&folder);
    must(image_folder_open(&folder, room.folder, 5, true, &err), &err);
    assert_int_equal(folder.count, 5);
    assert_int_equal(folder.class_count, 2);
    image_folder_release(&folder);
    close_room(&room);
}

static void images_without_classes_are_read_only_where_labels_do_not_matter(void **state)
{
    (void)state;
    Err err = { 0 };
    Room room;
    ImageFolder folder;
    open_room(&room);
    char *inner = path_join(room.folder, "bees");
    assert_false(image_folder_open(&folder, inner, -1, true, &err));
    assert_non_null(strstr(err.what, "no class folders"));
    must(image_folder_open(&folder, inner, -1, false, &err), &err);
    assert_int_equal(folder.count, 2);
    assert_int_equal(folder.file[0].label, -1);
    image_folder_release(&folder);
    free(inner);
    close_room(&room);
}

/* ---- rows ------------------------------------------------------------------------------------- */

static void by_hand(float *out, const ImageProcess *process, const char *path)
{
    Err err = { 0 };
    Image image;
    uint8_t planes[VALUES];
    must(image_read(&image, path, &err), &err);
    must(image_process_apply(process, planes, SIZE, SIZE, &image, &err), &err);
    image_process_values(process, out, planes, SIZE * SIZE);
    image_release(&image);
}

static int64_t cache_files(const Room *room)
{
    Err err = { 0 };
    size_t count;
    char **names = folder_list(room->cache, &count, &err);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return (int64_t)count;
}

static void check_rows(const Room *room, const ImageFolder *folder, const char **paths)
{
    static const uint32_t rows[] = { 5, 2, 4, 5 };
    const PixelsOptions options = { .process = &room->process, .height = SIZE, .width = SIZE };
    Err err = { 0 };
    Pixels *pixels = pixels_open(&options, paths, folder->count, &err);
    must(pixels != NULL, &err);
    assert_int_equal(pixels_bad_count(pixels), 3);
    float have[4 * VALUES], want[VALUES];
    for (int64_t i = 0; i < folder->count; i++) {
        Err bad = { 0 };
        assert_int_equal(pixels_bad(pixels, i, &bad), i == 0 || i == 1 || i == 3);
        if (bad.kind != ERR_NONE)
            assert_string_equal(bad.where, paths[i]);
    }
    pixels_expect(pixels, rows, 4, 0);
    must(pixels_fill(pixels, have, rows, 4, 0, &err), &err);
    for (int64_t i = 0; i < 4; i++) {
        by_hand(want, &room->process, paths[rows[i]]);
        assert_memory_equal(have + i * VALUES, want, sizeof want);
    }
    pixels_close(pixels);
}

static void rows_come_from_the_cache_as_from_the_files(void **state)
{
    (void)state;
    Err err = { 0 };
    Room room;
    ImageFolder folder;
    open_room(&room);
    must(image_folder_open(&folder, room.folder, -1, true, &err), &err);
    const char **paths = paths_of(&folder);
    check_rows(&room, &folder, paths);
    assert_int_equal(cache_files(&room), 1);
    check_rows(&room, &folder, paths); /* found */
    assert_int_equal(cache_files(&room), 1);
    put(&room, "bees/b.jpg", "jpeg-444"); /* another content is another key */
    check_rows(&room, &folder, paths);
    assert_int_equal(cache_files(&room), 2);
    free(paths);
    image_folder_release(&folder);
    close_room(&room);
}

static void a_damaged_cache_file_is_made_again(void **state)
{
    (void)state;
    Err err = { 0 };
    Room room;
    ImageFolder folder;
    open_room(&room);
    must(image_folder_open(&folder, room.folder, -1, true, &err), &err);
    const char **paths = paths_of(&folder);
    check_rows(&room, &folder, paths);
    size_t count;
    char **names = folder_list(room.cache, &count, &err);
    assert_int_equal(count, 1);
    char *path = path_join(room.cache, names[0]);
    const int64_t size = file_size(path);
    for (int64_t cut = 0; cut < size; cut += 997) {
        assert_int_equal(truncate(path, cut), 0);
        check_rows(&room, &folder, paths);
        assert_int_equal(file_size(path), size);
    }
    free(path);
    free(names[0]);
    free(names);
    free(paths);
    image_folder_release(&folder);
    close_room(&room);
}

static void a_cache_folder_that_cannot_be_made_is_an_error(void **state)
{
    (void)state;
    Err err = { 0 };
    Room room;
    open_room(&room);
    char *path = path_join(room.folder, "bees/b.jpg");
    const char *paths[] = { path };
    const PixelsOptions options = { .process = &room.process, .height = SIZE, .width = SIZE };
    assert_int_equal(setenv("LORA_CACHE", path, 1), 0); /* a file */
    assert_null(pixels_open(&options, paths, 1, &err));
    assert_int_not_equal(err.kind, ERR_NONE);
    free(path);
    close_room(&room);
}

/* ---- augmentation ---------------------------------------------------------------------------------- */

/* Epochs 0 to 3 of all good rows, announced or not. */
static void draw(float *out, const Room *room, const char **paths, int64_t count, int threads, int64_t ahead,
                 bool announce)
{
    static const uint32_t rows[] = { 2, 4, 5 };
    const PixelsOptions options = {
        .process = &room->process, .height = SIZE, .width = SIZE, .seed = 42, .augment = image_augment_usual()
    };
    Err err = { 0 };
    Pixels *pixels = pixels_open(&options, paths, count, &err);
    must(pixels != NULL, &err);
    must(pixels_start(pixels, ahead, threads, &err), &err);
    assert_int_equal(pixels_bad_count(pixels), 3);
    for (int64_t epoch = 0; epoch < 4; epoch++) {
        must(pixels_fill(pixels, out + epoch * 3 * VALUES, rows, 3, epoch, &err), &err);
        if (announce)
            pixels_expect(pixels, rows, 3, epoch + 1);
    }
    pixels_close(pixels);
}

static void augmented_rows_depend_on_row_and_epoch_alone(void **state)
{
    (void)state;
    Err err = { 0 };
    Room room;
    ImageFolder folder;
    open_room(&room);
    must(image_folder_open(&folder, room.folder, -1, true, &err), &err);
    const char **paths = paths_of(&folder);
    float first[4 * 3 * VALUES], again[4 * 3 * VALUES];
    draw(first, &room, paths, folder.count, 1, 1, false);
    for (int threads = 1; threads <= 3; threads++) {
        for (int64_t ahead = 1; ahead <= 8; ahead += 3) {
            draw(again, &room, paths, folder.count, threads, ahead, true);
            assert_memory_equal(again, first, sizeof first);
        }
    }
    assert_memory_not_equal(first, first + 3 * VALUES, 3 * VALUES * sizeof *first); /* epochs differ */
    free(paths);
    image_folder_release(&folder);
    close_room(&room);
}

static void a_file_that_goes_away_is_an_error_in_its_batch(void **state)
{
    (void)state;
    Err err = { 0 };
    Room room;
    open_room(&room);
    char *path = path_join(room.folder, "bees/b.jpg");
    const char *paths[] = { path };
    const uint32_t row = 0;
    const PixelsOptions options = {
        .process = &room.process, .height = SIZE, .width = SIZE, .augment = image_augment_usual()
    };
    Pixels *pixels = pixels_open(&options, paths, 1, &err);
    must(pixels != NULL && pixels_start(pixels, 2, 1, &err), &err);
    assert_int_equal(unlink(path), 0);
    float out[VALUES];
    for (int64_t epoch = 0; epoch < 2; epoch++) {
        err = (Err){ 0 };
        if (epoch == 1)
            pixels_expect(pixels, &row, 1, epoch);
        assert_false(pixels_fill(pixels, out, &row, 1, epoch, &err));
        assert_string_equal(err.where, path);
    }
    pixels_close(pixels);
    free(path);
    close_room(&room);
}

/* ---- ahead ------------------------------------------------------------------------------------------- */

typedef struct Slow {
    double seconds;
    atomic_int *made;
} Slow;

static bool make_slowly(const void *self, uint8_t *planes, int64_t row, int64_t epoch, Err *err)
{
    (void)err;
    const Slow *slow = self;
    clock_sleep(slow->seconds);
    planes[0] = (uint8_t)row;
    planes[1] = (uint8_t)epoch;
    atomic_fetch_add(slow->made, 1);
    return true;
}

static void take_image(Ahead *ahead, int64_t row, int64_t epoch)
{
    Err err = { 0 };
    uint8_t planes[2] = { 0 };
    must(ahead_take(ahead, planes, row, epoch, &err), &err);
    assert_int_equal(planes[0], row);
    assert_int_equal(planes[1], epoch);
}

static void images_are_ready_when_they_are_asked_for(void **state)
{
    (void)state;
    Err err = { 0 };
    atomic_int made = 0;
    const Slow slow = { 0.001, &made };
    static const uint32_t rows[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    Ahead *ahead = ahead_start(make_slowly, &slow, 2, 8, 2, &err);
    must(ahead != NULL, &err);
    ahead_expect(ahead, rows, 8, 1);
    for (int i = 0; i < 60000 && atomic_load(&made) < 8; i++)
        clock_sleep(0.001);
    clock_sleep(0.01); /* the last one is laid down after it is counted */
    for (int64_t row = 0; row < 8; row++)
        take_image(ahead, row, 1);
    assert_true(atomic_load(&made) <= 10); /* not made again, but for those that a maker still held */
    ahead_stop(ahead);
}

static void a_plan_that_changed_is_forgotten(void **state)
{
    (void)state;
    Err err = { 0 };
    atomic_int made = 0;
    const Slow slow = { 0.0001, &made };
    static const uint32_t wrong[] = { 0, 1, 2, 3, 4, 5 }, right[] = { 10, 11, 12, 13 };
    Ahead *ahead = ahead_start(make_slowly, &slow, 2, 4, 2, &err);
    must(ahead != NULL, &err);
    for (int64_t round = 0; round < 50; round++) {
        ahead_expect(ahead, wrong, 6, round); /* more than there is room for */
        take_image(ahead, 100, round); /* expected by nobody */
        ahead_expect(ahead, right, 4, round);
        take_image(ahead, 11, round + 1); /* of another epoch */
        for (int64_t i = 0; i < 4; i += 2) /* some are passed over */
            take_image(ahead, right[i], round);
        take_image(ahead, 10, round); /* once more */
    }
    ahead_stop(ahead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_and_files_are_sorted_and_what_is_no_image_is_bad),
        cmocka_unit_test(images_without_classes_are_read_only_where_labels_do_not_matter),
        cmocka_unit_test(rows_come_from_the_cache_as_from_the_files),
        cmocka_unit_test(a_damaged_cache_file_is_made_again),
        cmocka_unit_test(a_cache_folder_that_cannot_be_made_is_an_error),
        cmocka_unit_test(augmented_rows_depend_on_row_and_epoch_alone),
        cmocka_unit_test(a_file_that_goes_away_is_an_error_in_its_batch),
        cmocka_unit_test(images_are_ready_when_they_are_asked_for),
        cmocka_unit_test(a_plan_that_changed_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
