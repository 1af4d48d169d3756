#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/common/bytes.h"
#include "node/common/hash.h"
#include "node/train/train_checkpoint.h"

/* A tiny state, so that every bit of its file can be tried, and one that takes several pieces. */
enum { TINY = 3, TINY_STEPS = 2, LARGE = 5000, LARGE_STEPS = 1500, TINY_BYTES = 128 + TINY_STEPS * 16 + TINY * 12 + 8 };

static char folder[] = "/tmp/test_train_checkpoint.XXXXXX";
static char path[64], other_path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/run.ckpt", folder);
    snprintf(other_path, sizeof other_path, "%s/other", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when a temporary file was left behind */
}

static void init_state(struct train_state *state, size_t count)
{
    *state = (struct train_state){.count = count};
    state->setup = (struct train_setup){.dim = 8, .layers = 1, .steps = 2000, .rate = 0.001f, .seed = 1};
    state->weights = calloc(count, sizeof(float));
    state->momentum = calloc(count, sizeof(float));
    state->spread = calloc(count, sizeof(float));
    assert_true(state->weights && state->momentum && state->spread);
}

/* Any finite values: of every size and both signs, zero and subnormal ones among them. */
static float some_float(uint64_t place, bool is_positive)
{
    uint32_t bits = (uint32_t)hash_words3(1, 2, place) & (is_positive ? 0x7fffffff : 0xffffffff);
    float value;

    bits = (bits & 0x7f800000) == 0x7f800000 ? bits & 0x807fffff : bits;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fill_state(struct train_state *state, uint64_t steps)
{
    for (size_t i = 0; i < state->count; i++) {
        state->weights[i] = some_float(3 * i, false);
        state->momentum[i] = some_float(3 * i + 1, false);
        state->spread[i] = some_float(3 * i + 2, true);
    }
    state->weights[0] = -0.0f;
    state->record = calloc(steps, sizeof *state->record);
    assert_non_null(state->record);
    state->record_capacity = steps;
    state->step = steps;
    for (uint64_t i = 0; i < steps; i++)
        state->record[i] =
            (struct train_record){i + 1, some_float(i, true), i % 2 ? -1 : some_float(i, true), some_float(i, true), some_float(i, true)};
    state->record[0].gradient = INFINITY;
    state->record[0].loss = NAN;
}

static void release_state(struct train_state *state)
{
    free(state->weights);
    free(state->momentum);
    free(state->spread);
    free(state->record);
}

static void assert_same_state(const struct train_state *a, const struct train_state *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->weights, b->weights, a->count * sizeof(float));
    assert_memory_equal(a->momentum, b->momentum, a->count * sizeof(float));
    assert_memory_equal(a->spread, b->spread, a->count * sizeof(float));
    assert_int_equal(a->step, b->step);
    for (uint64_t i = 0; i < a->step; i++) {
        assert_int_equal(a->record[i].step, b->record[i].step);
        assert_memory_equal(&a->record[i].loss, &b->record[i].loss, 4 * sizeof(float));
    }
}

static void save(const struct train_state *state)
{
    struct fail fail;

    assert_int_equal(train_checkpoint_save(state, path, &fail), 0);
}

static void save_tiny(void)
{
    struct train_state tiny;

    init_state(&tiny, TINY);
    fill_state(&tiny, TINY_STEPS);
    save(&tiny);
    release_state(&tiny);
}

static size_t read_file(uint8_t *out, size_t size_max)
{
    FILE *file = fopen(path, "rb");
    size_t size;

    assert_non_null(file);
    size = fread(out, 1, size_max, file);
    fclose(file);
    return size;
}

static int read_memory(struct train_state *state, const uint8_t *bytes, size_t size, struct fail *fail)
{
    FILE *file = fmemopen((void *)(uintptr_t)bytes, size, "rb");
    int result;

    assert_non_null(file);
    result = train_checkpoint_read(state, file, size, "a.ckpt", fail);
    fclose(file);
    return result;
}

/* Refused with this exit code and text; the state is unchanged. */
static void check_refused(const uint8_t *bytes, size_t size, const char *text)
{
    struct train_state state;
    struct fail fail = {0};

    init_state(&state, TINY);
    state.weights[1] = 7;
    assert_int_equal(read_memory(&state, bytes, size, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_non_null(strstr(fail.text, text));
    assert_true(state.weights[0] == 0 && state.weights[1] == 7 && state.momentum[2] == 0 && state.spread[2] == 0);
    assert_true(state.step == 0 && state.record == NULL && state.record_capacity == 0);
    release_state(&state);
}

static void a_state_comes_back_to_the_bit(void **state)
{
    struct train_state saved, loaded;
    struct fail fail;

    (void)state;
    init_state(&saved, LARGE);
    init_state(&loaded, LARGE);
    fill_state(&saved, LARGE_STEPS);
    save(&saved);
    assert_int_equal(train_checkpoint_load(&loaded, path, &fail), 0);
    assert_same_state(&saved, &loaded);
    assert_true(loaded.record_capacity >= LARGE_STEPS);
    release_state(&saved);
    release_state(&loaded);
}

static void a_state_before_its_first_step_comes_back(void **state)
{
    struct train_state saved, loaded;
    struct fail fail;

    (void)state;
    init_state(&saved, TINY);
    init_state(&loaded, TINY);
    saved.weights[0] = 5;
    save(&saved);
    assert_int_equal(train_checkpoint_load(&loaded, path, &fail), 0);
    assert_same_state(&saved, &loaded);
    release_state(&saved);
    release_state(&loaded);
}

static void room_for_more_records_stays(void **state)
{
    struct train_state loaded;
    struct fail fail;

    (void)state;
    save_tiny();
    init_state(&loaded, TINY);
    fill_state(&loaded, 100);
    assert_int_equal(train_checkpoint_load(&loaded, path, &fail), 0);
    assert_int_equal(loaded.step, TINY_STEPS);
    assert_int_equal(loaded.record_capacity, 100);
    release_state(&loaded);
}

/* The file of a fixed state has a fixed hash, on every machine. */
static void the_same_state_is_the_same_file_everywhere(void **state)
{
    uint8_t bytes[TINY_BYTES + 1];

    (void)state;
    save_tiny();
    assert_int_equal(read_file(bytes, sizeof bytes), TINY_BYTES);
    assert_memory_equal(bytes + 128 + TINY_STEPS * 16, "\0\0\0\x80", 4);
    assert_int_equal(hash_bytes(0, bytes, TINY_BYTES), 0x13ccd96a780f46e0);
}

static void setup_and_step_can_be_had_alone(void **state)
{
    struct train_setup setup;
    struct fail fail;
    uint64_t step;

    (void)state;
    save_tiny();
    assert_int_equal(train_checkpoint_peek(path, &setup, &step, &fail), 0);
    assert_int_equal(setup.dim, 8);
    assert_int_equal(setup.steps, 2000);
    assert_int_equal(step, TINY_STEPS);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(train_checkpoint_peek(path, &setup, &step, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
}

static void the_checkpoint_of_another_run_is_refused_as_a_matter_of_usage(void **state)
{
    struct train_state other;
    struct fail fail;
    char text[300];

    (void)state;
    save_tiny();
    init_state(&other, TINY + 1);
    other.setup.dim = 16;
    assert_int_equal(train_checkpoint_load(&other, path, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    snprintf(text, sizeof text,
             "%s: belongs to another run: the checkpoint has dim 8 (asked for 16), weights 3 (4): give the options and the text of "
             "that run",
             path);
    assert_string_equal(fail.text, text);
    release_state(&other);
}

static void a_file_that_is_cut_anywhere_is_refused(void **state)
{
    uint8_t bytes[TINY_BYTES];

    (void)state;
    save_tiny();
    assert_int_equal(read_file(bytes, sizeof bytes), TINY_BYTES);
    check_refused(bytes, 0, "a.ckpt: the file is empty: ");
    for (size_t size = 1; size < TINY_BYTES; size++)
        check_refused(bytes, size, "it is truncated: ");
}

static void a_bit_that_is_wrong_anywhere_is_noticed(void **state)
{
    uint8_t bytes[TINY_BYTES];

    (void)state;
    save_tiny();
    assert_int_equal(read_file(bytes, sizeof bytes), TINY_BYTES);
    for (size_t bit = 0; bit < 8 * (size_t)TINY_BYTES; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_refused(bytes, sizeof bytes, "a.ckpt: ");
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* One bit in each of the pieces of a file that is longer. */
static void a_wrong_bit_in_any_piece_is_noticed(void **state)
{
    static uint8_t bytes[128 + LARGE_STEPS * 16 + LARGE * 12 + 8];
    struct train_state saved;
    struct fail fail;

    (void)state;
    init_state(&saved, LARGE);
    fill_state(&saved, LARGE_STEPS);
    save(&saved);
    assert_int_equal(read_file(bytes, sizeof bytes), sizeof bytes);
    for (size_t at = 200; at < sizeof bytes; at += 1000) {
        bytes[at] ^= 1;
        assert_int_equal(read_memory(&saved, bytes, sizeof bytes, &fail), -1);
        assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
        bytes[at] ^= 1;
    }
    assert_int_equal(read_memory(&saved, bytes, sizeof bytes, &fail), 0);
    release_state(&saved);
}

/* As written by a program with such a value. */
static void check_value_refused(size_t at, uint32_t bits, const char *text)
{
    uint8_t bytes[TINY_BYTES];
    struct bytes writer;

    assert_int_equal(read_file(bytes, sizeof bytes), TINY_BYTES);
    writer = bytes_writer(bytes + at, 4);
    bytes_put_u32(&writer, bits);
    writer = bytes_writer(bytes + TINY_BYTES - 8, 8);
    bytes_put_u64(&writer, hash_bytes(0, bytes, TINY_BYTES - 8));
    check_refused(bytes, sizeof bytes, text);
}

static void weights_that_are_no_numbers_are_refused(void **state)
{
    const size_t vectors = 128 + TINY_STEPS * 16;

    (void)state;
    save_tiny();
    check_value_refused(vectors, 0x7fc00000,
                        "a.ckpt: weight 0 is not a finite number: no run can go on from it: use an earlier checkpoint");
    check_value_refused(vectors + (size_t)TINY * 4 + 4, 0xff800000, "a.ckpt: momentum 1 is not a finite number: ");
    check_value_refused(vectors + (size_t)TINY * 8 + 8, 0x7f800000, "a.ckpt: spread 2 is not a finite number: ");
    check_value_refused(vectors + (size_t)TINY * 8, 0x80000001, "a.ckpt: spread 0 is negative: ");
}

static void weights_that_are_no_numbers_are_not_written_over_good_ones(void **state)
{
    struct train_state tiny;
    struct fail fail;
    uint8_t before[TINY_BYTES], after[TINY_BYTES];
    char text[200];

    (void)state;
    save_tiny();
    read_file(before, sizeof before);
    init_state(&tiny, TINY);
    tiny.weights[2] = NAN;
    assert_int_equal(train_checkpoint_save(&tiny, path, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_DIFFERENCE);
    snprintf(text, sizeof text,
             "%s: not written: weight 2 is not a finite number: the run has diverged: begin again with a lower learning rate", path);
    assert_string_equal(fail.text, text);
    read_file(after, sizeof after);
    assert_memory_equal(before, after, sizeof before);
    release_state(&tiny);
}

/* A limit of the file size stands for a disk that becomes full during the write. */
static void a_full_disk_leaves_the_earlier_checkpoint(void **state)
{
    struct train_state large;
    struct rlimit limit, old;
    struct fail fail = {0};
    uint8_t before[TINY_BYTES], after[TINY_BYTES + 1];
    int result;

    (void)state;
    save_tiny();
    read_file(before, sizeof before);
    init_state(&large, LARGE);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){.rlim_cur = 20000, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    result = train_checkpoint_save(&large, path, &fail);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(result, -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "run.ckpt: writing failed: File too large: make room, or write to another disk"));
    assert_int_equal(read_file(after, sizeof after), sizeof before);
    assert_memory_equal(before, after, sizeof before);
    release_state(&large);
}

static void what_cannot_be_written_is_reported(void **state)
{
    struct train_state tiny;
    struct fail fail;

    (void)state;
    init_state(&tiny, TINY);
    assert_int_equal(train_checkpoint_save(&tiny, "/no/such/folder/run.ckpt", &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "/no/such/folder/run.ckpt: cannot be written: No such file or directory: "));
    assert_int_equal(train_checkpoint_save(&tiny, folder, &fail), -1);
    assert_non_null(strstr(fail.text, ": cannot be written: Is a directory: "));
    assert_int_equal(train_checkpoint_save(&tiny, "/dev/full", &fail), -1);
    assert_string_equal(fail.text, "/dev/full: writing failed: No space left on device: make room, or write to another disk");
    release_state(&tiny);
}

static void check_load(const char *from, enum exit_code exit_code, const char *text)
{
    struct train_state tiny;
    struct train_setup setup;
    struct fail fail;
    uint64_t step;

    init_state(&tiny, TINY);
    assert_int_equal(train_checkpoint_load(&tiny, from, &fail), -1);
    assert_int_equal(fail.exit_code, exit_code);
    assert_non_null(strstr(fail.text, text));
    assert_int_equal(train_checkpoint_peek(from, &setup, &step, &fail), -1);
    assert_int_equal(fail.exit_code, exit_code);
    assert_non_null(strstr(fail.text, text));
    release_state(&tiny);
}

static void what_cannot_be_read_is_named(void **state)
{
    char long_name[400];

    (void)state;
    check_load("/no/such/file", EXIT_ENVIRONMENT,
               "/no/such/file: cannot be opened: No such file or directory: check its name and permissions");
    check_load(folder, EXIT_BAD_FILE, ": is a directory: name a checkpoint in it");
    check_load("/dev/zero", EXIT_BAD_FILE, "/dev/zero: is no regular file: ");
    assert_int_equal(mkfifo(other_path, 0600), 0);
    check_load(other_path, EXIT_BAD_FILE, "/other: is no regular file: ");
    unlink(other_path);
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    check_load(long_name, EXIT_ENVIRONMENT, "x: cannot be opened: File name too long: check its name and permissions");
    save_tiny();
    if (getuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        check_load(path, EXIT_ENVIRONMENT, "run.ckpt: cannot be opened: Permission denied: ");
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_comes_back_to_the_bit),
        cmocka_unit_test(a_state_before_its_first_step_comes_back),
        cmocka_unit_test(room_for_more_records_stays),
        cmocka_unit_test(the_same_state_is_the_same_file_everywhere),
        cmocka_unit_test(setup_and_step_can_be_had_alone),
        cmocka_unit_test(the_checkpoint_of_another_run_is_refused_as_a_matter_of_usage),
        cmocka_unit_test(a_file_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(a_bit_that_is_wrong_anywhere_is_noticed),
        cmocka_unit_test(a_wrong_bit_in_any_piece_is_noticed),
        cmocka_unit_test(weights_that_are_no_numbers_are_refused),
        cmocka_unit_test(weights_that_are_no_numbers_are_not_written_over_good_ones),
        cmocka_unit_test(a_full_disk_leaves_the_earlier_checkpoint),
        cmocka_unit_test(what_cannot_be_written_is_reported),
        cmocka_unit_test(what_cannot_be_read_is_named),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
