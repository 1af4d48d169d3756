#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/gguf/gguf_write.h"

static void a_file_without_anything_is_a_header(void **state)
{
    struct gguf_write writer;
    struct fail fail;

    (void)state;
    gguf_write_init(&writer);
    assert_int_equal(gguf_write_finish(&writer, &fail), 0);
    assert_int_equal(writer.size, 32);
    assert_memory_equal(writer.bytes, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32);
    gguf_write_release(&writer);
}

static void counts_are_filled_in_at_the_end(void **state)
{
    struct gguf_write writer;
    struct fail fail;

    (void)state;
    gguf_write_init(&writer);
    gguf_write_u32(&writer, "a", 0x01020304);
    gguf_write_bool(&writer, "b", true);
    gguf_write_tensor(&writer, "t", TYPE_F32, (const uint64_t[]){3}, 1);
    assert_int_equal(gguf_write_finish(&writer, &fail), 0);
    assert_int_equal(writer.bytes[8], 1);
    assert_int_equal(writer.bytes[16], 2);
    assert_memory_equal(writer.bytes + 24, "\1\0\0\0\0\0\0\0a\4\0\0\0\4\3\2\1\1\0\0\0\0\0\0\0b\7\0\0\0\1", 31);
    assert_int_equal(writer.size % GGUF_WRITE_ALIGNMENT, 0);
    gguf_write_release(&writer);
}

static void tensors_follow_one_another_with_padding(void **state)
{
    static uint8_t file[4096];
    struct gguf_write writer;
    struct fail fail;

    (void)state;
    gguf_write_init(&writer);
    assert_int_equal(gguf_write_tensor(&writer, "first", TYPE_F32, (const uint64_t[]){3}, 1), 12);
    assert_int_equal(gguf_write_tensor(&writer, "second", TYPE_Q4_K, (const uint64_t[]){256, 2}, 2), 288);
    assert_int_equal(gguf_write_tensor(&writer, "third", TYPE_F16, (const uint64_t[]){1, 1, 1, 1}, 4), 2);
    assert_int_equal(writer.data_size, 32 + 288 + 32);
    assert_int_equal(gguf_write_finish(&writer, &fail), 0);
    assert_true(writer.size + writer.data_size < sizeof file);
    memcpy(file, writer.bytes, writer.size);

    struct gguf *gguf = gguf_parse("file", file, writer.size + (size_t)writer.data_size, &fail);

    assert_non_null(gguf);
    assert_ptr_equal(gguf_find_tensor(gguf, "first")->data, file + writer.size);
    assert_ptr_equal(gguf_find_tensor(gguf, "second")->data, file + writer.size + 32);
    assert_ptr_equal(gguf_find_tensor(gguf, "third")->data, file + writer.size + 32 + 288);
    gguf_close(gguf);
    gguf_write_release(&writer);
}

static void padding_leads_to_the_next_multiple(void **state)
{
    struct gguf_write writer;

    (void)state;
    gguf_write_init(&writer);
    assert_int_equal(gguf_write_padding(&writer, 0), 0);
    assert_int_equal(gguf_write_padding(&writer, 1), 31);
    assert_int_equal(gguf_write_padding(&writer, 32), 0);
    assert_int_equal(gguf_write_padding(&writer, UINT64_C(1) << 40 | 33), 31);
    gguf_write_align(&writer, 256);
    assert_int_equal(gguf_write_padding(&writer, 33), 223);
    gguf_write_align(&writer, 1);
    assert_int_equal(gguf_write_padding(&writer, 33), 0);
    gguf_write_release(&writer);
}

static void values_and_tensors_of_another_file_are_copied_bit_by_bit(void **state)
{
    static const uint8_t zeros[16];
    static uint8_t copied[4096];
    struct gguf_write first, second;
    struct fail fail;

    (void)state;
    gguf_write_init(&first);
    gguf_write_align(&first, 256);
    gguf_write_u32(&first, "general.alignment", 256);
    gguf_write_f32(&first, "a", 0x7fc12345); /* a NaN with a payload */
    gguf_write_string(&first, "b", "text");
    gguf_write_string(&first, "empty", "");
    gguf_write_array(&first, "c", GGUF_STRING, 2);
    gguf_write_element_string(&first, "x\0y", 3);
    gguf_write_element_string(&first, "", 0);
    gguf_write_array(&first, "d", GGUF_I32, 3);
    for (uint32_t i = 0; i < 3; i++)
        gguf_write_element_u32(&first, 0xffffffff - i);
    gguf_write_array(&first, "none", GGUF_U8, 0);
    gguf_write_bool(&first, "e", true);
    gguf_write_tensor(&first, "t", TYPE_F32, (const uint64_t[]){1, 2, 1, 2}, 4);
    assert_int_equal(gguf_write_finish(&first, &fail), 0);
    assert_int_equal(first.size % 256, 0);
    memcpy(copied, first.bytes, first.size);
    memcpy(copied + first.size, zeros, sizeof zeros);

    struct gguf *gguf = gguf_parse("first", copied, first.size + sizeof zeros, &fail);

    assert_non_null(gguf);
    gguf_write_init(&second);
    gguf_write_align(&second, 256);
    for (size_t i = 0; i < gguf_value_count(gguf); i++)
        gguf_write_value(&second, gguf_value_at(gguf, i));
    assert_int_equal(gguf_write_tensor_like(&second, gguf_tensor_at(gguf, 0), TYPE_F32), 16);
    assert_int_equal(gguf_write_finish(&second, &fail), 0);
    assert_int_equal(second.size, first.size);
    assert_memory_equal(second.bytes, first.bytes, first.size);
    gguf_close(gguf);
    gguf_write_release(&first);
    gguf_write_release(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_without_anything_is_a_header),
        cmocka_unit_test(counts_are_filled_in_at_the_end),
        cmocka_unit_test(tensors_follow_one_another_with_padding),
        cmocka_unit_test(padding_leads_to_the_next_multiple),
        cmocka_unit_test(values_and_tensors_of_another_file_are_copied_bit_by_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
