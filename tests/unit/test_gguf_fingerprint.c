#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/gguf/gguf.h"
#include "tests/unit/gguf_case.h"

static uint8_t *valid;
static size_t valid_size;

static int make_valid(void **state)
{
    (void)state;
    valid = gguf_case_make(&valid_size);
    return 0;
}

static int free_valid(void **state)
{
    (void)state;
    free(valid);
    return 0;
}

static void fingerprint_of(const uint8_t *data, size_t size, uint8_t out[32])
{
    struct fail fail;
    struct gguf *gguf = gguf_parse("model.gguf", data, size, &fail);

    assert_non_null(gguf);
    gguf_fingerprint(gguf, out);
    gguf_close(gguf);
}

static void a_fingerprint_changes_with_every_part_of_the_file(void **state)
{
    const size_t places[] = {gguf_case_find(valid, valid_size, "llama"), gguf_case_find(valid, valid_size, "test.f32") + 13,
                             valid_size - 40, valid_size - 1};
    uint8_t original[32];
    uint8_t changed[32];

    (void)state;
    fingerprint_of(valid, valid_size, original);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        valid[places[i]] ^= 1;
        fingerprint_of(valid, valid_size, changed);
        valid[places[i]] ^= 1;
        assert_memory_not_equal(original, changed, 32);
        for (size_t word = 0; word < 32; word += 8)
            assert_memory_not_equal(original + word, changed + word, 8);
    }
    fingerprint_of(valid, valid_size, changed);
    assert_memory_equal(original, changed, 32);
}

static void a_large_file_has_a_fingerprint_of_places_up_to_its_end(void **state)
{
    const size_t size = valid_size + (1 << 20);
    uint8_t *bytes = calloc(1, size);
    uint8_t original[32];
    uint8_t changed[32];

    (void)state;
    assert_non_null(bytes);
    memcpy(bytes, valid, valid_size);
    fingerprint_of(bytes, size, original);
    bytes[size - 1] = 1;
    fingerprint_of(bytes, size, changed);
    assert_memory_not_equal(original, changed, 32);
    fingerprint_of(bytes, size - 1, changed);
    assert_memory_not_equal(original, changed, 32);
    free(bytes);
}

static void a_fingerprint_that_is_kept_is_given_whatever_the_file_holds(void **state)
{
    static const uint8_t known[32] = {4, 5, 6, [31] = 7};
    uint8_t original[32], kept[32];
    struct fail fail;
    struct gguf *gguf = gguf_parse("kept", valid, valid_size, &fail);

    (void)state;
    assert_non_null(gguf);
    gguf_fingerprint(gguf, original);
    gguf_keep_fingerprint(gguf, NULL);
    gguf_fingerprint(gguf, kept);
    assert_memory_equal(kept, original, sizeof kept);
    gguf_keep_fingerprint(gguf, known);
    gguf_fingerprint(gguf, kept);
    assert_memory_equal(kept, known, sizeof kept);
    gguf_close(gguf);
}

/* Computed by another program from docs/PROTOCOL.md: nodes of different builds, or makers, compare it. */
static void a_fingerprint_is_the_one_that_the_protocol_describes(void **state)
{
    static const uint8_t described[32] = {0x91, 0x04, 0x09, 0x1d, 0x87, 0x1d, 0x4f, 0x66, 0xca, 0x9f, 0xae, 0x0b, 0x53, 0x6e, 0xfc, 0x85,
                                          0xf6, 0x04, 0xe9, 0xae, 0xa7, 0x11, 0x8b, 0x78, 0x3c, 0x7f, 0x7b, 0xb2, 0x79, 0xc4, 0x84, 0x22};
    uint8_t fingerprint[32];
    struct fail fail;
    struct gguf *gguf = gguf_open("node/models/stories-q8_0.gguf", &fail);

    (void)state;
    assert_non_null(gguf);
    gguf_fingerprint(gguf, fingerprint);
    assert_memory_equal(fingerprint, described, sizeof fingerprint);
    gguf_close(gguf);
}

static void write_at(const char *path, const uint8_t *bytes, size_t size, off_t at, int64_t modified_s)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = modified_s}};
    const int file = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(file >= 0);
    assert_int_equal(pwrite(file, bytes, size, at), size);
    assert_int_equal(futimens(file, times), 0); /* the clock of a file system may be coarse */
    close(file);
}

static void a_file_is_intact_until_other_bytes_are_written_to_it(void **state)
{
    char path[] = "/tmp/test_gguf_fingerprint.XXXXXX", other[sizeof path + 2];
    uint8_t fingerprint[32];
    struct fail fail;
    int64_t seen_ns = 0;
    struct gguf *gguf;

    (void)state;
    close(mkstemp(path));
    snprintf(other, sizeof other, "%s.2", path);
    write_at(path, valid, valid_size, 0, 1000);
    gguf = gguf_open(path, &fail);
    assert_non_null(gguf);
    gguf_fingerprint(gguf, fingerprint);
    assert_true(gguf_is_intact(gguf, fingerprint, &seen_ns));
    write_at(path, valid, valid_size, 0, 2000); /* the same bytes */
    assert_true(gguf_is_intact(gguf, fingerprint, &seen_ns));
    assert_true(gguf_is_intact(gguf, fingerprint, &seen_ns));
    valid[valid_size - 1] ^= 1;
    write_at(other, valid, valid_size, 0, 3000); /* renamed over it: the old one is still open */
    assert_int_equal(rename(other, path), 0);
    assert_true(gguf_is_intact(gguf, fingerprint, &seen_ns));
    gguf_close(gguf);

    seen_ns = 0;
    gguf = gguf_open(path, &fail);
    assert_non_null(gguf);
    gguf_fingerprint(gguf, fingerprint);
    valid[valid_size - 1] ^= 1;
    write_at(path, valid, valid_size, 0, 4000);
    assert_false(gguf_is_intact(gguf, fingerprint, &seen_ns));
    gguf_close(gguf);

    seen_ns = 0;
    gguf = gguf_open(path, &fail);
    assert_non_null(gguf);
    gguf_fingerprint(gguf, fingerprint);
    write_at(path, valid, 1, (off_t)valid_size, 4000);
    assert_false(gguf_is_intact(gguf, fingerprint, &seen_ns)); /* longer */
    gguf_close(gguf);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fingerprint_changes_with_every_part_of_the_file),
        cmocka_unit_test(a_fingerprint_that_is_kept_is_given_whatever_the_file_holds),
        cmocka_unit_test(a_fingerprint_is_the_one_that_the_protocol_describes),
        cmocka_unit_test(a_file_is_intact_until_other_bytes_are_written_to_it),
        cmocka_unit_test(a_large_file_has_a_fingerprint_of_places_up_to_its_end),
    };

    return cmocka_run_group_tests(tests, make_valid, free_valid);
}
