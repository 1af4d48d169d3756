#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/gguf/gguf.h"
#include "node/gguf/tensor_type.h"
#include "tests/unit/model_folder.h"
#include "tests/unit/sha256.h"
#include "tests/unit/type_rows.h"

#define F16_ONE 0x00, 0x3c
#define F16_TWO 0x00, 0x40

static float dequantised[256];

static const float *dequantise(enum tensor_type type, const uint8_t *packed, size_t values)
{
    tensor_type_dequantise(type, packed, values, dequantised);
    return dequantised;
}

static void names_and_numbers_agree(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);

        if (info == NULL)
            continue;
        assert_int_equal(tensor_type_from_name(info->name), type);
        assert_string_equal(tensor_type_name(type), info->name);
        assert_non_null(strstr(TENSOR_TYPE_NAMES, info->name));
        assert_int_equal(tensor_type_bytes((enum tensor_type)type, 512), 512 / info->block_values * info->block_bytes);
    }
    assert_int_equal(tensor_type_from_name("Q4_K"), TYPE_Q4_K);
    assert_int_equal(tensor_type_from_name("BF16"), TYPE_BF16);
}

static void other_types_have_a_name_and_no_info(void **state)
{
    (void)state;
    assert_string_equal(tensor_type_name(16), "iq2_xxs");
    assert_string_equal(tensor_type_name(39), "mxfp4");
    assert_string_equal(tensor_type_name(40), "unknown");
    assert_string_equal(tensor_type_name(UINT32_MAX), "unknown");
    assert_null(tensor_type_info(16));
    assert_null(tensor_type_info(UINT32_MAX));
    assert_int_equal(tensor_type_from_name("iq2_xxs"), -1);
    assert_int_equal(tensor_type_from_name(""), -1);
}

static void files_of_a_type_have_the_published_number(void **state)
{
    static const struct {
        enum tensor_type type;
        uint32_t number;
    } published[] = {
        {TYPE_F32, 0},   {TYPE_F16, 1},   {TYPE_Q4_0, 2},  {TYPE_Q4_1, 3},  {TYPE_Q8_0, 7},  {TYPE_Q5_0, 8},  {TYPE_Q5_1, 9},
        {TYPE_Q2_K, 10}, {TYPE_Q3_K, 11}, {TYPE_Q4_K, 14}, {TYPE_Q5_K, 16}, {TYPE_Q6_K, 18}, {TYPE_BF16, 32},
    };

    (void)state;
    TYPE_ROWS_EXPECT(published, TYPE_ROWS_ALL);
    for (size_t i = 0; i < sizeof published / sizeof *published; i++)
        assert_int_equal(tensor_type_file_number(published[i].type), published[i].number);
    for (uint32_t type = 0; type < TYPE_COUNT; type++)
        for (uint32_t other = 0; other < type; other++)
            if (tensor_type_info(type) != NULL && tensor_type_info(other) != NULL)
                assert_int_not_equal(tensor_type_file_number(type), tensor_type_file_number(other));
}

static void float_types_are_read_at_any_alignment(void **state)
{
    static const uint8_t bytes[] = {0xff, 0x00, 0x00, 0xc0, 0x3f, 0x00, 0x00, 0x00, 0x80};

    (void)state;
    assert_true(dequantise(TYPE_F32, bytes + 1, 2)[0] == 1.5f);
    assert_true(signbit(dequantised[1]));
    assert_true(dequantise(TYPE_BF16, bytes + 3, 1)[0] == 1.5f);
    assert_true(dequantise(TYPE_F16, bytes + 3, 1)[0] == 0x1.f0p0f);
}

static void q8_0_is_scale_times_signed_byte(void **state)
{
    const uint8_t block[34] = {F16_TWO, 1, 0xff, 0x80, [33] = 127};

    (void)state;
    assert_true(dequantise(TYPE_Q8_0, block, 32)[0] == 2);
    assert_true(dequantised[1] == -2);
    assert_true(dequantised[2] == -256);
    assert_true(dequantised[31] == 254);
}

static void four_bit_types_keep_the_second_half_in_high_nibbles(void **state)
{
    const uint8_t q4_0[18] = {F16_TWO, 0x3f, [17] = 0x0a};
    const uint8_t q4_1[20] = {F16_TWO, F16_ONE, 0x3f, [19] = 0x0a};

    (void)state;
    assert_true(dequantise(TYPE_Q4_0, q4_0, 32)[0] == 2 * (15 - 8));
    assert_true(dequantised[16] == 2 * (3 - 8));
    assert_true(dequantised[15] == 2 * (10 - 8));
    assert_true(dequantised[31] == 2 * (0 - 8));
    assert_true(dequantise(TYPE_Q4_1, q4_1, 32)[0] == 2 * 15 + 1);
    assert_true(dequantised[16] == 2 * 3 + 1);
    assert_true(dequantised[31] == 1);
}

static void five_bit_types_keep_the_fifth_bits_in_one_word(void **state)
{
    const uint8_t q5_0[22] = {F16_TWO, 0x01, 0x00, 0x01, 0x80, 0x3f};
    const uint8_t q5_1[24] = {F16_TWO, F16_ONE, 0x01, 0x00, 0x01, 0x80, 0x3f};

    (void)state;
    assert_true(dequantise(TYPE_Q5_0, q5_0, 32)[0] == 2 * (15 + 16 - 16));
    assert_true(dequantised[1] == 2 * -16);
    assert_true(dequantised[16] == 2 * (3 + 16 - 16));
    assert_true(dequantised[31] == 2 * (16 - 16));
    assert_true(dequantise(TYPE_Q5_1, q5_1, 32)[0] == 2 * (15 + 16) + 1);
    assert_true(dequantised[1] == 1);
    assert_true(dequantised[31] == 2 * 16 + 1);
}

static void several_blocks_follow_one_another(void **state)
{
    uint8_t packed[2 * 210] = {0};

    (void)state;
    packed[210 + 192] = 3;    /* scale of the first 16 values of the second block */
    packed[210 + 209] = 0x3c; /* its d = 1 */
    tensor_type_dequantise(TYPE_Q6_K, packed + 210, 256, dequantised);
    assert_true(dequantised[0] == -96);
    assert_true(dequantised[16] == 0);

    float both[512];

    tensor_type_dequantise(TYPE_Q6_K, packed, 512, both);
    assert_memory_equal(both + 256, dequantised, sizeof dequantised);
    assert_true(both[0] == 0);
}

static void sha256_agrees_with_its_standard(void **state)
{
    char hex[65];

    (void)state;
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void check_tensor(const char *model, const char *tensor_name, const char *expected)
{
    char path[MODEL_PATH_MAX];
    char file[80];
    char hex[65];
    struct fail fail;

    snprintf(file, sizeof file, "ref-%s.gguf", model);
    assert_true(model_folder_path(file, path));

    struct gguf *gguf = gguf_open(path, &fail);

    if (gguf == NULL)
        fail_msg("%s", fail.text);

    const struct gguf_tensor *tensor = gguf_find_tensor(gguf, tensor_name);

    assert_non_null(tensor);

    const size_t count = (size_t)(tensor->dims[0] * tensor->dims[1]);
    float *values = malloc(count * sizeof *values);

    assert_non_null(values);
    tensor_type_dequantise((enum tensor_type)tensor->type, tensor->data, count, values);
    sha256_hex(values, count * sizeof *values, hex);
    assert_string_equal(hex, expected);
    free(values);
    gguf_close(gguf);
}

static void values_are_those_of_another_program(void **state)
{
    char path[MODEL_PATH_MAX];
    char line[1024];
    int checked = 0;

    (void)state;
    if (!model_folder_path("ref-dequantised.txt", path)) {
        print_message("no folder of test models here\n");
        skip();
    }

    FILE *file = fopen(path, "r");

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char model[20];
        char tensor[60];
        char hash[80];

        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%19s | %59s | %79s", model, tensor, hash), 3);
        check_tensor(model, tensor, hash);
        checked++;
    }
    fclose(file);
    assert_true(checked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers_agree),
        cmocka_unit_test(other_types_have_a_name_and_no_info),
        cmocka_unit_test(files_of_a_type_have_the_published_number),
        cmocka_unit_test(float_types_are_read_at_any_alignment),
        cmocka_unit_test(q8_0_is_scale_times_signed_byte),
        cmocka_unit_test(four_bit_types_keep_the_second_half_in_high_nibbles),
        cmocka_unit_test(five_bit_types_keep_the_fifth_bits_in_one_word),
        cmocka_unit_test(several_blocks_follow_one_another),
        cmocka_unit_test(sha256_agrees_with_its_standard),
        cmocka_unit_test(values_are_those_of_another_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
