#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/gguf/gguf.h"
#include "tests/unit/gguf_case.h"
#include "tests/unit/gguf_walk.h"
#include "tests/unit/model_folder.h"

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

static struct gguf *parse_valid(void)
{
    struct fail fail;
    struct gguf *gguf = gguf_parse("model.gguf", valid, valid_size, &fail);

    if (gguf == NULL)
        fail_msg("%s", fail.text);
    return gguf;
}

static void values_and_tensors_are_found_by_name(void **state)
{
    struct gguf *gguf = parse_valid();
    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, "b.weight");

    (void)state;
    assert_int_equal(gguf_version(gguf), 3);
    assert_int_equal(gguf_value_count(gguf), 8);
    assert_int_equal(gguf_tensor_count(gguf), 3);
    assert_int_equal(gguf_file_bytes(gguf), valid_size);
    assert_string_equal(gguf_path(gguf), "model.gguf");
    assert_null(gguf_find(gguf, "test.u3"));
    assert_null(gguf_find(gguf, ""));
    assert_null(gguf_find_tensor(gguf, "b.weigh"));
    assert_non_null(tensor);
    assert_int_equal(tensor->type, 8);
    assert_int_equal(tensor->dims[0], 64);
    assert_int_equal(tensor->dims[1], 2);
    assert_int_equal(tensor->dims[3], 1);
    assert_int_equal(tensor->data_size, 4 * 34);
    assert_ptr_equal(tensor->data, gguf_find_tensor(gguf, "a.weight")->data + 32);
    gguf_close(gguf);
}

static void typed_access_reads_values(void **state)
{
    struct gguf *gguf = parse_valid();
    struct gguf_string text;
    struct fail fail;
    uint64_t number = 0;
    float real = 0;
    bool flag = false;

    (void)state;
    assert_int_equal(gguf_get_uint(gguf, "test.u32", 7, &number, &fail), 1);
    assert_int_equal(number, 7);
    assert_int_equal(gguf_get_float(gguf, "test.f32", &real, &fail), 1);
    assert_true(real == 1.5f);
    assert_int_equal(gguf_get_float(gguf, "test.u32", &real, &fail), 1);
    assert_true(real == 7);
    assert_int_equal(gguf_get_bool(gguf, "test.flag", &flag, &fail), 1);
    assert_true(flag);
    assert_int_equal(gguf_get_string(gguf, "general.architecture", &text, &fail), 1);
    assert_int_equal(text.size, 5);
    assert_memory_equal(text.text, "llama", 5);
    assert_int_equal(gguf_get_uint(gguf, "absent", 7, &number, &fail), 0);
    assert_int_equal(number, 7);
    gguf_close(gguf);
}

static void typed_access_refuses_what_has_another_type_or_range(void **state)
{
    struct gguf *gguf = parse_valid();
    struct gguf_string text;
    struct fail fail;
    uint64_t number;
    float real;
    bool flag;

    (void)state;
    assert_int_equal(gguf_get_uint(gguf, "test.u32", 6, &number, &fail), -1);
    assert_string_equal(fail.text, "model.gguf: metadata 'test.u32': found 7, expected at most 6: get another copy of the file");
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_int_equal(gguf_get_uint(gguf, "test.f32", 6, &number, &fail), -1);
    assert_string_equal(fail.text, "model.gguf: metadata 'test.f32': its type is f32, expected an integer: get another copy of the file");
    assert_int_equal(gguf_get_float(gguf, "test.words", &real, &fail), -1);
    assert_string_equal(fail.text, "model.gguf: metadata 'test.words': its type is array, expected a number: get another copy of the file");
    assert_int_equal(gguf_get_bool(gguf, "test.u32", &flag, &fail), -1);
    assert_int_equal(gguf_get_string(gguf, "test.u32", &text, &fail), -1);
    gguf_close(gguf);
}

static void arrays_are_read_element_by_element(void **state)
{
    static const char *const words[] = {"one", "", "three"};
    struct gguf *gguf = parse_valid();
    const struct gguf_value *array = gguf_find(gguf, "test.words");
    struct gguf_string text;
    size_t cursor = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(gguf_array_next_string(array, &cursor, &text));
        assert_int_equal(text.size, strlen(words[i]));
        assert_memory_equal(text.text, words[i], text.size);
    }
    assert_false(gguf_array_next_string(array, &cursor, &text));
    assert_int_equal(gguf_array_int(gguf_find(gguf, "test.ints"), 0), 1);
    assert_int_equal(gguf_array_int(gguf_find(gguf, "test.ints"), 1), -2);
    assert_true(gguf_array_float(gguf_find(gguf, "test.floats"), 0) == 0.5f);
    gguf_close(gguf);
}

/* One field of the valid file and the result of overwriting it. */
struct broken {
    const char *after; /* the field starts `skip` bytes after the end of this name; NULL: at offset `skip` of the file */
    int skip;
    int size;
    uint64_t value;
    const char *message; /* without "model.gguf: "; only its beginning */
};

enum { TYPE = 0, VALUE = 4, ARRAY_TYPE = 4, ARRAY_LENGTH = 8, ARRAY_DATA = 16 }; /* after a key */
enum { DIM_COUNT = 0, DIM_0 = 4, DIM_1 = 12, TENSOR_TYPE = 20, OFFSET = 24 };    /* after the name of a tensor with two dimensions */
enum { OFFSET_OF_VECTOR = 16 };                                                  /* of one with a single dimension */
enum { LENGTH_OF_A = -16 };                                                      /* of the name a.weight itself */

static const struct broken brokens[] = {
    {NULL, 0, 4, 0x6c6d6767, "header: magic at offset 0 is 67 67 6d 6c, expected 47 47 55 46 (GGUF): not a GGUF file"},
    {NULL, 3, 1, 'X', "header: magic at offset 0 is 47 47 55 58, expected 47 47 55 46 (GGUF): not a GGUF file"},
    {NULL, 4, 4, 1, "header: version at offset 4 is 1: versions 2 and 3 are supported"},
    {NULL, 4, 4, 0, "header: version at offset 4 is 0: versions 2 and 3 are supported"},
    {NULL, 4, 4, 4, "header: version at offset 4 is 4: versions 2 and 3 are supported"},
    {NULL, 4, 4, 0x03000000, "header: version at offset 4 is 0x03000000: a big-endian file: only little-endian ones are read"},
    {NULL, 8, 8, (uint64_t)1 << 63, "header: tensor count at offset 8 is 9223372036854775808: at most 1048576 are read"},
    {NULL, 8, 8, UINT64_MAX, "header: tensor count at offset 8 is 18446744073709551615: at most"},
    {NULL, 8, 8, 1 << 20, "header: tensor count at offset 8 is 1048576, which needs more than the"},
    {NULL, 8, 8, 4, "tensor 3: "},
    {NULL, 16, 8, (uint64_t)1 << 63, "header: metadata count at offset 16 is 9223372036854775808: at most 1048576 are read"},
    {NULL, 16, 8, 1 << 20, "header: metadata count at offset 16 is 1048576, which needs more than the"},
    {NULL, 24, 8, 0, "metadata 0: key at offset 24 has 0 bytes, expected 1 to 65535"},
    {NULL, 24, 8, (uint64_t)1 << 60, "metadata 0: key at offset 32 takes 1152921504606846976 bytes, but the file ends at"},
    {NULL, 24, 8, UINT64_MAX, "metadata 0: key at offset 32 takes 18446744073709551615 bytes, but the file ends at"},
    {"test.u32", TYPE, 4, 13, "metadata 2 'test.u32': value type at offset"},
    {"test.u32", TYPE, 4, UINT32_MAX, "metadata 2 'test.u32': value type at offset"},
    {"general.architecture", VALUE, 8, (uint64_t)1 << 60, "metadata 0 'general.architecture': string value at offset"},
    {"general.architecture", VALUE, 8, UINT64_MAX - 7, "metadata 0 'general.architecture': string value at offset"},
    {"test.flag", VALUE, 1, 2, "metadata 4 'test.flag': value at offset"},
    {"test.words", ARRAY_TYPE, 4, GGUF_ARRAY, "metadata 5 'test.words': array element type at offset"},
    {"test.words", ARRAY_TYPE, 4, 77, "metadata 5 'test.words': array element type at offset"},
    {"test.words", ARRAY_LENGTH, 8, (uint64_t)1 << 63,
     "metadata 5 'test.words': array length is 9223372036854775808, which needs more than"},
    {"test.words", ARRAY_LENGTH, 8, (uint64_t)1 << 61,
     "metadata 5 'test.words': array length is 2305843009213693952, which needs more than"},
    {"test.words", ARRAY_DATA, 8, (uint64_t)1 << 60, "metadata 5 'test.words': string of the array at offset"},
    {"test.ints", ARRAY_LENGTH, 8, (uint64_t)1 << 62, "metadata 6 'test.ints': array length is 4611686018427387904, which needs more than"},
    {"test.ints", ARRAY_TYPE, 4, GGUF_BOOL, "metadata 7"},
    {"test.ints", ARRAY_TYPE, 8, (uint64_t)8 << 32 | GGUF_BOOL, "metadata 6 'test.ints': value at offset"}, /* 1, 0, 0, 0, 254: of eight */
    {"general.alignment", VALUE, 4, 0, "metadata 'general.alignment': found 0, expected a power of two up to 1048576"},
    {"general.alignment", VALUE, 4, 48, "metadata 'general.alignment': found 48, expected a power of two up to 1048576"},
    {"general.alignment", VALUE, 4, 1u << 31, "metadata 'general.alignment': found 2147483648, expected at most 1048576"},
    {"general.alignment", TYPE, 4, GGUF_F32,
     "metadata 'general.alignment': its type is f32, expected an integer: get another copy of the file"},
    {"general.alignment", VALUE, 4, 256, "tensor 1 'b.weight': offset 32 is not a multiple of general.alignment (256)"},
    {"a.weight", LENGTH_OF_A, 8, 0, "tensor 0: name at offset"},
    {"a.weight", LENGTH_OF_A, 8, 257, "tensor 0: name at offset"},
    {"a.weight", LENGTH_OF_A, 8, (uint64_t)1 << 40, "tensor 0: name at offset"},
    {"b.weight", DIM_COUNT, 4, 0, "tensor 1 'b.weight': dimension count at offset"},
    {"b.weight", DIM_COUNT, 4, 5, "tensor 1 'b.weight': dimension count at offset"},
    {"b.weight", DIM_COUNT, 4, UINT32_MAX, "tensor 1 'b.weight': dimension count at offset"},
    {"b.weight", DIM_0, 8, 0, "tensor 1 'b.weight': dimension 0 at offset"},
    {"b.weight", DIM_1, 8, 0, "tensor 1 'b.weight': dimension 1 at offset"},
    {"b.weight", DIM_0, 8, UINT64_MAX, "tensor 1 'b.weight': dimension 0 at offset"},
    {"b.weight", DIM_1, 8, (uint64_t)1 << 58, "tensor 1 'b.weight': dimension 1 at offset"},
    {"b.weight", DIM_1, 8, (uint64_t)1 << 56, "tensor 1 'b.weight': offset "},
    {"b.weight", DIM_0, 8, 33, "tensor 1 'b.weight': dimension 0 is 33, expected a multiple of 32, the block of type q8_0"},
    {"a.weight", DIM_1, 8, (uint64_t)1 << 60,
     "tensor 0 'a.weight': its 1152921504606846976 rows of 4 values of type f32 take more than 2^64 bytes"},
    {"b.weight", OFFSET, 8, 33, "tensor 1 'b.weight': offset 33 is not a multiple of general.alignment (32)"},
    {"b.weight", OFFSET, 8, 64, "tensor 1 'b.weight': its 136 bytes at offset 64 reach into those of another tensor, which begin at 192"},
    {"b.weight", OFFSET, 8, 0, "tensor 0 'a.weight': offset 0 is that of another tensor, too: the file is damaged"},
    {"c.weight", OFFSET_OF_VECTOR, 8, 64,
     "tensor 1 'b.weight': its 136 bytes at offset 32 reach into those of another tensor, which begin at 64"},
    {"b.weight", OFFSET, 8, 1 << 20, "tensor 1 'b.weight': offset "},
    {"b.weight", OFFSET, 8, UINT64_MAX - 31, "tensor 1 'b.weight': offset "},
    {"b.weight", OFFSET, 8, (uint64_t)1 << 63, "tensor 1 'b.weight': offset "},
    {"a.weight", -8, 1, 'b', "tensor 1 'b.weight': the same name as number 0"},
    {"test.f32", -3, 3, 0x323375, "metadata 3 'test.u32': the same key as number 2"},
};

static void a_broken_field_is_refused_by_name(void **state)
{
    uint8_t *bytes = malloc(valid_size);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof brokens / sizeof brokens[0]; i++) {
        const struct broken *broken = &brokens[i];
        const size_t start = broken->after == NULL ? 0 : gguf_case_find(valid, valid_size, broken->after) + strlen(broken->after);
        struct fail fail = {0};

        memcpy(bytes, valid, valid_size);
        gguf_case_store(bytes + start + broken->skip, (size_t)broken->size, broken->value);
        if (gguf_parse("model.gguf", bytes, valid_size, &fail) != NULL)
            fail_msg("case %zu was accepted, expected \"%s\"", i, broken->message);
        assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
        assert_memory_equal(fail.text, "model.gguf: ", 12);
        if (strncmp(fail.text + 12, broken->message, strlen(broken->message)) != 0)
            fail_msg("case %zu: found \"%s\", expected \"%s\"", i, fail.text + 12, broken->message);
    }
    free(bytes);
}

static void a_message_says_what_is_beyond_the_end(void **state)
{
    struct fail fail;
    char expected[256];

    (void)state;
    assert_null(gguf_parse("model.gguf", valid, valid_size - 1, &fail));
    snprintf(expected, sizeof expected,
             "model.gguf: tensor 2 'c.weight': offset %zu + 192 + 32 bytes is beyond the end of the file (%zu bytes): "
             "it is truncated: copy it again",
             valid_size - 224, valid_size - 1);
    assert_string_equal(fail.text, expected);
}

static void names_in_messages_hold_no_control_characters(void **state)
{
    uint8_t *bytes = malloc(valid_size);
    struct fail fail;

    (void)state;
    assert_non_null(bytes);
    memcpy(bytes, valid, valid_size);
    bytes[gguf_case_find(valid, valid_size, "test.u32") + 4] = 0x1b;
    bytes[gguf_case_find(valid, valid_size, "test.u32") + 8] = 99;
    assert_null(gguf_parse("model.gguf", bytes, valid_size, &fail));
    assert_non_null(strstr(fail.text, "'test?u32'"));
    free(bytes);
}

/* Parse a copy that ends where the block of memory ends, so that a sanitizer sees any read beyond it. */
static bool parse_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct fail fail = {0};

    assert_non_null(copy);
    memcpy(copy, data, size);

    struct gguf *gguf = gguf_parse("copy", copy, size, &fail);

    if (gguf != NULL)
        gguf_walk(gguf);
    else
        assert_true(fail.exit_code == EXIT_BAD_FILE && strncmp(fail.text, "copy: ", 6) == 0);

    const bool accepted = gguf != NULL;

    gguf_close(gguf);
    free(copy);
    return accepted;
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < valid_size; size++)
        assert_false(parse_copy(valid, size));
    assert_true(parse_copy(valid, valid_size));
}

static void no_changed_byte_does_harm(void **state)
{
    uint8_t *bytes = malloc(valid_size);

    (void)state;
    assert_non_null(bytes);
    memcpy(bytes, valid, valid_size);
    for (size_t at = 0; at < valid_size; at++) {
        for (unsigned value = 0; value < 256; value++) {
            bytes[at] = (uint8_t)value;
            parse_copy(bytes, valid_size);
        }
        bytes[at] = valid[at];
    }
    free(bytes);
}

static void a_tensor_of_unknown_type_reaches_to_the_next_one(void **state)
{
    uint8_t *bytes = malloc(valid_size);
    struct fail fail;

    (void)state;
    assert_non_null(bytes);
    memcpy(bytes, valid, valid_size);
    gguf_case_store(bytes + gguf_case_find(bytes, valid_size, "a.weight") + 8 + TENSOR_TYPE, 4, 99);
    gguf_case_store(bytes + gguf_case_find(bytes, valid_size, "c.weight") + 8 + 12, 4, 16);

    struct gguf *gguf = gguf_parse("model.gguf", bytes, valid_size, &fail);

    assert_non_null(gguf);
    assert_int_equal(gguf_find_tensor(gguf, "a.weight")->data_size, 32);
    assert_int_equal(gguf_find_tensor(gguf, "c.weight")->data_size, 32);
    assert_int_equal(gguf_find_tensor(gguf, "a.weight")->type, 99);
    gguf_close(gguf);
    free(bytes);
}

static void version_2_reads_like_version_3(void **state)
{
    struct fail fail;

    (void)state;
    valid[4] = 2;

    struct gguf *gguf = gguf_parse("model.gguf", valid, valid_size, &fail);

    valid[4] = 3;
    assert_non_null(gguf);
    assert_int_equal(gguf_version(gguf), 2);
    gguf_close(gguf);
}

static void a_file_without_tensors_may_end_after_its_metadata(void **state)
{
    const uint8_t bytes[24] = {'G', 'G', 'U', 'F', 3};
    struct fail fail;
    struct gguf *gguf = gguf_parse("model.gguf", bytes, sizeof bytes, &fail);

    (void)state;
    assert_non_null(gguf);
    assert_int_equal(gguf_tensor_count(gguf), 0);
    assert_null(gguf_find(gguf, "general.architecture"));
    gguf_walk(gguf);
    gguf_close(gguf);
}

static void check_open(const char *path, enum exit_code exit_code, const char *message)
{
    struct fail fail;

    assert_null(gguf_open(path, &fail));
    assert_int_equal(fail.exit_code, exit_code);
    if (strstr(fail.text, message) == NULL)
        fail_msg("found \"%s\", expected \"%s\"", fail.text, message);
}

static void what_is_no_readable_file_is_refused_with_its_exit_code(void **state)
{
    char folder[] = "/tmp/test_gguf.XXXXXX";
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model", folder);
    check_open(path, EXIT_ENVIRONMENT, "/model: cannot be opened: No such file or directory");
    check_open("", EXIT_ENVIRONMENT, ": cannot be opened: No such file or directory");
    check_open(folder, EXIT_BAD_FILE, ": is a directory");
    check_open("/dev/null", EXIT_BAD_FILE, "/dev/null: is no regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    check_open(path, EXIT_BAD_FILE, "/model: is no regular file"); /* and opening does not wait for a writer */
    unlink(path);
    fclose(fopen(path, "w"));
    check_open(path, EXIT_BAD_FILE, "/model: the file is empty");
    unlink(path);
    rmdir(folder);
}

static void a_file_is_read_as_memory_is(void **state)
{
    char path[] = "/tmp/test_gguf.XXXXXX";
    const int descriptor = mkstemp(path);
    struct fail fail;

    (void)state;
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, valid, valid_size), valid_size);
    close(descriptor);

    struct gguf *gguf = gguf_open(path, &fail);

    assert_non_null(gguf);
    unlink(path);
    assert_int_equal(gguf_file_bytes(gguf), valid_size);
    assert_memory_equal(gguf_find_tensor(gguf, "a.weight")->data, valid + valid_size - 224, 224);
    gguf_close(gguf);
}

static void the_bytes_of_a_tensor_are_read_into_a_buffer_from_a_file_only(void **state)
{
    char path[] = "/tmp/test_gguf.XXXXXX";
    const int descriptor = mkstemp(path);
    uint8_t buffer[40] = {0};
    struct fail fail;

    (void)state;
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, valid, valid_size), valid_size);
    close(descriptor);

    struct gguf *file = gguf_open(path, &fail), *memory = parse_valid();
    const struct gguf_tensor *in_file = gguf_find_tensor(file, "b.weight"), *in_memory = gguf_find_tensor(memory, "b.weight");

    gguf_tensor_ahead(in_file, 0, in_file->data_size);
    gguf_tensor_ahead(in_memory, 0, in_memory->data_size);
    assert_ptr_equal(gguf_tensor_bytes(in_file, 34, 40, buffer), buffer);
    assert_memory_equal(buffer, in_file->data + 34, 40);
    assert_ptr_equal(gguf_tensor_bytes(in_file, 34, 40, NULL), in_file->data + 34);
    assert_ptr_equal(gguf_tensor_bytes(in_memory, 34, 40, buffer), in_memory->data + 34);

    /* Unreadable bytes are left to the mapping. */
    assert_int_equal(truncate(path, (off_t)valid_size - 224), 0);
    assert_ptr_equal(gguf_tensor_bytes(in_file, 0, 40, buffer), in_file->data);
    unlink(path);
    gguf_close(file);
    gguf_close(memory);
}

static void a_real_vocabulary_is_read(void **state)
{
    char path[MODEL_PATH_MAX];
    struct fail fail;

    (void)state;
    if (!model_folder_path("ggml-vocab-llama-spm.gguf", path)) {
        print_message("no folder of test models here\n");
        skip();
    }

    struct gguf *gguf = gguf_open(path, &fail);

    assert_non_null(gguf);
    assert_int_equal(gguf_find(gguf, "tokenizer.ggml.tokens")->count, 32000);
    gguf_walk(gguf);
    gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_tensors_are_found_by_name),
        cmocka_unit_test(typed_access_reads_values),
        cmocka_unit_test(typed_access_refuses_what_has_another_type_or_range),
        cmocka_unit_test(arrays_are_read_element_by_element),
        cmocka_unit_test(a_broken_field_is_refused_by_name),
        cmocka_unit_test(a_message_says_what_is_beyond_the_end),
        cmocka_unit_test(names_in_messages_hold_no_control_characters),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_changed_byte_does_harm),
        cmocka_unit_test(a_tensor_of_unknown_type_reaches_to_the_next_one),
        cmocka_unit_test(version_2_reads_like_version_3),
        cmocka_unit_test(a_file_without_tensors_may_end_after_its_metadata),
        cmocka_unit_test(what_is_no_readable_file_is_refused_with_its_exit_code),
        cmocka_unit_test(a_file_is_read_as_memory_is),
        cmocka_unit_test(the_bytes_of_a_tensor_are_read_into_a_buffer_from_a_file_only),
        cmocka_unit_test(a_real_vocabulary_is_read),
    };

    return cmocka_run_group_tests(tests, make_valid, free_valid);
}
