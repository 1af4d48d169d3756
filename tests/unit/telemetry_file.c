#include "telemetry_file.h"

#include <assert.h>
#include <string.h>

#include "node/common/bytes.h"

static const char first_line[] = "mesh telemetry 1\n";
enum { LINE_BYTES = sizeof first_line - 1, US_NS = 1000, ENTRY_BYTES = 6 };

int telemetry_file_create(struct telemetry_file *f, FILE *file, uint64_t wall_ns)
{
    uint8_t head[LINE_BYTES + 8];
    struct bytes b = bytes_writer(head + LINE_BYTES, 8);

    f->file = file;
    f->begin_wall_ns = wall_ns;
    memcpy(head, first_line, LINE_BYTES);
    bytes_put_u64(&b, wall_ns);
    return fwrite(head, sizeof head, 1, file) == 1 ? 0 : -1;
}

int telemetry_file_open(struct telemetry_file *f, FILE *file)
{
    uint8_t head[LINE_BYTES + 8];
    struct bytes b = bytes_reader(head + LINE_BYTES, 8);

    if (file == NULL || fread(head, sizeof head, 1, file) != 1 || memcmp(head, first_line, LINE_BYTES) != 0)
        return -1;
    f->file = file;
    f->begin_wall_ns = bytes_get_u64(&b);
    return 0;
}

int telemetry_file_put(struct telemetry_file *f, uint64_t since_ns, const uint8_t *record, size_t bytes)
{
    uint8_t entry[ENTRY_BYTES];
    struct bytes b = bytes_writer(entry, sizeof entry);

    assert(bytes <= UINT16_MAX && since_ns / US_NS <= UINT32_MAX);
    bytes_put_u32(&b, (uint32_t)(since_ns / US_NS));
    bytes_put_u16(&b, (uint16_t)bytes);
    return fwrite(entry, sizeof entry, 1, f->file) == 1 && fwrite(record, bytes, 1, f->file) == 1 ? 0 : -1;
}

bool telemetry_file_next(struct telemetry_file *f, struct telemetry_entry *entry)
{
    uint8_t bytes[ENTRY_BYTES];
    struct bytes b = bytes_reader(bytes, sizeof bytes);

    if (fread(bytes, sizeof bytes, 1, f->file) != 1)
        return false;
    entry->since_ns = (uint64_t)bytes_get_u32(&b) * US_NS;
    entry->bytes = bytes_get_u16(&b);
    return fread(f->record, entry->bytes, 1, f->file) == 1;
}
