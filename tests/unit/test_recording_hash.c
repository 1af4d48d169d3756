/* Hashes in the place of payloads: the same for the same bytes, whether they were published, sent or received, and others for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/recording.h"
#include "simbench.h"
#include "tapes.h"
#include "trace_case.h"

enum { RANKS = 2, CHUNK_BYTES = 1 << 24, HASHED_MAX = 4000 };

static struct simbench bench; /* too large for the stack */

/* What was told, and the hash that was recorded of it. */
struct hashed {
    const uint8_t *payload;
    uint32_t bytes;
    uint8_t kind;
    uint64_t hash;
};

struct told {
    struct hashed list[HASHED_MAX];
    size_t count, found;
};

static struct told told;

/* Of rank 0 of an exchange over a network that loses: tiles are sent again, and cut in other ways. */
static void make_tape(struct tape *tape)
{
    struct mesh_sim_link link = simbench_ethernet();
    struct simshape shape;

    tape_init(tape);
    link.loss_ppm = 20000;
    simshape_random(&shape, 5, RANKS, 6, 60);
    shape.step_count = 4;
    shape.records = 4;
    simbench_init(&bench, &shape, 11, &link);
    bench.configs[0].tap = &tape->tap;
    simbench_start(&bench);
    assert_true(simbench_join(&bench, SIM_S(2)));
    assert_true(simbench_exchange(&bench, SIM_S(20)));
    simbench_close(&bench);
}

static void tell(struct mesh_recording *recording, const struct tape *tape)
{
    const struct mesh_tap *tap = mesh_recording_endpoint_tap(recording);
    struct mesh_tape_entry entry;

    for (size_t at = 0; tape_next(tape, &at, &entry);) {
        tap->put(tap->user, &entry);
        if (entry.payload == NULL)
            continue;
        assert_true(told.count < HASHED_MAX);
        told.list[told.count++] = (struct hashed){entry.payload, entry.call.payload_bytes, entry.call.kind, 0};
    }
}

static void find_in_chunk(const uint8_t *records, size_t bytes)
{
    struct mesh_tape_entry entry;
    size_t used;

    for (size_t at = 0; at < bytes; at += used) {
        assert_int_equal(mesh_tape_decode(records + at, bytes - at, &entry, &used), 0);
        assert_int_not_equal(entry.call.payload, MESH_TAPE_WHOLE);
        if (entry.call.payload == MESH_TAPE_EMPTY)
            continue;
        assert_true(told.found < told.count);
        assert_int_equal(entry.call.kind, told.list[told.found].kind);
        assert_int_equal(entry.call.payload_bytes, told.list[told.found].bytes);
        told.list[told.found++].hash = entry.call.payload_hash;
    }
}

static void find_hashes(struct mesh_trace *trace)
{
    uint8_t *records = malloc(CHUNK_BYTES);
    struct mesh_trace_reading *reading;
    struct mesh_trace_chunk chunk;

    assert_non_null(records);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &reading), 0);
    while (mesh_trace_next(reading, &chunk) == 1) {
        assert_true(chunk.bytes <= CHUNK_BYTES);
        assert_int_equal(mesh_trace_get_chunk(trace, &chunk, records), 0);
        find_in_chunk(records, chunk.bytes);
    }
    mesh_trace_end(reading);
    free(records);
    assert_int_equal(told.found, told.count);
}

static bool is_same(const struct hashed *a, const struct hashed *b)
{
    return a->bytes == b->bytes && memcmp(a->payload, b->payload, a->bytes) == 0;
}

/* Tiles and records have hashes of different kinds, and no bytes in common. */
static unsigned compare(void)
{
    unsigned sent_as_published = 0;

    for (size_t i = 0; i < told.count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct hashed *a = &told.list[j], *b = &told.list[i];

            assert_true(is_same(a, b) == (a->hash == b->hash));
            sent_as_published += a->kind == MESH_TAPE_PUBLISH && b->kind == MESH_TAPE_DATAGRAM && a->hash == b->hash;
        }
    return sent_as_published;
}

/* Another epoch has the same places, and other bytes there: each payload is another one. That a tile was published is not told of. */
static bool alter(void *app, uint64_t index, struct mesh_tape_entry *entry)
{
    static uint8_t altered[1 << 16];

    (void)app;
    (void)index;
    if (entry->payload != NULL) {
        assert_true(entry->call.payload_bytes <= sizeof altered);
        memcpy(altered, entry->payload, entry->call.payload_bytes);
        altered[entry->call.payload_bytes / 2] ^= 1;
        entry->payload = altered;
    }
    return entry->call.kind != MESH_TAPE_PUBLISH;
}

static void equal_payloads_have_equal_hashes_and_others_have_others(void **state)
{
    struct trace_place *place = *state;
    const struct mesh_recording_config config = {
        .path = place->path,
        .secret = {1},
        .node = {.name = "node", .port = MESH_TRACE_NULL, .clock_offset_ns = MESH_TRACE_NULL, .clock_error_ns = MESH_TRACE_NULL}};
    struct mesh_recording *recording;
    struct tape tape, other;

    make_tape(&tape);
    tape_copy(&other, &tape, alter, NULL);
    assert_int_equal(mesh_recording_open(&recording, &config, place->reason), 0);
    tell(recording, &tape);
    tell(recording, &other);
    mesh_recording_close(recording, NULL);
    assert_int_equal(mesh_trace_open(&place->trace, place->path, place->reason), 0);
    find_hashes(place->trace);
    assert_true(compare() > 10);
    tape_release(&tape);
    tape_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equal_payloads_have_equal_hashes_and_others_have_others, trace_place_open, trace_place_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
