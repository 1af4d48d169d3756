#include "trace_checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "mesh/program/byte_order.h"
#include "trace_parts.h"

enum { ENTRIES_MAX = 1 << 16 /* of a check */ };

/* ---- tables ---- */

bool mesh_trace_checked_table(unsigned number, char name[CHECKED_NAME_BYTES], const char **key)
{
    *key = number > CHECKED_MESSAGES && number < CHECKED_ITEMS ? "datagram" : "id";
    if (number < MESH_TRACE_TABLE_COUNT) {
        snprintf(name, CHECKED_NAME_BYTES, "%s", mesh_trace_tables[number].name);
    } else if (number == CHECKED_RANGES || number == CHECKED_MEMBERS) {
        snprintf(name, CHECKED_NAME_BYTES, number == CHECKED_RANGES ? "message_ranges" : "message_members");
    } else if (number > CHECKED_ITEMS && number < CHECKED_COUNT) {
        mesh_trace_part_name(name, "telemetry", mesh_telemetry_part(number - CHECKED_ITEMS)->name);
    } else if (number > CHECKED_MESSAGES && number < CHECKED_RANGES && mesh_wire_message(number - CHECKED_MESSAGES) != NULL) {
        mesh_trace_part_name(name, "message", mesh_wire_message(number - CHECKED_MESSAGES)->name);
    } else {
        return false;
    }
    return true;
}

const char *mesh_trace_checked_order(unsigned number)
{
    return number == CHECKED_RANGES || number == CHECKED_MEMBERS ? "datagram, place" : "1";
}

char *mesh_trace_checks_sql(void)
{
    return sqlite3_mprintf("CREATE TABLE checks(\n  id INTEGER PRIMARY KEY,\n  name TEXT NOT NULL,\n  after INTEGER NOT NULL,\n"
                           "  entries BLOB NOT NULL,\n  hash INTEGER NOT NULL\n) STRICT;\n");
}

void mesh_trace_checks_init(struct trace_checks *checks)
{
    for (unsigned i = 0; i < CHECKED_COUNT; i++)
        checks->after[i] = INT64_MIN;
}

void mesh_trace_checks_release(struct trace_checks *checks)
{
    free(checks->chunks);
}

/* ---- hashes ---- */

/* The hash of what came before and a value. type: SQLITE_INTEGER, ... */
static uint64_t hash_value(uint64_t before, int type, int64_t number, const void *bytes, size_t size)
{
    uint8_t head[9] = {(uint8_t)type};
    uint64_t hash;

    mesh_little_put(head + 1, (uint64_t)number, 8);
    hash = XXH3_64bits_withSeed(head, sizeof head, before);
    return size > 0 ? XXH3_64bits_withSeed(bytes, size, hash) : hash;
}

static uint64_t hash_column(uint64_t before, sqlite3_stmt *statement, int column)
{
    const int type = sqlite3_column_type(statement, column);
    const void *bytes;
    double real;
    int size;

    switch (type) {
    case SQLITE_INTEGER:
        return hash_value(before, type, sqlite3_column_int64(statement, column), NULL, 0);
    case SQLITE_FLOAT:
        real = sqlite3_column_double(statement, column);
        return hash_value(before, type, 0, &real, sizeof real);
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        bytes = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(statement, column) : sqlite3_column_blob(statement, column);
        size = sqlite3_column_bytes(statement, column);
        return hash_value(before, type, size, bytes, bytes != NULL ? (size_t)size : 0);
    default:
        return hash_value(before, type, 0, NULL, 0);
    }
}

uint64_t mesh_trace_hash_columns(uint64_t before, sqlite3_stmt *statement)
{
    uint64_t hash = before;

    for (int i = 0; i < sqlite3_column_count(statement); i++)
        hash = hash_column(hash, statement, i);
    return hash;
}

uint64_t mesh_trace_hash_check(int64_t id, const char *name, int64_t after, const void *rows, size_t bytes)
{
    uint64_t hash = hash_value(0, SQLITE_INTEGER, id, NULL, 0);

    hash = hash_value(hash, SQLITE_TEXT, (int64_t)strlen(name), name, strlen(name));
    hash = hash_value(hash, SQLITE_INTEGER, after, NULL, 0);
    return hash_value(hash, SQLITE_BLOB, (int64_t)bytes, rows, bytes);
}

/* As mesh_trace_hash_columns of the same row, once it is stored. */
static uint64_t hash_chunk(const struct mesh_trace_chunk *row)
{
    const struct trace_table *table = &mesh_trace_tables[MESH_TRACE_TABLE_CHUNK];
    uint64_t hash = 0;

    for (unsigned i = 0; i < table->column_count; i++) {
        const uint8_t *at = (const uint8_t *)row + table->columns[i].offset;
        struct mesh_trace_bytes blob;
        int64_t number;

        if (table->columns[i].type == TRACE_blob) {
            memcpy(&blob, at, sizeof blob);
            hash = blob.bytes != NULL ? hash_value(hash, SQLITE_BLOB, (int64_t)blob.size, blob.bytes, blob.size)
                                      : hash_value(hash, SQLITE_NULL, 0, NULL, 0);
        } else {
            memcpy(&number, at, sizeof number);
            hash = hash_value(hash, SQLITE_INTEGER, number, NULL, 0);
        }
    }
    return hash;
}

/* ---- writing ---- */

static void put_entry(uint8_t *at, int64_t key, uint64_t hash)
{
    mesh_little_put(mesh_little_put(at, (uint64_t)key, 8), hash, 8);
}

int mesh_trace_checks_take_chunk(struct mesh_trace *trace, const struct mesh_trace_chunk *row)
{
    struct trace_checks *checks = &trace->checks;

    if (checks->chunks_bytes == checks->chunks_capacity) {
        const size_t capacity = checks->chunks_capacity > 0 ? 2 * checks->chunks_capacity : 64 * (size_t)CHECKED_ENTRY_BYTES;
        uint8_t *grown = realloc(checks->chunks, capacity);

        if (grown == NULL)
            return mesh_trace_no_memory(trace);
        checks->chunks = grown;
        checks->chunks_capacity = capacity;
    }
    put_entry(checks->chunks + checks->chunks_bytes, (int64_t)row->id, hash_chunk(row));
    checks->chunks_bytes += CHECKED_ENTRY_BYTES;
    return 0;
}

static int add_check(struct mesh_trace *trace, const char *name, int64_t after, const void *entries, size_t bytes)
{
    struct trace_checks *checks = &trace->checks;
    const int64_t id = checks->adding_count + 1;
    int err = 0;

    if (checks->add == NULL)
        err = mesh_trace_prepare(trace, &checks->add,
                                 sqlite3_mprintf("INSERT INTO checks(id, name, after, entries, hash) VALUES(?1, ?2, ?3, ?4, ?5)"));
    if (err != 0)
        return err;
    sqlite3_bind_int64(checks->add, 1, id);
    sqlite3_bind_text(checks->add, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(checks->add, 3, after);
    mesh_trace_bind_blob(checks->add, 4, entries, bytes);
    sqlite3_bind_int64(checks->add, 5, (int64_t)mesh_trace_hash_check(id, name, after, entries, bytes));
    err = mesh_trace_run(trace, checks->add);
    if (err == 0)
        checks->adding_count = id;
    return err;
}

/* As many checks as are needed. */
static int add_entries(struct mesh_trace *trace, unsigned number, const char *name, const uint8_t *entries, size_t bytes)
{
    int64_t *last = &trace->checks.adding[number];
    int err = 0;

    for (size_t at = 0, size; at < bytes && err == 0; at += size) {
        size = bytes - at < (size_t)ENTRIES_MAX * CHECKED_ENTRY_BYTES ? bytes - at : (size_t)ENTRIES_MAX * CHECKED_ENTRY_BYTES;
        err = add_check(trace, name, *last, entries + at, size);
        *last = (int64_t)mesh_little_get(entries + at + size - CHECKED_ENTRY_BYTES, 8);
    }
    return err;
}

/* Entries of the rows that a statement reads, whose column 0 is the key; NULL, with *err 0: there are none. To be freed. */
static uint8_t *read_entries(struct mesh_trace *trace, sqlite3_stmt *statement, size_t *bytes, int *err)
{
    size_t used = 0, capacity = 0;
    uint8_t *entries = NULL;
    uint64_t hash = 0;
    int step;

    while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
        const int64_t key = sqlite3_column_int64(statement, 0);

        if (used == 0 || (int64_t)mesh_little_get(entries + used - CHECKED_ENTRY_BYTES, 8) != key) {
            if (used == capacity) {
                uint8_t *grown = realloc(entries, capacity = capacity > 0 ? 2 * capacity : 64 * (size_t)CHECKED_ENTRY_BYTES);

                if (grown == NULL)
                    break;
                entries = grown;
            }
            used += CHECKED_ENTRY_BYTES;
            hash = 0;
        }
        hash = mesh_trace_hash_columns(hash, statement);
        put_entry(entries + used - CHECKED_ENTRY_BYTES, key, hash);
    }
    *err = step == SQLITE_DONE ? 0 : step == SQLITE_ROW ? mesh_trace_no_memory(trace) : mesh_trace_error(trace, "writing");
    *bytes = used;
    return entries;
}

static int check_table(struct mesh_trace *trace, unsigned number)
{
    struct trace_checks *checks = &trace->checks;
    sqlite3_stmt **read = &checks->read[number];
    char name[CHECKED_NAME_BYTES];
    const char *key;
    uint8_t *entries;
    size_t bytes;
    int err = 0;

    if (!mesh_trace_checked_table(number, name, &key))
        return 0;
    if (number == MESH_TRACE_TABLE_CHUNK)
        return add_entries(trace, number, name, checks->chunks, checks->chunks_bytes);
    if (*read == NULL)
        err = mesh_trace_prepare(
            trace, read, sqlite3_mprintf("SELECT * FROM %s WHERE %s > ?1 ORDER BY %s", name, key, mesh_trace_checked_order(number)));
    if (err != 0)
        return err;
    sqlite3_bind_int64(*read, 1, checks->adding[number]);
    entries = read_entries(trace, *read, &bytes, &err);
    sqlite3_reset(*read);
    err = err != 0 ? err : add_entries(trace, number, name, entries, bytes);
    free(entries);
    return err;
}

/* Of each row: its key with a NUL, and its hash. */
static int check_meta(struct mesh_trace *trace)
{
    struct trace_checks *checks = &trace->checks;
    char *entries = NULL;
    size_t bytes = 0;
    int err = 0, step;
    FILE *out;

    if (checks->read_meta == NULL)
        err = mesh_trace_prepare(trace, &checks->read_meta, sqlite3_mprintf("SELECT key, value FROM meta ORDER BY key"));
    if (err != 0)
        return err;
    out = open_memstream(&entries, &bytes);
    if (out == NULL)
        return mesh_trace_no_memory(trace);
    while ((step = sqlite3_step(checks->read_meta)) == SQLITE_ROW) {
        uint8_t hash[8];

        mesh_little_put(hash, mesh_trace_hash_columns(0, checks->read_meta), 8);
        fprintf(out, "%s%c", (const char *)sqlite3_column_text(checks->read_meta, 0), '\0');
        fwrite(hash, 1, sizeof hash, out);
    }
    if (step != SQLITE_DONE)
        err = mesh_trace_error(trace, "writing");
    sqlite3_reset(checks->read_meta);
    if (fclose(out) != 0 && err == 0)
        err = mesh_trace_no_memory(trace);
    err = err != 0 ? err : add_check(trace, "meta", 0, entries, bytes);
    free(entries);
    return err;
}

bool mesh_trace_checks_has_new(const struct trace_checks *checks)
{
    bool has_new = checks->is_meta_new;

    for (unsigned i = 0; i < CHECKED_COUNT && !has_new; i++)
        has_new = checks->is_new[i];
    return has_new;
}

int mesh_trace_checks_add(struct mesh_trace *trace)
{
    struct trace_checks *checks = &trace->checks;
    int err = 0;

    memcpy(checks->adding, checks->after, sizeof checks->adding);
    checks->adding_count = checks->count;
    for (unsigned i = 0; i < CHECKED_COUNT && err == 0; i++)
        if (checks->is_new[i])
            err = check_table(trace, i);
    if (err == 0 && checks->is_meta_new)
        err = check_meta(trace);
    return err;
}

void mesh_trace_checks_keep(struct mesh_trace *trace)
{
    struct trace_checks *checks = &trace->checks;

    memcpy(checks->after, checks->adding, sizeof checks->after);
    checks->count = checks->adding_count;
    memset(checks->is_new, 0, sizeof checks->is_new);
    checks->is_meta_new = false;
    checks->chunks_bytes = checks->chunks_kept = 0;
}

void mesh_trace_checks_drop(struct mesh_trace *trace)
{
    trace->checks.chunks_bytes = trace->checks.chunks_kept;
}
