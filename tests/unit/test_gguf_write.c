#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/gguf_write.h"

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
    (void)state;
    assert_int_equal(gguf_write_padding(0), 0);
    assert_int_equal(gguf_write_padding(1), 31);
    assert_int_equal(gguf_write_padding(32), 0);
    assert_int_equal(gguf_write_padding(UINT64_C(1) << 40 | 33), 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_without_anything_is_a_header),
        cmocka_unit_test(counts_are_filled_in_at_the_end),
        cmocka_unit_test(tensors_follow_one_another_with_padding),
        cmocka_unit_test(padding_leads_to_the_next_multiple),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
