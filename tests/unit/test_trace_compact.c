/* Compact records: they are read back as written, a payload that is sent is stored once, and no blob breaks the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_case.h"
#include "libmesh/trace/trace_compact.h"
#include "mesh/tape.h"

enum { RECORDS = 400, RECORD_BYTES = 70000, TILE_BYTES = 400, ROUNDS = 3000, SEED = 5 };

struct compacted {
    struct compact *compact;
    uint8_t *records; /* (bytes), as written */
    size_t bytes;
    uint8_t *blob; /* (blob_bytes); with its marks */
    size_t blob_bytes;
};

static uint64_t seed;

static uint32_t draw(uint32_t limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % limit;
}

static int set_up(void **state)
{
    struct compacted *c = calloc(1, sizeof *c);

    seed = 1;
    c->compact = mesh_compact_open();
    c->records = malloc((size_t)RECORDS * RECORD_BYTES);
    assert_non_null(c->compact);
    assert_non_null(c->records);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    struct compacted *c = *state;

    mesh_compact_close(c->compact);
    free(c->records);
    free(c->blob);
    free(c);
    return 0;
}

static void put(struct compacted *c, const struct mesh_tape_entry *call)
{
    uint8_t *at = c->records + c->bytes;
    const size_t bytes = mesh_tape_encode(call, at, RECORD_BYTES);
    size_t fixed, payload;

    assert_int_equal(mesh_tape_measure(at, bytes, &fixed, &payload), 0);
    assert_true(mesh_compact_put(c->compact, at, fixed, payload));
    c->bytes += bytes;
}

static size_t copy_marks(void *user, const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    (void)user;
    assert_true(size <= room);
    memcpy(out, data, size);
    return size;
}

static void finish(struct compacted *c)
{
    const uint8_t *blob = mesh_compact_finish(c->compact, copy_marks, NULL, SEED, &c->blob_bytes);

    assert_non_null(blob);
    c->blob = malloc(c->blob_bytes);
    memcpy(c->blob, blob, c->blob_bytes);
}

/* As in mesh_trace_get_chunk, without compression. */
static int read_blob(const uint8_t *blob, size_t blob_bytes, uint8_t *records, size_t bytes)
{
    struct compact_parts parts;

    if (!mesh_compact_split(blob, blob_bytes, &parts) || parts.marks_bytes > parts.packed_bytes)
        return MESH_ETRUNCATED;
    return mesh_compact_read(&parts, parts.packed, records, bytes);
}

static void comes_back(struct compacted *c)
{
    uint8_t *read = malloc(c->bytes);

    assert_int_equal(mesh_compact_bytes(c->compact), c->bytes);
    finish(c);
    assert_int_equal(read_blob(c->blob, c->blob_bytes, read, c->bytes), 0);
    assert_memory_equal(read, c->records, c->bytes);
    free(read);
}

/* Usual calls, and some that hardly occur. */
static void put_any(struct compacted *c, uint64_t at_ns)
{
    static uint8_t packet[RECORD_BYTES], data[TILE_BYTES];
    struct mesh_tape_entry call = {.payload = data, .payload_rows = 1};
    const bool is_message = draw(3) > 0;

    if (is_message) {
        const unsigned types[] = {MESH_TYPE_TILE, MESH_TYPE_NAK, MESH_TYPE_STATUS, MESH_TYPE_RECORD, MESH_TYPE_PROBE};
        const size_t bytes = message_case(types[draw(5)], draw(50) + 1, packet, sizeof packet), body = mesh_tape_body_bytes(packet, bytes);

        call.receive.kind = draw(2) == 0 ? MESH_TAPE_RECEIVE : MESH_TAPE_DATAGRAM;
        call.body = packet;
        call.payload = packet + body;
        call.call.body_bytes = (uint32_t)body;
        call.call.payload_bytes = (uint32_t)(bytes - body);
    } else {
        const uint8_t kinds[] = {MESH_TAPE_TICK, MESH_TAPE_PUBLISH, MESH_TAPE_CONSUME, MESH_TAPE_CLUSTER_DATAGRAM, MESH_TAPE_EVENT};

        for (size_t i = 0; i < sizeof packet; i += 1 + draw(2000))
            packet[i] = (uint8_t)draw(256);
        call.call.kind = kinds[draw(5)];
        call.body = packet;
        call.call.body_bytes = draw(10) == 0 ? draw(UINT16_MAX) : draw(300);
        call.call.payload_bytes = draw(2) * draw(sizeof data);
    }
    call.call.payload = call.call.payload_bytes == 0 ? MESH_TAPE_EMPTY : draw(2) == 0 ? MESH_TAPE_WHOLE : MESH_TAPE_HASHED;
    if (call.call.payload == MESH_TAPE_HASHED)
        call.call.payload_hash = draw(6);
    call.call.at_ns = at_ns;
    call.call.due_ns = draw(4) == 0 ? UINT64_MAX : at_ns - draw(3);
    put(c, &call);
}

static void any_records_come_back_to_the_byte(void **state)
{
    struct compacted *c = *state;

    for (uint64_t i = 0; i < RECORDS; i++)
        put_any(c, i * 1000 + draw(900));
    comes_back(c);
}

static void what_was_cleared_is_forgotten(void **state)
{
    struct compacted *c = *state;

    for (uint64_t i = 0; i < 50; i++)
        put_any(c, i);
    mesh_compact_clear(c->compact);
    c->bytes = 0;
    for (uint64_t i = 0; i < 50; i++)
        put_any(c, i);
    comes_back(c);
}

/* A publication of two tiles, then the two as datagrams: together, and once more later. */
static void what_is_published_is_stored_once_though_it_is_sent_thrice(void **state)
{
    struct compacted *c = *state;
    uint8_t data[2 * TILE_BYTES], header[MESH_HEADER_BYTES + sizeof(struct mesh_tile_bytes)] = {0};
    struct mesh_tape_entry call = {.publish = {.kind = MESH_TAPE_PUBLISH, .payload = MESH_TAPE_WHOLE, .payload_bytes = sizeof data},
                                   .payload = data,
                                   .payload_rows = 1};

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)draw(256);
    put(c, &call);
    for (unsigned i = 0; i < 6; i++) {
        call = (struct mesh_tape_entry){
            .datagram = {.kind = MESH_TAPE_DATAGRAM, .payload = MESH_TAPE_WHOLE, .body_bytes = sizeof header, .payload_bytes = TILE_BYTES},
            .body = header,
            .payload = data + i % 2 * TILE_BYTES,
            .payload_rows = 1};
        put(c, &call);
    }
    comes_back(c);
    assert_true(c->blob_bytes < 2 * sizeof data);
}

static void like_records_take_few_bytes(void **state)
{
    struct compacted *c = *state;
    struct mesh_tape_entry call = {.consume = {.kind = MESH_TAPE_CONSUME, .due_ns = 5000000}};

    for (unsigned i = 0; i < RECORDS; i++) {
        call.call.at_ns += 100 + draw(1000);
        call.consume.phase = (uint16_t)i;
        put(c, &call);
    }
    comes_back(c);
    assert_true(c->blob_bytes < c->bytes / 5);
}

/* Reading must end, without an error from a sanitizer. */
static void whatever_is_damaged_reading_ends(void **state)
{
    struct compacted *c = *state;
    uint8_t *damaged, *read;
    unsigned refused = 0;

    for (uint64_t i = 0; i < 30; i++)
        put_any(c, i * 1000);
    comes_back(c);
    damaged = malloc(c->blob_bytes);
    read = malloc(c->bytes);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t bytes = draw(4) == 0 ? draw((uint32_t)c->blob_bytes) : c->blob_bytes;

        memcpy(damaged, c->blob, bytes);
        for (unsigned i = draw(4); i > 0 && bytes > 0; i--) /* mostly in the part that describes the rest */
            damaged[bytes - 1 - draw((uint32_t)(draw(2) == 0 && bytes > 900 ? 900 : bytes))] = (uint8_t)draw(256);
        refused += read_blob(damaged, bytes, read, c->bytes) != 0;
    }
    assert_true(refused > ROUNDS / 4);
    free(damaged);
    free(read);
}

static void a_changed_bit_is_noticed(void **state)
{
    struct compacted *c = *state;

    for (uint64_t i = 0; i < 30; i++)
        put_any(c, i * 1000);
    finish(c);
    assert_true(mesh_compact_is_intact(c->blob, c->blob_bytes, SEED));
    assert_false(mesh_compact_is_intact(c->blob, c->blob_bytes, SEED + 1));
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t at = draw(2) == 0 ? draw((uint32_t)c->blob_bytes) : c->blob_bytes - 1 - draw(200);
        const uint8_t bit = (uint8_t)(1 << draw(8));
        const size_t head = c->blob_bytes - COMPACT_TRAILER_BYTES - COMPACT_CHECKSUM_BYTES;

        c->blob[at] ^= bit;
        /* A changed head is no checksum's: then zstd finds a frame that it does not know, or none to skip. */
        if (at < head || at >= head + 8)
            assert_false(mesh_compact_is_intact(c->blob, c->blob_bytes, SEED));
        c->blob[at] ^= bit;
    }
    assert_true(mesh_compact_is_intact(c->blob, c->blob_bytes, SEED));
}

/* As recorders wrote them before there were checksums. */
static void a_blob_without_a_checksum_is_intact_and_read(void **state)
{
    struct compacted *c = *state;
    uint8_t *read = malloc((size_t)RECORDS * RECORD_BYTES);
    size_t checksum;

    for (uint64_t i = 0; i < 30; i++)
        put_any(c, i * 1000);
    finish(c);
    checksum = c->blob_bytes - COMPACT_TRAILER_BYTES - COMPACT_CHECKSUM_BYTES;
    memmove(c->blob + checksum, c->blob + checksum + COMPACT_CHECKSUM_BYTES, COMPACT_TRAILER_BYTES);
    c->blob_bytes -= COMPACT_CHECKSUM_BYTES;
    assert_true(mesh_compact_is_intact(c->blob, c->blob_bytes, SEED + 1));
    assert_int_equal(read_blob(c->blob, c->blob_bytes, read, c->bytes), 0);
    assert_memory_equal(read, c->records, c->bytes);
    for (size_t bytes = 0; bytes < COMPACT_TRAILER_BYTES + COMPACT_CHECKSUM_BYTES; bytes++)
        assert_true(mesh_compact_is_intact(c->blob, bytes, SEED));
    assert_true(mesh_compact_is_intact(NULL, 0, SEED));
    free(read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_records_come_back_to_the_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_cleared_is_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_published_is_stored_once_though_it_is_sent_thrice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(like_records_take_few_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_is_damaged_reading_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_bit_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_blob_without_a_checksum_is_intact_and_read, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
