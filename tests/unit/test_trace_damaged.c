/* Files that are no traces, have an earlier schema, or are damaged: each is refused with a message, or read as far as possible. */
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
#include <sqlite3.h>

#include "mesh/tape.h"
#include "mesh/trace.h"
#include "trace_case.h"

enum { DAMAGES = 150 };

static char path[TRACE_PLACE_PATH_BYTES], reason[MESH_TRACE_REASON_BYTES];

static int set_up(void **state)
{
    return trace_place_make(state, path);
}

static void execute(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    sqlite3_close(db);
}

static void is_refused(int expected, const char *why)
{
    struct mesh_trace *trace;

    assert_int_equal(mesh_trace_open(&trace, path, reason), expected);
    assert_null(trace);
    if (strstr(reason, why) == NULL) {
        fail_msg("%s: lacks %s", reason, why);
    }
}

static void another_programs_file_is_refused(void **state)
{
    (void)state;
    execute("PRAGMA application_id=7");
    is_refused(MESH_ETYPE, "of another program (application_id 7)");
}

static void another_schema_is_refused_by_number(void **state)
{
    (void)state;
    execute("PRAGMA user_version=99");
    is_refused(MESH_EVERSION, "schema 99, and this program knows 1 to 2");
}

static void a_trace_of_schema_1_is_read_and_says_so(void **state)
{
    struct mesh_trace *trace;

    (void)state;
    execute("PRAGMA user_version=1");
    assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_schema(trace), 1);
    mesh_trace_close(trace);
}

/* As recorders of that version wrote them: a frame of the calls without their data, which are no calls by themselves, and one of the
 * data. */
static void a_chunk_of_schema_1_comes_back_to_the_byte(void **state)
{
    enum { CALLS = 9, DATA = 300 };
    static uint8_t records[CALLS * 500], calls[CALLS * 200], data[CALLS * DATA], read[sizeof records];
    struct mesh_trace_chunk row = {.node = 1, .core = MESH_TRACE_CORE_MESH, .first = 1, .count = CALLS};
    size_t bytes = 0, calls_bytes = 0, fixed, payload;
    struct mesh_trace_cursor *cursor;
    struct mesh_trace *trace;

    (void)state;
    for (unsigned i = 0; i < CALLS; i++) {
        const struct mesh_tape_entry call = {
            .send = {.kind = MESH_TAPE_SEND, .payload = MESH_TAPE_WHOLE, .at_ns = i, .payload_bytes = DATA},
            .payload = memset(data + (size_t)i * DATA, 'a' + (int)i, DATA),
            .payload_rows = 1};
        const size_t used = mesh_tape_encode(&call, records + bytes, sizeof records - bytes);

        assert_int_equal(mesh_tape_measure(records + bytes, used, &fixed, &payload), 0);
        memcpy(calls + calls_bytes, records + bytes, fixed);
        calls_bytes += fixed;
        bytes += used;
    }
    unlink(path);
    assert_int_equal(mesh_trace_create(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_add_chunk(trace, &row, calls, calls_bytes, NULL), 0);
    assert_int_equal(mesh_trace_add_chunk(trace, &row, data, sizeof data, NULL), 0);
    mesh_trace_close(trace);
    execute("UPDATE chunks SET coding = 3, bytes = (SELECT sum(bytes) FROM chunks), records = CAST(records || (SELECT records FROM chunks "
            "WHERE id = 2) AS BLOB) WHERE id = 1; DELETE FROM chunks WHERE id = 2; PRAGMA user_version = 1");
    assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(row.coding, MESH_TRACE_ZSTD_APART);
    assert_int_equal(row.bytes, bytes);
    assert_int_equal(mesh_trace_get_chunk(trace, &row, read), 0);
    assert_memory_equal(read, records, bytes);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

static void a_column_that_is_missing_is_named(void **state)
{
    (void)state;
    execute("ALTER TABLE tokens DROP COLUMN logits_hash");
    is_refused(MESH_ETRUNCATED, "no such column: logits_hash: the file is damaged, made by hand, or was changed by another program");
}

static void a_table_that_is_missing_is_named(void **state)
{
    (void)state;
    execute("DROP TABLE tokens");
    is_refused(MESH_ETRUNCATED, "tokens");
}

/* A view could be a query that never ends. */
static void a_table_that_is_none_is_refused(void **state)
{
    (void)state;
    execute("ALTER TABLE gaps RENAME TO other;"
            "CREATE VIEW gaps AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            "SELECT i AS id, i AS node, i AS t_ns, i AS end_ns, '' AS what, i AS after_input, i AS count, '' AS reason FROM n");
    is_refused(MESH_ETRUNCATED, "gaps");
}

static void an_empty_file_holds_nothing(void **state)
{
    (void)state;
    trace_case_store(path, (const uint8_t *)"", 0);
    is_refused(MESH_ETYPE, "empty");
}

static void a_folder_and_a_pipe_are_no_traces(void **state)
{
    (void)state;
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    is_refused(MESH_ETYPE, "no file");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    is_refused(MESH_ETYPE, "no file");
    assert_int_equal(rmdir(path), 0);
}

static void a_datagram_of_absurd_size_is_refused(void **state)
{
    static uint8_t packet[MESH_TRACE_DATAGRAM_BYTES_MAX];
    static const char *const damages[] = {"UPDATE datagrams SET bytes = 9000000000000000000",
                                          "UPDATE datagrams SET bytes = -1",
                                          "UPDATE datagrams SET data_bytes = -5",
                                          "UPDATE datagrams SET data_bytes = 70000, bytes = 70000",
                                          "UPDATE datagrams SET payload = x'00', coding = 1",
                                          "UPDATE datagrams SET payload = zeroblob(200), coding = 2",
                                          "UPDATE datagrams SET type = 200",
                                          "UPDATE datagrams SET tag = x'0102'",
                                          "DELETE FROM message_tile"};

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct mesh_trace_cursor *cursor;
        struct mesh_trace_datagram row;
        struct mesh_trace *trace;
        size_t bytes;
        bool is_complete;

        unlink(path);
        trace_case_make(path);
        execute(damages[i]);
        assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
        assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_DATAGRAM, 1, &cursor), 0); /* the first one is a tile */
        assert_int_equal(mesh_trace_next(cursor, &row), 1);
        assert_true(mesh_trace_get_packet(trace, &row, packet, &bytes, &is_complete) < 0);
        assert_non_null(strstr(mesh_trace_reason(trace), "damaged"));
        mesh_trace_end(cursor);
        mesh_trace_close(trace);
    }
}

static void a_chunk_of_absurd_size_is_refused(void **state)
{
    static const char *const damages[] = {"UPDATE chunks SET bytes = 9223372036854775807",
                                          "UPDATE chunks SET bytes = -1, count = -1",
                                          "UPDATE chunks SET count = 4294967296",
                                          "UPDATE chunks SET records = zeroblob(1000000)",
                                          "UPDATE chunks SET coding = 9",
                                          "UPDATE chunks SET bytes = bytes + 1"};

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct mesh_trace *trace;
        uint64_t count;

        unlink(path);
        trace_case_make(path);
        trace_case_change(path, damages[i]);
        assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
        if (mesh_trace_count(trace, MESH_TRACE_TABLE_INPUT, &count) >= 0) /* which includes rows of all calls */
            fail_msg("%s: read", damages[i]);
        assert_non_null(strstr(mesh_trace_reason(trace), "damaged"));
        mesh_trace_close(trace);
    }
}

/* The only chunk of a new trace: calls with data, so that all parts of its blob have bytes. */
static void make_calls(struct mesh_trace_chunk *row)
{
    enum { CALLS = 40, DATA = 90 };
    static uint8_t records[CALLS * 300];
    struct mesh_trace *trace;
    size_t bytes = 0;

    *row = (struct mesh_trace_chunk){.node = 1, .t_ns = 5, .end_ns = 600, .core = MESH_TRACE_CORE_MESH, .instance = 3, .first = 7};
    for (; row->count < CALLS; row->count++) {
        uint8_t data[DATA];
        const struct mesh_tape_entry call = {.publish = {.kind = MESH_TAPE_PUBLISH,
                                                         .payload = MESH_TAPE_WHOLE,
                                                         .at_ns = 5 + row->count * 15,
                                                         .payload_bytes = DATA,
                                                         .step = row->count / 10},
                                             .payload = memset(data, (int)row->count, DATA),
                                             .payload_rows = 1};

        bytes += mesh_tape_encode(&call, records + bytes, sizeof records - bytes);
    }
    unlink(path);
    assert_int_equal(mesh_trace_create(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_add_chunk(trace, row, records, bytes, NULL), 0);
    mesh_trace_close(trace);
}

/* Whether the chunk is refused, or read as in `records`. */
static bool is_refused_or_the_same(struct mesh_trace *trace, const struct mesh_trace_chunk *row, const uint8_t *records, size_t bytes,
                                   unsigned *refused)
{
    static uint8_t read[MESH_TRACE_BLOB_BYTES_MAX];

    if (row->bytes > sizeof read) /* which readers refuse before they ask for the records */
        return true;
    if (mesh_trace_get_chunk(trace, row, read) != 0) {
        assert_non_null(strstr(mesh_trace_reason(trace), "chunks, row 1: "));
        assert_non_null(strstr(mesh_trace_reason(trace), "the file is damaged"));
        ++*refused;
        return true;
    }
    return row->bytes == bytes && memcmp(read, records, bytes) == 0;
}

static void flip(void *bytes, size_t bit)
{
    ((uint8_t *)bytes)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* Of its blob, and of the numbers that say which calls these are. */
static void any_bit_that_flips_in_a_chunk_is_noticed(void **state)
{
    static uint8_t records[60000], blob[60000];
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_chunk row;
    struct mesh_trace *trace;
    unsigned refused = 0, numbers = 0;

    (void)state;
    make_calls(&row);
    assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_CHUNK, 0, &cursor), 0);
    assert_int_equal(mesh_trace_next(cursor, &row), 1);
    assert_int_equal(mesh_trace_get_chunk(trace, &row, records), 0);
    assert_true(row.records.size < sizeof blob && row.bytes < sizeof records);
    row.records.bytes = memcpy(blob, row.records.bytes, row.records.size);
    for (size_t bit = 0; bit < 8 * row.records.size; bit++) {
        flip(blob, bit);
        if (!is_refused_or_the_same(trace, &row, records, row.bytes, &refused))
            fail_msg("bit %zu of the blob", bit);
        flip(blob, bit);
    }
    assert_in_range(refused, 8 * row.records.size - 4, 8 * row.records.size); /* 16 magic numbers of zstd are skipped alike */
    uint64_t *const columns[] = {
        &row.node, (uint64_t *)&row.t_ns, (uint64_t *)&row.end_ns, (uint64_t *)&row.core, &row.instance, &row.first, &row.count};
    for (size_t bit = 0; bit < 64 * sizeof columns / sizeof *columns; bit++) {
        flip(columns[bit / 64], bit % 64);
        assert_true(is_refused_or_the_same(trace, &row, records, row.bytes, &numbers));
        flip(columns[bit / 64], bit % 64);
    }
    assert_int_equal(numbers, 64 * sizeof columns / sizeof *columns);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

/* Of a captured datagram's data: data_hash stands beside it. */
static void any_bit_that_flips_in_a_payload_is_noticed(void **state)
{
    static uint8_t packet[MESH_TRACE_DATAGRAM_BYTES_MAX], payload[MESH_TRACE_DATAGRAM_BYTES_MAX];
    struct mesh_trace_cursor *cursor;
    struct mesh_trace_datagram row;
    struct mesh_trace *trace;
    unsigned payloads = 0;
    bool is_complete;
    size_t bytes;

    (void)state;
    assert_int_equal(mesh_trace_open(&trace, path, reason), 0);
    assert_int_equal(mesh_trace_read(trace, MESH_TRACE_TABLE_DATAGRAM, 1, &cursor), 0);
    while (mesh_trace_next(cursor, &row) == 1) {
        assert_int_equal(mesh_trace_get_packet(trace, &row, packet, &bytes, &is_complete), 0);
        payloads += row.payload.size > 0;
        if (row.payload.size > 0)
            row.payload.bytes = memcpy(payload, row.payload.bytes, row.payload.size);
        for (size_t bit = 0; bit < 8 * row.payload.size && row.coding == MESH_TRACE_PLAIN; bit++) {
            flip(payload, bit);
            assert_int_equal(mesh_trace_get_packet(trace, &row, packet, &bytes, &is_complete), MESH_ETRUNCATED);
            assert_non_null(strstr(mesh_trace_reason(trace), "datagrams, row "));
            flip(payload, bit);
        }
    }
    assert_true(payloads > 0);
    mesh_trace_end(cursor);
    mesh_trace_close(trace);
}

static void a_blob_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    execute("UPDATE inputs SET args = zeroblob(20000000)");
    assert_int_equal(trace_case_read(path), MESH_ERANGE);
}

/* Bytes changed anywhere, and files truncated anywhere. Reading must end, without an error from a sanitizer. */
static void whatever_is_damaged_reading_ends(void **state)
{
    const char *given = getenv("MESH_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
    size_t size, changed = 0;
    uint8_t *whole = trace_case_load(path, &size), *bytes = malloc(size);

    (void)state;
    assert_non_null(bytes);
    for (unsigned i = 0; i < DAMAGES; i++) {
        const unsigned count = 1u << i % 8;

        memcpy(bytes, whole, size);
        for (unsigned j = 0; j < count; j++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[(seed >> 33) % size] = (uint8_t)(seed >> 20);
        }
        trace_case_store(path, bytes, i % 10 == 9 ? (seed >> 33) % size : size);
        changed += trace_case_read(path) != 0;
    }
    assert_true(changed > 10);
    free(whole);
    free(bytes);
}

static void a_whole_trace_is_read_to_its_end(void **state)
{
    (void)state;
    assert_int_equal(trace_case_read(path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, trace_place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_trace_is_read_to_its_end),
        TEST(another_programs_file_is_refused),
        TEST(another_schema_is_refused_by_number),
        TEST(a_trace_of_schema_1_is_read_and_says_so),
        TEST(a_chunk_of_schema_1_comes_back_to_the_byte),
        TEST(a_table_that_is_missing_is_named),
        TEST(a_table_that_is_none_is_refused),
        TEST(an_empty_file_holds_nothing),
        TEST(a_folder_and_a_pipe_are_no_traces),
        TEST(a_datagram_of_absurd_size_is_refused),
        TEST(a_blob_beyond_the_limit_is_refused),
        TEST(a_chunk_of_absurd_size_is_refused),
        TEST(a_column_that_is_missing_is_named),
        TEST(any_bit_that_flips_in_a_chunk_is_noticed),
        TEST(any_bit_that_flips_in_a_payload_is_noticed),
        TEST(whatever_is_damaged_reading_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
