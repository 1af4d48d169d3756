#include "gguf_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/gguf/gguf_write.h"

static void write_values(struct gguf_write *writer)
{
    gguf_write_string(writer, "general.architecture", "llama");
    gguf_write_u32(writer, "general.alignment", 32);
    gguf_write_u32(writer, "test.u32", 7);
    gguf_write_f32(writer, "test.f32", 0x3fc00000);
    gguf_write_bool(writer, "test.flag", true);
    gguf_write_array(writer, "test.words", GGUF_STRING, 3);
    gguf_write_element_string(writer, "one", 3);
    gguf_write_element_string(writer, "", 0);
    gguf_write_element_string(writer, "three", 5);
    gguf_write_array(writer, "test.ints", GGUF_I32, 2);
    gguf_write_element_u32(writer, 1);
    gguf_write_element_u32(writer, UINT32_MAX - 1);
    gguf_write_array(writer, "test.floats", GGUF_F32, 1);
    gguf_write_element_u32(writer, 0x3f000000);
}

uint8_t *gguf_case_make(size_t *size)
{
    struct gguf_write writer;
    struct fail fail;

    gguf_write_init(&writer);
    write_values(&writer);
    gguf_write_tensor(&writer, "a.weight", TYPE_F32, (const uint64_t[]){4, 2}, 2);
    gguf_write_tensor(&writer, "b.weight", TYPE_Q8_0, (const uint64_t[]){64, 2}, 2);
    gguf_write_tensor(&writer, "c.weight", TYPE_F32, (const uint64_t[]){8}, 1);
    assert_int_equal(gguf_write_finish(&writer, &fail), 0);
    *size = writer.size + (size_t)writer.data_size;

    uint8_t *bytes = calloc(1, *size);

    assert_non_null(bytes);
    memcpy(bytes, writer.bytes, writer.size);
    for (size_t i = 0; i < writer.data_size; i++)
        bytes[writer.size + i] = (uint8_t)(i & 0x3f); /* finite numbers for any type */
    gguf_write_release(&writer);
    return bytes;
}

size_t gguf_case_find(const uint8_t *data, size_t size, const char *text)
{
    const uint8_t *found = memmem(data, size, text, strlen(text));

    assert_non_null(found);
    return (size_t)(found - data);
}

void gguf_case_store(uint8_t *at, size_t size, uint64_t value)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}
