#include "hammer.h"

#include <assert.h>
#include <string.h>

#include "mesh/wire.h"

#define AT(field)   offsetof(struct mesh_header_bytes, field)
#define SIZE(field) sizeof(((struct mesh_header_bytes *)0)->field)

static uint64_t draw(struct hammer *hammer, uint64_t below)
{
    uint64_t x = hammer->random += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % below;
}

void hammer_record(struct hammer *hammer, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes)
{
    struct hammer_record *record = &hammer->record[hammer->count];

    if (hammer->count == HAMMER_RECORDS_MAX || bytes > HAMMER_BYTES_MAX)
        return;
    record->from = from;
    record->to = to;
    record->bytes = bytes;
    memcpy(record->packet, packet, bytes);
    hammer->count++;
}

static void change_field(struct hammer *hammer)
{
    static const struct {
        size_t at, bytes;
    } fields[] = {{AT(src), SIZE(src)},       {AT(dst), SIZE(dst)},         {AT(epoch), SIZE(epoch)}, {AT(type), SIZE(type)},
                  {AT(number), SIZE(number)}, {AT(version), SIZE(version)}, {AT(flags), SIZE(flags)}, {AT(tag), SIZE(tag)}};
    const size_t which = draw(hammer, sizeof fields / sizeof *fields);

    for (size_t i = 0; i < fields[which].bytes && fields[which].at + i < hammer->bytes; i++)
        if (i == 0 || draw(hammer, 4) == 0)
            hammer->packet[fields[which].at + i] = (uint8_t)draw(hammer, draw(hammer, 2) ? 4 : 256);
}

/* The header of another datagram. */
static void splice(struct hammer *hammer)
{
    const struct hammer_record *other = &hammer->record[draw(hammer, hammer->count)];
    const size_t bytes = draw(hammer, 2) ? MESH_HEADER_BYTES : draw(hammer, MESH_HEADER_BYTES);

    memcpy(hammer->packet, other->packet, bytes < hammer->bytes ? bytes : hammer->bytes);
}

static void mutate(struct hammer *hammer)
{
    switch (draw(hammer, 6)) {
    case 0: /* one bit */
        hammer->packet[draw(hammer, hammer->bytes)] ^= (uint8_t)(1u << draw(hammer, 8));
        break;
    case 1: /* many bytes */
        for (uint64_t i = draw(hammer, 16) + 1; i > 0; i--)
            hammer->packet[draw(hammer, hammer->bytes)] = (uint8_t)draw(hammer, 256);
        break;
    case 2:
        hammer->bytes = draw(hammer, hammer->bytes);
        break;
    case 3:
        for (uint64_t i = draw(hammer, 64) + 1; i > 0; i--)
            hammer->packet[hammer->bytes++] = (uint8_t)draw(hammer, 256);
        break;
    case 4:
        splice(hammer);
        break;
    default:
        change_field(hammer);
        break;
    }
}

bool hammer_next(struct hammer *hammer, uint16_t ranks)
{
    const struct hammer_record *record = &hammer->record[draw(hammer, hammer->count)];
    bool is_same;

    assert(hammer->count > 0);
    hammer->from = record->from;
    hammer->to = hammer->meant = record->to;
    hammer->bytes = record->bytes;
    memcpy(hammer->packet, record->packet, record->bytes);
    if (draw(hammer, 4) != 0)
        mutate(hammer);
    if (draw(hammer, 4) == 0)
        hammer->to = (uint16_t)draw(hammer, ranks);
    if (draw(hammer, 8) == 0)
        hammer->from = (uint16_t)draw(hammer, ranks);
    is_same = hammer->bytes == record->bytes && memcmp(hammer->packet, record->packet, record->bytes) == 0;
    hammer->replays += is_same;
    hammer->mutations += !is_same;
    return is_same;
}
