/* The trace store: what is written is read back, and files that are no traces are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "mesh/tape.h"
#include "mesh/trace.h"
#include "mesh/wire.h"
#include "trace_case.h"

static int set_up(void **state)
{
    struct trace_place *place;

    if (trace_place_open(state) != 0)
        return -1;
    place = *state;
    return mesh_trace_create(&place->trace, place->path, place->reason);
}

/* Another handle reads what was written so far. */
static void reopen(struct trace_place *place)
{
    mesh_trace_close(place->trace);
    assert_int_equal(mesh_trace_open(&place->trace, place->path, place->reason), 0);
}

static void rows_come_back_as_they_were_written(void **state)
{
    struct trace_place *place = *state;
    struct mesh_trace_input row = {.node = 1, .t_ns = 5, .core = MESH_TRACE_CORE_MESH, .instance = UINT64_MAX, .kind = 3};
    struct mesh_trace_input read;
    struct mesh_trace_cursor *cursor;
    uint64_t id, count;

    row.peer = MESH_TRACE_NULL;
    row.datagram = 9;
    row.args = (struct mesh_trace_bytes){"abc", 3};
    assert_int_equal(mesh_trace_begin(place->trace), 0);
    assert_int_equal(mesh_trace_add_row_input(place->trace, &row, &id), 0);
    assert_int_equal(id, 1);
    row.args = (struct mesh_trace_bytes){NULL, 0};
    row.peer = 2;
    assert_int_equal(mesh_trace_add_row_input(place->trace, &row, &id), 0);
    assert_int_equal(id, 2);
    assert_int_equal(mesh_trace_commit(place->trace), 0);
    reopen(place);

    assert_int_equal(mesh_trace_count(place->trace, MESH_TRACE_TABLE_INPUT, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(mesh_trace_read(place->trace, MESH_TRACE_TABLE_INPUT, 1, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &read), 1);
    assert_int_equal(read.id, 1);
    assert_int_equal(read.instance, UINT64_MAX);
    assert_true(read.peer == MESH_TRACE_NULL);
    assert_int_equal(read.datagram, 9);
    assert_int_equal(read.args.size, 3);
    assert_memory_equal(read.args.bytes, "abc", 3);
    assert_int_equal(mesh_trace_next(cursor, &read), 1);
    assert_null(read.args.bytes);
    assert_int_equal(read.peer, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mesh_trace_next(cursor, &read), 0); /* and does not begin anew */
    }
    mesh_trace_end(cursor);
    mesh_trace_end(NULL);
}

static void check_refused(const struct trace_place *place, int result, int err, const char *text)
{
    assert_int_equal(result, err);
    if (strstr(mesh_trace_reason(place->trace), text) == NULL) {
        fail_msg("'%s' does not say '%s'", mesh_trace_reason(place->trace), text);
    }
}

static void transactions_begin_and_end_in_turn(void **state)
{
    struct trace_place *place = *state;
    const struct mesh_trace_token row = {.node = 1};
    uint64_t count;

    check_refused(place, mesh_trace_commit(place->trace), MESH_ESTATE, "no transaction is open");
    assert_int_equal(mesh_trace_begin(place->trace), 0);
    assert_int_equal(mesh_trace_add_row_token(place->trace, &row, NULL), 0);
    check_refused(place, mesh_trace_begin(place->trace), MESH_ESTATE, "open already");
    assert_int_equal(mesh_trace_add_row_token(place->trace, &row, NULL), 0);
    assert_int_equal(mesh_trace_commit(place->trace), 0);
    check_refused(place, mesh_trace_commit(place->trace), MESH_ESTATE, "no transaction is open");
    assert_int_equal(mesh_trace_begin(place->trace), 0);
    mesh_trace_rollback(place->trace);
    check_refused(place, mesh_trace_commit(place->trace), MESH_ESTATE, "no transaction is open");
    assert_int_equal(mesh_trace_count(place->trace, MESH_TRACE_TABLE_TOKEN, &count), 0);
    assert_int_equal(count, 2);
}

static void calls_that_do_not_fit_are_refused(void **state)
{
    static const uint8_t packet[MESH_TRACE_DATAGRAM_BYTES_MAX + 1];
    struct trace_place *place = *state;
    const struct mesh_trace_datagram datagram = {.node = 1};
    const struct mesh_trace_token token = {.node = 1};
    const struct mesh_trace_chunk chunk = {.node = 1};
    const struct mesh_trace_report report = {.node = 1};
    const enum mesh_trace_table none = MESH_TRACE_TABLE_COUNT;
    struct mesh_trace_cursor *cursor;
    uint64_t count;

    check_refused(place, mesh_trace_add(place->trace, MESH_TRACE_TABLE_DATAGRAM, &datagram, NULL), MESH_EINVAL, "mesh_trace_add_datagram");
    check_refused(place, mesh_trace_add(place->trace, none, &token, NULL), MESH_EINVAL, "no table");
    check_refused(place, mesh_trace_add_datagram(place->trace, &datagram, packet, sizeof packet, true, NULL), MESH_EINVAL, "at most 65535");
    reopen(place);
    check_refused(place, mesh_trace_begin(place->trace), MESH_EINVAL, "opened for reading");
    check_refused(place, mesh_trace_set_meta(place->trace, "a", "b"), MESH_EINVAL, "opened for reading");
    check_refused(place, mesh_trace_add_row_token(place->trace, &token, NULL), MESH_EINVAL, "opened for reading");
    check_refused(place, mesh_trace_add_datagram(place->trace, &datagram, packet, 10, true, NULL), MESH_EINVAL, "opened for reading");
    check_refused(place, mesh_trace_add_chunk(place->trace, &chunk, packet, 10, NULL), MESH_EINVAL, "opened for reading");
    check_refused(place, mesh_trace_add_report(place->trace, &report, NULL), MESH_EINVAL, "opened for reading");
    check_refused(place, mesh_trace_count(place->trace, none, &count), MESH_EINVAL, "no table");
    check_refused(place, mesh_trace_read(place->trace, none, 1, &cursor), MESH_EINVAL, "no table");
    assert_null(cursor);
}

static void what_is_too_long_is_refused_and_not_stored_as_nothing(void **state)
{
    static char text[MESH_TRACE_BLOB_BYTES_MAX + 2];
    struct trace_place *place = *state;
    const struct mesh_trace_event event = {.node = 1, .kind = "lost", .reason = text};
    const struct mesh_trace_request request = {.node = 1, .kind = "begin", .prompt = {text, sizeof text}};
    const struct mesh_trace_event fits = {.node = 1, .kind = "lost", .reason = "it fits"};
    uint64_t count;

    memset(text, 'x', sizeof text - 1);
    check_refused(place, mesh_trace_add_row_event(place->trace, &event, NULL), MESH_ERANGE, "reason of events: more than 16777216 bytes");
    check_refused(place, mesh_trace_add_row_request(place->trace, &request, NULL), MESH_ERANGE, "prompt of requests: more than");
    assert_int_equal(mesh_trace_add_row_event(place->trace, &fits, NULL), 0);
    assert_int_equal(mesh_trace_count(place->trace, MESH_TRACE_TABLE_EVENT, &count), 0);
    assert_int_equal(count, 1);
}

static void meta_is_text_by_key(void **state)
{
    struct trace_place *place = *state;
    char value[32];

    assert_int_equal(mesh_trace_set_meta(place->trace, "ids", "hash"), 0);
    assert_int_equal(mesh_trace_set_meta(place->trace, "ids", "all"), 0);
    reopen(place);
    assert_int_equal(mesh_trace_get_meta(place->trace, "ids", value, sizeof value), 0);
    assert_string_equal(value, "all");
    assert_int_equal(mesh_trace_get_meta(place->trace, "no", value, sizeof value), MESH_EABSENT);
    assert_string_equal(value, "all");
    assert_string_equal(mesh_strerror(MESH_EABSENT), "nothing of that name");
}

static size_t make_tile(uint8_t *packet, size_t capacity, const uint8_t *data, size_t data_bytes)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                              .version = MESH_WIRE_VERSION,
                                              .type = MESH_TYPE_TILE,
                                              .src = 1,
                                              .dst = MESH_DST_ALL,
                                              .epoch = 7,
                                              .number = 12,
                                              .have_step = MESH_STEP_NONE,
                                              .sent_ns = 1234567},
                                   .as.tile = {.step = 4, .phase = 2, .token_count = 1, .block_count = 8},
                                   .data = data,
                                   .data_bytes = data_bytes};

    return mesh_wire_encode(&message, packet, capacity);
}

/* Adds a packet, reads it again and compares; returns the row, whose blobs are not valid any more. */
static struct mesh_trace_datagram there_and_back(struct trace_place *place, const uint8_t *packet, size_t packet_bytes, bool keep)
{
    static uint8_t read[MESH_TRACE_DATAGRAM_BYTES_MAX];
    struct mesh_trace_datagram row = {.node = 1, .t_ns = 3, .direction = MESH_TRACE_RECEIVED};
    struct mesh_trace_cursor *cursor;
    size_t read_bytes;
    uint64_t id;
    bool is_complete;

    assert_int_equal(mesh_trace_add_datagram(place->trace, &row, packet, packet_bytes, keep, &id), 0);
    assert_int_equal(mesh_trace_read(place->trace, MESH_TRACE_TABLE_DATAGRAM, id, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(row.id, id);
    assert_int_equal(mesh_trace_get_packet(place->trace, &row, read, &read_bytes, &is_complete), 0);
    assert_int_equal(read_bytes, packet_bytes);
    assert_int_equal(is_complete, keep || row.data_bytes == 0 || row.coding != MESH_TRACE_NOT_STORED);
    if (is_complete) {
        assert_memory_equal(read, packet, packet_bytes);
    } else {
        assert_memory_equal(read, packet, packet_bytes - (size_t)row.data_bytes);
    }
    mesh_trace_end(cursor);
    return row;
}

static void a_datagram_comes_back_to_the_byte(void **state)
{
    struct trace_place *place = *state;
    uint8_t packet[1200], data[512];
    struct mesh_trace_datagram row;
    size_t bytes;

    memset(data, 17, sizeof data); /* compressible */
    bytes = make_tile(packet, sizeof packet, data, sizeof data);
    row = there_and_back(place, packet, bytes, true);
    assert_int_equal(row.form, MESH_TRACE_WHOLE);
    assert_int_equal(row.coding, MESH_TRACE_ZSTD);
    assert_int_equal(row.data_bytes, sizeof data);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * i * 7 + i / 3 * 31 + (i << 3 ^ i >> 2)); /* incompressible */
    }
    bytes = make_tile(packet, sizeof packet, data, sizeof data);
    there_and_back(place, packet, bytes, true);
}

static void without_the_payload_its_hash_stays(void **state)
{
    struct trace_place *place = *state;
    uint8_t packet[1200], data[64] = {1, 2, 3};
    const size_t bytes = make_tile(packet, sizeof packet, data, sizeof data);
    const struct mesh_trace_datagram row = there_and_back(place, packet, bytes, false);

    assert_int_equal(row.coding, MESH_TRACE_NOT_STORED);
    assert_true(row.data_hash == mesh_trace_hash(data, sizeof data));
}

static void what_cannot_be_decoded_is_stored_as_it_is(void **state)
{
    struct trace_place *place = *state;
    uint8_t packet[1200], data[64] = {1};
    size_t bytes = make_tile(packet, sizeof packet, data, sizeof data);

    packet[offsetof(struct mesh_header_bytes, flags)] |= MESH_FLAG_SEALED | MESH_FLAG_AUTHENTICATED;
    packet[offsetof(struct mesh_header_bytes, tag)] = 5;
    assert_int_equal(there_and_back(place, packet, bytes, true).form, MESH_TRACE_HEADER);
    packet[0] = 0;
    assert_int_equal(there_and_back(place, packet, bytes, true).form, MESH_TRACE_OPAQUE);
    assert_int_equal(there_and_back(place, packet, 0, true).form, MESH_TRACE_OPAQUE);
}

static void a_nak_keeps_its_ranges_without_payloads(void **state)
{
    struct trace_place *place = *state;
    uint8_t packet[1200];
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = MESH_TYPE_NAK, .number = 1}};
    size_t bytes;

    message.as.nak = (struct mesh_nak){.step = 3, .phase = 1, .range_count = 2};
    message.ranges[0] = (struct mesh_range){.token_count = 1, .block_first = 4, .block_count = 2};
    message.ranges[1] = (struct mesh_range){.token_count = 1, .block_first = 9, .block_count = 1};
    bytes = mesh_wire_encode(&message, packet, sizeof packet);
    assert_int_equal(there_and_back(place, packet, bytes, false).coding, MESH_TRACE_PLAIN);
}

/* Records of datagrams whose data cannot be compressed, and of calls without data. */
static size_t make_records(uint8_t *records, size_t capacity, uint64_t count)
{
    static uint8_t body[80], data[700];
    struct mesh_tape_entry call = {.body = body, .payload = data, .payload_rows = 1};
    size_t used = 0;
    uint32_t random = 1;

    for (uint64_t i = 0; i < count; i++) {
        const bool has_data = i % 3 == 1;

        for (size_t at = 0; at < sizeof data; at++)
            data[at] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
        call.receive = (struct mesh_tape_receive){.kind = has_data ? MESH_TAPE_RECEIVE : MESH_TAPE_TICK, .at_ns = i};
        if (has_data) {
            call.call.payload = MESH_TAPE_WHOLE;
            call.call.body_bytes = sizeof body;
            call.call.payload_bytes = (uint32_t)(sizeof data - i % 100);
        }
        used += mesh_tape_encode(&call, records + used, capacity - used);
    }
    return used;
}

static void a_chunk_comes_back_to_the_byte(void **state)
{
    static uint8_t records[60000], read[60000];
    struct trace_place *place = *state;
    struct mesh_trace_chunk row = {.node = 1, .core = MESH_TRACE_CORE_MESH, .first = 1, .count = 90};
    struct mesh_trace_cursor *cursor;
    const size_t bytes = make_records(records, sizeof records, row.count), wrong[] = {1, bytes - 2, bytes - 1, bytes + 1, bytes + 2};
    size_t stored;

    assert_int_equal(mesh_trace_add_chunk(place->trace, &row, records, bytes, &stored), 0);
    assert_true(stored < bytes);
    reopen(place);
    assert_int_equal(mesh_trace_read(place->trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(row.coding, MESH_TRACE_COMPACT);
    assert_int_equal(row.bytes, bytes);
    assert_int_equal(mesh_trace_get_chunk(place->trace, &row, read), 0);
    assert_memory_equal(read, records, bytes);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        row.bytes = wrong[i];
        assert_true(mesh_trace_get_chunk(place->trace, &row, read) < 0);
        assert_non_null(strstr(mesh_trace_reason(place->trace), "damaged"));
    }
    row.bytes = bytes;
    row.coding = MESH_TRACE_ZSTD_APART;
    assert_true(mesh_trace_get_chunk(place->trace, &row, read) < 0);
    mesh_trace_end(cursor);
}

static void an_existing_file_is_not_written_to(void **state)
{
    struct trace_place *place = *state;
    struct mesh_trace *second;

    assert_int_equal(mesh_trace_create(&second, place->path, place->reason), MESH_ESYSTEM);
    assert_null(second);
    assert_non_null(strstr(place->reason, "give another name"));
}

static void what_was_committed_survives_a_writer_that_ends_without_a_word(void **state)
{
    struct trace_place *place = *state;
    struct mesh_trace_gap row = {.node = 1, .what = "payloads", .after_input = MESH_TRACE_NULL};
    struct mesh_trace *reader;
    uint64_t count;

    assert_int_equal(mesh_trace_begin(place->trace), 0);
    assert_int_equal(mesh_trace_add_row_gap(place->trace, &row, NULL), 0);
    assert_int_equal(mesh_trace_commit(place->trace), 0);
    assert_int_equal(mesh_trace_begin(place->trace), 0);
    assert_int_equal(mesh_trace_add_row_gap(place->trace, &row, NULL), 0);
    assert_int_equal(mesh_trace_open(&reader, place->path, place->reason), 0);
    assert_int_equal(mesh_trace_count(reader, MESH_TRACE_TABLE_GAP, &count), 0);
    assert_int_equal(count, 1);
    mesh_trace_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_come_back_as_they_were_written, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(transactions_begin_and_end_in_turn, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(calls_that_do_not_fit_are_refused, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(what_is_too_long_is_refused_and_not_stored_as_nothing, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(meta_is_text_by_key, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_datagram_comes_back_to_the_byte, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(without_the_payload_its_hash_stays, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(what_cannot_be_decoded_is_stored_as_it_is, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_nak_keeps_its_ranges_without_payloads, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(a_chunk_comes_back_to_the_byte, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(an_existing_file_is_not_written_to, set_up, trace_place_close),
        cmocka_unit_test_setup_teardown(what_was_committed_survives_a_writer_that_ends_without_a_word, set_up, trace_place_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
