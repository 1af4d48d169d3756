/* Hashes in place of payloads: equal for equal bytes, whether published, sent or received, and different for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libmesh/trace/trace_recording.h"
#include "mesh/recording.h"
#include "tape_case.h"
#include "tapes.h"
#include "trace_case.h"

enum { STEPS = 4, CHUNK_BYTES = 1 << 24, HASHED_MAX = 4000 };

/* A call, and the hash that was recorded for it. */
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
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk chunk;

    assert_non_null(records);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    while (mesh_trace_next(cursor, &chunk) == 1) {
        assert_true(chunk.bytes <= CHUNK_BYTES);
        assert_int_equal(mesh_trace_get_chunk(trace, &chunk, records), 0);
        find_in_chunk(records, chunk.bytes);
    }
    mesh_trace_end(cursor);
    free(records);
    assert_int_equal(told.found, told.count);
}

static bool is_same(const struct hashed *a, const struct hashed *b)
{
    return a->bytes == b->bytes && memcmp(a->payload, b->payload, a->bytes) == 0;
}

/* Tiles and records have different kinds of hashes, and no bytes in common. */
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

/* Another epoch has the same places with other bytes: each payload changes. Publishing a tile is not reported. */
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

    tape_init(&tape);
    tape_case_tell(&tape.tap, STEPS);
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

/* ---- one tile ---- */

enum { TOKEN_BYTES = 136 };

static const struct mesh_tile published = {.step = 7, .phase = 3, .token_first = 2, .token_count = 1, .block_first = 16, .block_count = 4};
static const uint8_t secret[32] = {1}, payload[2 * TOKEN_BYTES] = {2}, other_payload[2 * TOKEN_BYTES] = {3};

static uint64_t hash_of_published(struct recording_hashes *hashes, const struct mesh_tile *tile)
{
    struct mesh_tape_entry entry = {.publish = {.kind = MESH_TAPE_PUBLISH,
                                                .payload = MESH_TAPE_WHOLE,
                                                .payload_bytes = TOKEN_BYTES * (uint32_t)tile->token_count,
                                                .step = tile->step,
                                                .phase = tile->phase,
                                                .token_first = tile->token_first,
                                                .token_count = tile->token_count,
                                                .block_first = tile->block_first,
                                                .block_count = tile->block_count},
                                    .payload = payload,
                                    .payload_rows = tile->token_count,
                                    .payload_stride = TOKEN_BYTES};

    mesh_recording_leave_out(hashes, &entry);
    return entry.call.payload_hash;
}

static uint64_t hash_of_sent(struct recording_hashes *hashes, const struct mesh_tile *tile, const uint8_t *bytes)
{
    const struct mesh_message message = {
        .header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_TILE, .epoch = 1, .dst = 1, .number = 1},
        .as.tile = *tile,
        .data = bytes,
        .data_bytes = (size_t)TOKEN_BYTES * tile->token_count};
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    const size_t packet_bytes = mesh_wire_encode(&message, packet, sizeof packet), body = mesh_tape_body_bytes(packet, packet_bytes);
    struct mesh_tape_entry entry = {.call = {.kind = MESH_TAPE_DATAGRAM,
                                             .payload = MESH_TAPE_WHOLE,
                                             .body_bytes = (uint32_t)body,
                                             .payload_bytes = (uint32_t)message.data_bytes},
                                    .body = packet,
                                    .payload = packet + body,
                                    .payload_rows = 1,
                                    .payload_stride = message.data_bytes};

    mesh_recording_leave_out(hashes, &entry);
    return entry.call.payload_hash;
}

/* Without a publication before. */
static uint64_t hash_of_sent_alone(const struct mesh_tile *tile, const uint8_t *bytes)
{
    struct recording_hashes hashes;

    mesh_recording_hashes_init(&hashes, secret);
    return hash_of_sent(&hashes, tile, bytes);
}

/* Its bytes, which differ here, are not examined. */
static void what_is_sent_as_it_was_published_is_not_hashed_again(void **state)
{
    struct recording_hashes hashes;
    uint64_t hash;

    (void)state;
    mesh_recording_hashes_init(&hashes, secret);
    hash = hash_of_published(&hashes, &published);
    assert_true(hash == hash_of_sent_alone(&published, payload));
    assert_true(hash == hash_of_sent(&hashes, &published, other_payload));
    mesh_recording_forget_published(&hashes);
    assert_true(hash != hash_of_sent(&hashes, &published, other_payload));
}

/* For example a tile of an earlier step that is sent again, or one that also has the next token's bytes. */
static void what_is_sent_of_another_place_is_hashed_itself(void **state)
{
    struct mesh_tile others[] = {published, published, published, published, published, published};

    (void)state;
    others[0].step--;
    others[1].phase--;
    others[2].token_first--;
    others[3].block_first--;
    others[4].block_count--;
    others[5].token_count++;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct recording_hashes hashes;

        mesh_recording_hashes_init(&hashes, secret);
        assert_true(hash_of_published(&hashes, &published) != hash_of_sent_alone(&others[i], other_payload));
        assert_true(hash_of_sent(&hashes, &others[i], other_payload) == hash_of_sent_alone(&others[i], other_payload));
    }
}

/* When published, tokens are hashed one by one; a receiver knows only the tile. */
static void tokens_that_were_published_together_are_hashed_again_as_a_tile(void **state)
{
    struct mesh_tile two = published;
    struct recording_hashes hashes;

    (void)state;
    two.token_count = 2;
    mesh_recording_hashes_init(&hashes, secret);
    assert_true(hash_of_published(&hashes, &two) != hash_of_sent_alone(&two, payload));
    assert_true(hash_of_sent(&hashes, &two, payload) == hash_of_sent_alone(&two, payload));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_as_it_was_published_is_not_hashed_again),
        cmocka_unit_test(what_is_sent_of_another_place_is_hashed_itself),
        cmocka_unit_test(tokens_that_were_published_together_are_hashed_again_as_a_tile),
        cmocka_unit_test_setup_teardown(equal_payloads_have_equal_hashes_and_others_have_others, trace_place_open, trace_place_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
