/* Rows of a trace compared with their checks. What is read is of unknown origin: each row is read at most once, whatever the checks say. */
#include <stdio.h>
#include <string.h>

#include "mesh/program/byte_order.h"
#include "trace_parts.h"

typedef void checks_tell(void *user, const struct mesh_trace_finding *finding);

struct checking {
    struct mesh_trace *trace;
    checks_tell *tell;
    void *user;
    int64_t next;                 /* row of checks */
    int64_t after[CHECKED_COUNT]; /* all rows up to this key have been looked at */
    bool is_table[CHECKED_COUNT]; /* and no view */
    sqlite3_stmt *read[CHECKED_COUNT];
    uint8_t *meta; /* entries of the last check of meta */
    size_t meta_bytes;
};

static void find(struct checking *c, const char *table, const char *row, enum mesh_trace_fault fault)
{
    const struct mesh_trace_finding finding = {table, row, fault};

    c->tell(c->user, &finding);
}

static void find_row(struct checking *c, const char *table, int64_t key, enum mesh_trace_fault fault)
{
    char row[24];

    snprintf(row, sizeof row, "%lld", (long long)key);
    find(c, table, row, fault);
}

/* Those from the first to the last, told as one: how many there are said to be is the file's word. */
static void find_gap(struct checking *c, int64_t first, int64_t last)
{
    char row[52];

    if (first == last) {
        find_row(c, "checks", first, MESH_TRACE_ROW_MISSING);
        return;
    }
    snprintf(row, sizeof row, "%lld to %lld", (long long)first, (long long)last);
    find(c, "checks", row, MESH_TRACE_ROW_MISSING);
}

/* ---- the rows of one table ---- */

/* Rows as entries: those of one key are one. */
struct rows {
    sqlite3_stmt *statement;
    int step; /* of the row behind the entry */
    int64_t key;
    uint64_t hash;
};

/* False: there are no more, or an error, which step tells. */
static bool next_entry(struct rows *rows)
{
    if (rows->step != SQLITE_ROW)
        return false;
    rows->key = sqlite3_column_int64(rows->statement, 0);
    rows->hash = 0;
    do
        rows->hash = mesh_trace_hash_columns(rows->hash, rows->statement);
    while ((rows->step = sqlite3_step(rows->statement)) == SQLITE_ROW && sqlite3_column_int64(rows->statement, 0) == rows->key);
    return true;
}

/* The rows after the last ones, up to a key. */
static int begin_rows(struct checking *c, unsigned number, int64_t last, struct rows *rows)
{
    char name[CHECKED_NAME_BYTES];
    const char *key;
    int err = 0;

    mesh_trace_checked_table(number, name, &key);
    if (c->read[number] == NULL)
        err = mesh_trace_prepare(c->trace, &c->read[number],
                                 sqlite3_mprintf("SELECT * FROM main.%s WHERE %s > ?1 AND %s <= ?2 ORDER BY %s", name, key, key,
                                                 mesh_trace_checked_order(number)));
    if (err != 0)
        return err;
    sqlite3_bind_int64(c->read[number], 1, c->after[number]);
    sqlite3_bind_int64(c->read[number], 2, last);
    *rows = (struct rows){.statement = c->read[number], .step = sqlite3_step(c->read[number])};
    return 0;
}

static int end_rows(struct checking *c, struct rows *rows)
{
    const int err = rows->step == SQLITE_DONE ? 0 : mesh_trace_error(c->trace, "reading");

    sqlite3_reset(rows->statement);
    return err;
}

static int64_t last_key(const uint8_t *entries, size_t bytes)
{
    return (int64_t)mesh_little_get(entries + bytes - CHECKED_ENTRY_BYTES, 8);
}

/* Entries of a check, and the rows that are there: both in the order of their keys. */
static int compare(struct checking *c, unsigned number, const char *name, const uint8_t *entries, size_t bytes)
{
    const int64_t last = last_key(entries, bytes);
    struct rows rows;
    const int err = begin_rows(c, number, last, &rows);
    bool has_row;

    if (err != 0)
        return err;
    has_row = next_entry(&rows);
    for (size_t at = 0; at < bytes; at += CHECKED_ENTRY_BYTES) {
        const int64_t key = (int64_t)mesh_little_get(entries + at, 8);

        for (; has_row && rows.key < key; has_row = next_entry(&rows))
            find_row(c, name, rows.key, MESH_TRACE_ROW_ADDED);
        if (!has_row || rows.key != key) {
            find_row(c, name, key, MESH_TRACE_ROW_MISSING);
            continue;
        }
        if (rows.hash != mesh_little_get(entries + at + 8, 8))
            find_row(c, name, key, MESH_TRACE_ROW_CHANGED);
        has_row = next_entry(&rows);
    }
    for (; has_row; has_row = next_entry(&rows))
        find_row(c, name, rows.key, MESH_TRACE_ROW_ADDED);
    c->after[number] = last;
    return end_rows(c, &rows);
}

/* What is behind the last check. */
static int find_rest(struct checking *c, unsigned number, const char *name)
{
    struct rows rows;
    int err;

    if (c->after[number] == INT64_MAX)
        return 0;
    err = begin_rows(c, number, INT64_MAX, &rows);
    if (err != 0)
        return err;
    while (next_entry(&rows))
        find_row(c, name, rows.key, MESH_TRACE_ROW_ADDED);
    return end_rows(c, &rows);
}

/* ---- meta ---- */

struct meta_entry {
    const char *key;
    uint64_t hash;
};

static bool next_meta(const struct checking *c, size_t *at, struct meta_entry *entry)
{
    const uint8_t *begin = c->meta + *at, *end = *at < c->meta_bytes ? memchr(begin, 0, c->meta_bytes - *at) : NULL;

    if (end == NULL || (size_t)(c->meta + c->meta_bytes - end) < 1 + 8)
        return false;
    entry->key = (const char *)begin;
    entry->hash = mesh_little_get(end + 1, 8);
    *at = (size_t)(end - c->meta) + 1 + 8;
    return true;
}

static int compare_meta(struct checking *c)
{
    sqlite3_stmt *read = NULL;
    int err = mesh_trace_prepare(c->trace, &read, sqlite3_mprintf("SELECT key, value FROM main.meta ORDER BY key")), step = SQLITE_DONE;
    struct meta_entry entry = {0};
    size_t at = 0;
    bool has_entry = next_meta(c, &at, &entry);

    if (err != 0)
        return err;
    while ((step = sqlite3_step(read)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(read, 0);

        for (; has_entry && key != NULL && strcmp(entry.key, key) < 0; has_entry = next_meta(c, &at, &entry))
            find(c, "meta", entry.key, MESH_TRACE_ROW_MISSING);
        if (!has_entry || key == NULL || strcmp(entry.key, key) != 0) {
            find(c, "meta", key != NULL ? key : "?", MESH_TRACE_ROW_ADDED);
            continue;
        }
        if (entry.hash != mesh_trace_hash_columns(0, read))
            find(c, "meta", key, MESH_TRACE_ROW_CHANGED);
        has_entry = next_meta(c, &at, &entry);
    }
    for (; has_entry; has_entry = next_meta(c, &at, &entry))
        find(c, "meta", entry.key, MESH_TRACE_ROW_MISSING);
    if (step != SQLITE_DONE)
        err = mesh_trace_error(c->trace, "reading");
    sqlite3_finalize(read);
    return err;
}

/* ---- all checks ---- */

static unsigned number_of(const char *table)
{
    char name[CHECKED_NAME_BYTES];
    const char *key;
    unsigned number = 0;

    while (number < CHECKED_COUNT && !(mesh_trace_checked_table(number, name, &key) && strcmp(name, table) == 0))
        number++;
    return number;
}

static int keep_meta(struct checking *c, const void *entries, size_t bytes)
{
    sqlite3_free(c->meta);
    c->meta_bytes = 0;
    c->meta = sqlite3_malloc64(bytes + 1);
    if (c->meta == NULL)
        return mesh_trace_no_memory(c->trace);
    memcpy(c->meta, entries, bytes);
    c->meta_bytes = bytes;
    return 0;
}

/* A row of checks. */
static int take(struct checking *c, sqlite3_stmt *statement)
{
    const int64_t id = sqlite3_column_int64(statement, 0), after = sqlite3_column_int64(statement, 2);
    const char *name = (const char *)sqlite3_column_text(statement, 1);
    const uint8_t *entries = sqlite3_column_blob(statement, 3);
    const size_t bytes = (size_t)sqlite3_column_bytes(statement, 3);
    unsigned number;

    if (id < c->next) { /* they begin with 1 */
        find_row(c, "checks", id, MESH_TRACE_ROW_ADDED);
        return 0;
    }
    if (c->next < id)
        find_gap(c, c->next, id - 1);
    c->next = id < INT64_MAX ? id + 1 : id;
    if (name == NULL || entries == NULL ||
        (uint64_t)sqlite3_column_int64(statement, 4) != mesh_trace_hash_check(id, name, after, entries, bytes)) {
        find_row(c, "checks", id, MESH_TRACE_ROW_CHANGED);
        return 0;
    }
    if (strcmp(name, "meta") == 0)
        return keep_meta(c, entries, bytes);
    number = number_of(name);
    if (number == CHECKED_COUNT || bytes == 0 || bytes % CHECKED_ENTRY_BYTES != 0 || after < c->after[number] ||
        last_key(entries, bytes) < after) {
        find_row(c, "checks", id, MESH_TRACE_ROW_CHANGED);
        return 0;
    }
    c->after[number] = after;
    return c->is_table[number] ? compare(c, number, name, entries, bytes) : 0;
}

static int take_all(struct checking *c)
{
    sqlite3_stmt *statement = NULL;
    int err =
        mesh_trace_prepare(c->trace, &statement, sqlite3_mprintf("SELECT id, name, after, entries, hash FROM main.checks ORDER BY id"));
    int step = SQLITE_DONE;

    while (err == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        err = take(c, statement);
    if (err == 0 && step != SQLITE_DONE)
        err = mesh_trace_error(c->trace, "reading");
    sqlite3_finalize(statement);
    if (err == 0 && c->meta == NULL)
        find_row(c, "checks", c->next, MESH_TRACE_ROW_MISSING); /* each trace has one of meta from its beginning on */
    err = err != 0 || c->meta == NULL ? err : compare_meta(c);
    return err;
}

static int find_tables(struct checking *c)
{
    char name[CHECKED_NAME_BYTES];
    const char *key;
    int err = 0;

    for (unsigned i = 0; i < CHECKED_COUNT && err == 0; i++) {
        c->after[i] = INT64_MIN;
        if (!mesh_trace_checked_table(i, name, &key))
            continue;
        err = mesh_trace_check_table(c->trace, name, &c->is_table[i]);
        if (err == 0 && !c->is_table[i])
            find(c, name, "", MESH_TRACE_ROW_MISSING);
    }
    return err;
}

static int check(struct checking *c)
{
    char name[CHECKED_NAME_BYTES];
    const char *key;
    int err = find_tables(c);

    err = err != 0 ? err : take_all(c);
    for (unsigned i = 0; i < CHECKED_COUNT && err == 0; i++)
        if (c->is_table[i] && mesh_trace_checked_table(i, name, &key))
            err = find_rest(c, i, name);
    return err;
}

int mesh_trace_check(struct mesh_trace *trace, void (*tell)(void *user, const struct mesh_trace_finding *finding), void *user)
{
    struct checking c = {.trace = trace, .tell = tell, .user = user, .next = 1};
    char end[8];
    bool has_checks = false;
    int err = mesh_trace_get_meta(trace, TRACE_END_KEY, end, sizeof end);
    const bool is_marked = err == 0;

    err = err == MESH_EABSENT ? 0 : err;
    err = err != 0 ? err : mesh_trace_check_table(trace, "checks", &has_checks);
    if (err != 0 || (!is_marked && !has_checks))
        return err;
    if (!has_checks) {
        find(&c, "checks", "", MESH_TRACE_ROW_MISSING);
        return 0;
    }
    err = mesh_trace_execute(trace, "BEGIN", "reading"); /* a growing trace is read as it is at one moment */
    err = err != 0 ? err : check(&c);
    for (unsigned i = 0; i < CHECKED_COUNT; i++)
        sqlite3_finalize(c.read[i]);
    sqlite3_free(c.meta);
    mesh_trace_rollback(trace);
    return err;
}
