#include "trace_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "capture_case.h"
#include "mesh/tape.h"
#include "mesh/telemetry.h"
#include "mesh/trace.h"
#include "mesh/wire.h"

enum { TRACE_CASE_SECONDS = 2, VALUES_MAX = 2000 /* as many columns as SQLite allows */ };

/* clang-format off */
/* Room for a row of any table. */
union row {
#define ROW(NAME, name, table, COLUMNS, meaning) struct mesh_trace_##name name;
    MESH_TRACE_TABLES(ROW)
};
/* clang-format on */

/* ---- a place ---- */

int trace_place_open(void **state)
{
    struct trace_place *place = calloc(1, sizeof *place);

    if (place == NULL)
        return -1;
    snprintf(place->folder, sizeof place->folder, "/tmp/test_trace.XXXXXX");
    if (mkdtemp(place->folder) == NULL) {
        free(place);
        return -1;
    }
    snprintf(place->path, sizeof place->path, "%s/t.db", place->folder);
    *state = place;
    return 0;
}

int trace_place_close(void **state)
{
    static const char *const besides[] = {"", "-journal", "-wal", "-shm"};
    struct trace_place *place = *state;
    char name[120];
    int result;

    mesh_trace_close(place->trace);
    for (size_t i = 0; i < sizeof besides / sizeof *besides; i++) {
        snprintf(name, sizeof name, "%s%s", place->path, besides[i]);
        unlink(name);
    }
    result = rmdir(place->folder);
    free(place);
    return result;
}

/* ---- a trace ---- */

static void must(int err)
{
    if (err != 0) {
        fprintf(stderr, "trace_case: %d\n", err);
        abort();
    }
}

static void add_rows(struct mesh_trace *trace)
{
    const struct mesh_trace_node node = {.name = "node", .ip = {"0123456789abcdef", 16}, .port = 7411};
    const struct mesh_trace_epoch epoch = {.node = 1, .epoch = 1, .members = "[]", .rows = "{}", .config = {"config", 6}};
    const struct mesh_trace_input input = {.node = 1, .core = 1, .kind = 3, .args = {"args", 4}, .datagram = 1};
    const struct mesh_trace_output output = {.node = 1, .input = 1, .core = 1, .kind = 4, .args = {"", 0}};
    const struct mesh_trace_request request = {.node = 1, .request = 7, .kind = "begin", .options = "{}"};
    const struct mesh_trace_token token = {.node = 1, .request = 7, .position = 3, .token = 5};
    const struct mesh_trace_event event = {.node = 1, .kind = "lost", .severity = 2, .reason = "wire"};
    const struct mesh_trace_gap gap = {.node = 1, .what = "payloads", .count = 3, .reason = "slow"};
    const struct mesh_trace_chunk chunk = {.node = 1, .core = 1, .first = 1, .count = 2, .expanded = 1};
    static const uint8_t records[100] = {1, 2, 3};

    must(mesh_trace_add_row_node(trace, &node, NULL));
    must(mesh_trace_add_row_epoch(trace, &epoch, NULL));
    must(mesh_trace_add_row_input(trace, &input, NULL));
    must(mesh_trace_add_row_output(trace, &output, NULL));
    must(mesh_trace_add_row_request(trace, &request, NULL));
    must(mesh_trace_add_row_token(trace, &token, NULL));
    must(mesh_trace_add_row_event(trace, &event, NULL));
    must(mesh_trace_add_row_gap(trace, &gap, NULL));
    must(mesh_trace_add_chunk(trace, &chunk, records, sizeof records, NULL));
}

/* Calls whose rows are still to be made: with data, which is packed separately, and without. */
static void add_calls(struct mesh_trace *trace)
{
    const struct mesh_trace_chunk chunk = {.node = 1, .core = 1, .first = 3, .count = 6};
    uint8_t records[6 * 2000], packet[1500];
    size_t used = 0;

    for (unsigned i = 0; i < chunk.count; i++) {
        const size_t bytes = message_case(i % 2 == 0 ? MESH_TYPE_TILE : MESH_TYPE_NAK, i + 1, packet, sizeof packet);
        const size_t body = mesh_tape_body_bytes(packet, bytes);
        struct mesh_tape_entry call = {.body = packet, .payload = packet + body, .payload_rows = 1};

        call.receive = (struct mesh_tape_receive){.kind = i < 3 ? MESH_TAPE_RECEIVE : MESH_TAPE_DATAGRAM, .at_ns = i};
        call.call.body_bytes = (uint32_t)body;
        call.call.payload_bytes = (uint32_t)(bytes - body);
        call.call.payload = bytes > body ? MESH_TAPE_WHOLE : MESH_TAPE_EMPTY;
        used += mesh_tape_encode(&call, records + used, sizeof records - used);
    }
    must(mesh_trace_add_chunk(trace, &chunk, records, used, NULL));
}

static void add_datagrams(struct mesh_trace *trace)
{
    const unsigned types[] = {MESH_TYPE_TILE, MESH_TYPE_NAK, MESH_TYPE_PLAN, MESH_TYPE_PROBE, MESH_TYPE_HELLO, MESH_TYPE_STATUS};
    struct mesh_trace_datagram row = {.node = 1, .direction = MESH_TRACE_RECEIVED, .from_ip = {"0123456789abcdef", 16}};
    uint8_t packet[1500];

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t bytes = message_case(types[i], i + 1, packet, sizeof packet);

        row.t_ns = (int64_t)i;
        must(mesh_trace_add_datagram(trace, &row, packet, bytes, true, NULL));
    }
    must(mesh_trace_add_datagram(trace, &row, packet, 60, true, NULL));
    memset(packet, 5, sizeof packet);
    must(mesh_trace_add_datagram(trace, &row, packet, sizeof packet, true, NULL));
}

static void add_telemetry(struct mesh_trace *trace)
{
    const struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION, .serial = 1};
    const struct mesh_telemetry_item item = {.kind = MESH_TELEMETRY_LINK, .link = {.peer = 1, .clock_offset_ns = -5}};
    struct mesh_telemetry_writer writer;
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_trace_report row = {.node = 1, .piece = {piece, 0}};

    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    mesh_telemetry_put(&writer, &item);
    row.piece.size = writer.used;
    must(mesh_trace_add_report(trace, &row, NULL));
}

void trace_case_make(const char *path)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;

    must(mesh_trace_create(&trace, path, reason));
    must(mesh_trace_begin(trace));
    add_rows(trace);
    add_datagrams(trace);
    add_calls(trace);
    add_telemetry(trace);
    must(mesh_trace_commit(trace));
    mesh_trace_close(trace);
}

int trace_place_make(void **state, char path[TRACE_PLACE_PATH_BYTES])
{
    const struct trace_place *place;

    if (trace_place_open(state) != 0)
        return -1;
    place = *state;
    memcpy(path, place->path, sizeof place->path);
    trace_case_make(path);
    return 0;
}

uint8_t *trace_case_load(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (*size = (size_t)ftell(file)) == 0 || (bytes = malloc(*size)) == NULL)
        abort();
    rewind(file);
    if (fread(bytes, 1, *size, file) != *size)
        abort();
    fclose(file);
    return bytes;
}

void trace_case_store(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

/* ---- changing ---- */

static int allow_update(void *context, int action, const char *first, const char *second, const char *database, const char *trigger)
{
    (void)context, (void)first, (void)second, (void)database, (void)trigger;
    return action == SQLITE_UPDATE || action == SQLITE_READ || action == SQLITE_FUNCTION ? SQLITE_OK : SQLITE_DENY;
}

void trace_case_change(const char *path, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        abort();
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_set_authorizer(db, allow_update, NULL);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK)
        (void)sqlite3_step(statement);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* ---- reading ---- */

static int read_row(struct mesh_trace *trace, enum mesh_trace_table table, const union row *row)
{
    static uint8_t packet[MESH_TRACE_DATAGRAM_BYTES_MAX];
    uint8_t *records;
    size_t bytes;
    bool is_complete;
    int err;

    if (table == MESH_TRACE_TABLE_DATAGRAM)
        return mesh_trace_get_packet(trace, &row->datagram, packet, &bytes, &is_complete);
    if (table != MESH_TRACE_TABLE_CHUNK || row->chunk.bytes == 0 || row->chunk.bytes > MESH_TRACE_BLOB_BYTES_MAX)
        return 0;
    records = malloc(row->chunk.bytes);
    if (records == NULL)
        abort();
    err = mesh_trace_get_chunk(trace, &row->chunk, records);
    free(records);
    return err;
}

static int read_table(struct mesh_trace *trace, enum mesh_trace_table table)
{
    struct mesh_trace_cursor *cursor;
    union row row;
    int err = mesh_trace_read(trace, table, 0, &cursor), got;

    if (err != 0)
        return err;
    while ((got = mesh_trace_next(cursor, &row)) == 1) {
        const int failed = read_row(trace, table, &row);

        err = err != 0 ? err : failed;
    }
    mesh_trace_end(cursor);
    return got < 0 ? got : err;
}

static int ask(struct mesh_trace *trace, const char *sql, unsigned seconds)
{
    static struct mesh_trace_value values[VALUES_MAX];
    struct mesh_trace_query *query;
    int got = mesh_trace_query(trace, sql, seconds, &query);

    while (got == 0 && mesh_trace_query_columns(query) <= VALUES_MAX && (got = mesh_trace_query_next(query, values)) == 1)
        got = 0;
    mesh_trace_query_end(query);
    return got;
}

int trace_case_ask(const char *path, const char *sql)
{
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    int err = mesh_trace_open(&trace, path, reason);

    if (err != 0)
        return err;
    err = ask(trace, sql, 0);
    mesh_trace_close(trace);
    return err;
}

static int read_view(struct mesh_trace *trace, const char *name)
{
    char sql[80];

    snprintf(sql, sizeof sql, "SELECT * FROM %s", name);
    return ask(trace, sql, TRACE_CASE_SECONDS);
}

static void count_finding(void *user, const struct mesh_trace_finding *finding)
{
    *(size_t *)user += strlen(finding->table) + strlen(finding->row);
}

/* What they give of a damaged file is not judged. */
static void check(struct mesh_trace *trace)
{
    struct mesh_trace_ending ending;
    size_t bytes = 0;

    (void)mesh_trace_check(trace, count_finding, &bytes);
    (void)mesh_trace_get_ending(trace, &ending);
}

int trace_case_read(const char *path)
{
    static const char *const views[] = {"messages", "tiles", "lost_tiles", "stalls", "tile_latency", "token_times", "links", "meta"};
    char reason[MESH_TRACE_REASON_BYTES];
    struct mesh_trace *trace;
    int err = mesh_trace_open(&trace, path, reason);

    if (err != 0)
        return err;
    for (unsigned i = 0; i < MESH_TRACE_TABLE_COUNT; i++) {
        const int failed = read_table(trace, (enum mesh_trace_table)i);

        err = err != 0 ? err : failed;
    }
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        const int failed = read_view(trace, views[i]);

        err = err != 0 ? err : failed;
    }
    check(trace);
    mesh_trace_close(trace);
    return err;
}

void trace_case_add(sqlite3 *db, const char *table, const char *columns, const char *values)
{
    char *sql = sqlite3_mprintf("SELECT printf('INSERT INTO %%s(%%s%%s) VALUES(%%s%%s)', '%q', '%q', "
                                "coalesce(group_concat(', \"' || name || '\"', ''), ''), %Q, coalesce(group_concat(', 0', ''), '')) "
                                "FROM pragma_table_info('%q') WHERE \"notnull\" AND instr(', ' || '%q' || ',', ', ' || name || ',') = 0",
                                table, columns, values, table, columns);
    sqlite3_stmt *statement = NULL;

    if (sql == NULL || sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW ||
        sqlite3_exec(db, (const char *)sqlite3_column_text(statement, 0), NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", table, sqlite3_errmsg(db));
        abort();
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
}
