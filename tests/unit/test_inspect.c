#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/inspect.h"
#include "tests/unit/gguf_case.h"

static uint8_t *bytes;
static size_t bytes_size;

static int make_file(void **state)
{
    (void)state;
    bytes = gguf_case_make(&bytes_size);
    return 0;
}

static int free_file(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

/* The output of inspect; the caller frees it. */
static char *inspected(bool json)
{
    struct fail fail;
    struct gguf *gguf = gguf_parse("model.gguf", bytes, bytes_size, &fail);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (gguf == NULL)
        fail_msg("%s", fail.text);
    assert_non_null(out);
    inspect_print(gguf, json, out);
    fclose(out);
    gguf_close(gguf);
    return text;
}

static void text_shows_values_tensors_and_totals(void **state)
{
    char *text = inspected(false);

    (void)state;
    assert_string_equal(text, "model.gguf: GGUF version 3, 704 bytes\n"
                              "\n"
                              "metadata: 8 values\n"
                              "  string         general.architecture = \"llama\"\n"
                              "  u32            general.alignment = 32\n"
                              "  u32            test.u32 = 7\n"
                              "  f32            test.f32 = 1.5\n"
                              "  bool           test.flag = true\n"
                              "  string[3]      test.words = [\"one\", \"\", \"three\"]\n"
                              "  i32[2]         test.ints = [1, -2]\n"
                              "  f32[1]         test.floats = [0.5]\n"
                              "\n"
                              "tensors: 3 (type, columns x rows, bytes, name)\n"
                              "  f32       4 x 2                        32  a.weight\n"
                              "  q8_0      64 x 2                      136  b.weight\n"
                              "  f32       8                            32  c.weight\n"
                              "\n"
                              "totals:\n"
                              "  f32            2 tensors               16 values               64 bytes\n"
                              "  q8_0           1 tensors              128 values              136 bytes\n"
                              "  all            3 tensors              144 values              200 bytes\n");
    free(text);
}

static void json_has_a_line_for_the_file_each_value_each_tensor_and_a_summary(void **state)
{
    char *text = inspected(true);

    (void)state;
    assert_string_equal(
        text,
        "{\"schema_version\":1,\"event\":\"file\",\"path\":\"model.gguf\",\"version\":3,\"file_bytes\":704}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"general.architecture\",\"type\":\"string\",\"value\":\"llama\"}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"general.alignment\",\"type\":\"u32\",\"value\":32}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"test.u32\",\"type\":\"u32\",\"value\":7}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"test.f32\",\"type\":\"f32\",\"value\":1.5}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"test.flag\",\"type\":\"bool\",\"value\":true}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"test.words\",\"type\":\"array\",\"element_type\":\"string\",\"count\":3,"
        "\"shortened\":false,\"value\":[\"one\",\"\",\"three\"]}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"test.ints\",\"type\":\"array\",\"element_type\":\"i32\",\"count\":2,"
        "\"shortened\":false,\"value\":[1,-2]}\n"
        "{\"schema_version\":1,\"event\":\"metadata\",\"key\":\"test.floats\",\"type\":\"array\",\"element_type\":\"f32\",\"count\":1,"
        "\"shortened\":false,\"value\":[0.5]}\n"
        "{\"schema_version\":1,\"event\":\"tensor\",\"name\":\"a.weight\",\"type\":\"f32\",\"type_number\":0,\"supported\":true,"
        "\"shape\":[4,2],\"bytes\":32}\n"
        "{\"schema_version\":1,\"event\":\"tensor\",\"name\":\"b.weight\",\"type\":\"q8_0\",\"type_number\":8,\"supported\":true,"
        "\"shape\":[64,2],\"bytes\":136}\n"
        "{\"schema_version\":1,\"event\":\"tensor\",\"name\":\"c.weight\",\"type\":\"f32\",\"type_number\":0,\"supported\":true,"
        "\"shape\":[8],\"bytes\":32}\n"
        "{\"schema_version\":1,\"event\":\"summary\",\"metadata\":8,\"tensors\":3,\"values\":144,\"tensor_bytes\":200,"
        "\"file_bytes\":704}\n");
    free(text);
}

static void types_that_are_not_supported_are_listed_as_such(void **state)
{
    uint8_t *type_a = bytes + gguf_case_find(bytes, bytes_size, "a.weight") + 28;
    uint8_t *type_b = bytes + gguf_case_find(bytes, bytes_size, "b.weight") + 28;

    (void)state;
    gguf_case_store(type_a, 4, 16);
    gguf_case_store(type_b, 4, 99);

    char *text = inspected(false);

    gguf_case_store(type_a, 4, 0);
    gguf_case_store(type_b, 4, 8);
    assert_non_null(strstr(text, "  iq2_xxs   4 x 2                        32  a.weight\n"));
    assert_non_null(strstr(text, "  type 99   64 x 2                      160  b.weight\n"));
    assert_non_null(strstr(text, "  iq2_xxs        1 tensors                8 values               32 bytes  (type not supported)\n"));
    assert_non_null(strstr(text, "  unknown        1 tensors              128 values              160 bytes  (type not supported)\n"));
    free(text);
}

static void hostile_bytes_in_names_and_values_are_escaped(void **state)
{
    uint8_t *key = bytes + gguf_case_find(bytes, bytes_size, "test.u32");
    uint8_t *value = bytes + gguf_case_find(bytes, bytes_size, "llama");

    (void)state;
    key[0] = 0x1b;
    value[0] = 0xff;
    value[1] = '"';

    char *text = inspected(false);
    char *json = inspected(true);

    key[0] = 't';
    value[0] = 'l';
    value[1] = 'l';
    assert_non_null(strstr(text, " \\x1best.u32 = 7\n"));
    assert_non_null(strstr(text, " = \"\\xff\"ama\"\n"));
    assert_non_null(strstr(json, "\"key\":\"\\u001best.u32\""));
    assert_non_null(strstr(json, "\"value\":\"\xef\xbf\xbd\\\"ama\""));
    free(text);
    free(json);
}

static void a_missing_file_and_a_full_disk_are_reported_with_exit_code_4(void **state)
{
    char path[] = "/tmp/test_inspect.XXXXXX";
    const int descriptor = mkstemp(path);
    FILE *file = fdopen(descriptor, "wb");
    FILE *full = fopen("/dev/full", "w");
    struct fail fail;

    (void)state;
    assert_non_null(file);
    assert_non_null(full);
    fwrite(bytes, 1, bytes_size, file);
    fclose(file);
    assert_int_equal(inspect_run(path, false, full, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_string_equal(fail.text, "stdout: cannot write: No space left on device: free some space");
    remove(path);
    assert_int_equal(inspect_run(path, false, full, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_shows_values_tensors_and_totals),
        cmocka_unit_test(json_has_a_line_for_the_file_each_value_each_tensor_and_a_summary),
        cmocka_unit_test(types_that_are_not_supported_are_listed_as_such),
        cmocka_unit_test(hostile_bytes_in_names_and_values_are_escaped),
        cmocka_unit_test(a_missing_file_and_a_full_disk_are_reported_with_exit_code_4),
    };

    return cmocka_run_group_tests(tests, make_file, free_file);
}
