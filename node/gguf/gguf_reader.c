#include "gguf_reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/common/bytes.h"

int gguf_refuse(const struct gguf_reader *reader, const char *format, ...)
{
    char text[320];
    char name[GGUF_SHOWN_NAME_BYTES];
    const char *path = gguf_shown_path(reader->gguf);
    const char *part = reader->part == GGUF_PART_VALUE ? "metadata" : "tensor";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gguf_show_name(&reader->name, name);
    const char *advice = strstr(text, ": ") != NULL ? "" : ": get another copy of the file";
    if (reader->part == GGUF_PART_HEADER)
        return fail_set(reader->fail, EXIT_BAD_FILE, "%s: header: %s%s", path, text, advice);
    if (reader->name.size == 0)
        return fail_set(reader->fail, EXIT_BAD_FILE, "%s: %s %zu: %s%s", path, part, reader->index, text, advice);
    return fail_set(reader->fail, EXIT_BAD_FILE, "%s: %s %zu '%s': %s%s", path, part, reader->index, name, text, advice);
}

size_t gguf_left(const struct gguf_reader *reader)
{
    return reader->gguf->size - reader->at;
}

const uint8_t *gguf_take(struct gguf_reader *reader, const char *field, uint64_t size)
{
    if (size > gguf_left(reader)) {
        gguf_refuse(reader, "%s at offset %zu takes %" PRIu64 " bytes, but the file ends at %zu: it is truncated or damaged: copy it again",
                    field, reader->at, size, reader->gguf->size);
        return NULL;
    }
    reader->at += (size_t)size;
    return reader->gguf->data + reader->at - size;
}

int gguf_take_u32(struct gguf_reader *reader, const char *field, uint32_t *out)
{
    const uint8_t *bytes = gguf_take(reader, field, 4);

    if (bytes == NULL)
        return -1;
    *out = (uint32_t)bytes_load(bytes, 4);
    return 0;
}

int gguf_take_u64(struct gguf_reader *reader, const char *field, uint64_t *out)
{
    const uint8_t *bytes = gguf_take(reader, field, 8);

    if (bytes == NULL)
        return -1;
    *out = bytes_load(bytes, 8);
    return 0;
}

int gguf_take_string(struct gguf_reader *reader, const char *field, struct gguf_string *out)
{
    uint64_t size = 0;

    if (gguf_take_u64(reader, field, &size) < 0)
        return -1;

    const uint8_t *bytes = gguf_take(reader, field, size);

    if (bytes == NULL)
        return -1;
    *out = (struct gguf_string){(const char *)bytes, (size_t)size};
    return 0;
}

int gguf_take_name(struct gguf_reader *reader, const char *field, size_t max, struct gguf_string *out)
{
    const size_t start = reader->at;
    struct gguf_string name = {0};

    if (gguf_take_string(reader, field, &name) < 0)
        return -1;
    if (name.size == 0 || name.size > max)
        return gguf_refuse(reader, "%s at offset %zu has %zu bytes, expected 1 to %zu: the file is damaged", field, start, name.size, max);
    reader->name = name;
    *out = name;
    return 0;
}
