/* The trace store: making a trace, transactions, meta keys and errors. */
#include "mesh/trace.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "mesh/program/fail_advice.h"
#include "mesh/version.h"
#include "trace_parts.h"

enum {
    PAGE_BYTES = 8192,
    WAL_BYTES = 16 << 20 /* before its pages go into the file, which waits for the disk */
};

/* ---- errors ---- */

int mesh_trace_fail(struct mesh_trace *trace, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(trace->reason, sizeof trace->reason, format, args);
    va_end(args);
    return err;
}

int mesh_trace_no_memory(struct mesh_trace *trace)
{
    return mesh_trace_fail(trace, MESH_ENOMEM, TRACE_NO_MEMORY);
}

static int full_or_broken(struct mesh_trace *trace, const char *doing)
{
    const int number = sqlite3_system_errno(trace->db);

    return mesh_trace_fail(trace, MESH_ESYSTEM, "%s: %s%s%s: %s", doing, sqlite3_errmsg(trace->db), number ? ": " : "",
                           number ? strerror(number) : "", fail_advice(number, "look at the disk it is on"));
}

/* While rows are made, nothing else is written. */
static bool is_of_rows(const struct mesh_trace *trace)
{
    return !trace->is_written && trace->into && sqlite3_extended_errcode(trace->db) != SQLITE_IOERR_READ;
}

static int no_room_for_rows(struct mesh_trace *trace)
{
    return mesh_trace_fail(trace, MESH_ESYSTEM,
                           "no room for the rows of its calls, which are in a temporary file while it is read: make room, "
                           "or name a folder with room in SQLITE_TMPDIR");
}

int mesh_trace_error(struct mesh_trace *trace, const char *doing)
{
    switch (sqlite3_errcode(trace->db) & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return mesh_trace_fail(trace, MESH_ENOMEM, "%s: " TRACE_NO_MEMORY, doing);
    case SQLITE_FULL:
        if (is_of_rows(trace))
            return no_room_for_rows(trace);
        return mesh_trace_fail(trace, MESH_ESYSTEM, "%s: the disk is full: make room, or give a file elsewhere", doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mesh_trace_fail(trace, MESH_ESYSTEM, "%s: another program is using the file: wait until it has ended", doing);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        if (is_of_rows(trace))
            return no_room_for_rows(trace);
        return full_or_broken(trace, doing);
    case SQLITE_NOTADB:
        return mesh_trace_fail(trace, MESH_ETYPE,
                               "not an SQLite file: give a trace that mesh-node --record or mesh-dissect --import wrote");
    case SQLITE_NOMEM:
        return mesh_trace_fail(trace, MESH_ENOMEM, "%s: " TRACE_NO_MEMORY, doing);
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_RANGE:
        return mesh_trace_fail(trace, MESH_ERANGE, "%s: %s", doing, sqlite3_errmsg(trace->db));
    case SQLITE_AUTH:
    case SQLITE_INTERRUPT:
        return mesh_trace_fail(trace, MESH_ESTATE, "%s: a query of it is open, whose limits hold for all: end that first", doing);
    case SQLITE_ERROR:
        return mesh_trace_fail(trace, MESH_ETRUNCATED, "%s: %s: the file is damaged, made by hand, or was changed by another program",
                               doing, sqlite3_errmsg(trace->db));
    default:
        return mesh_trace_fail(trace, MESH_ETRUNCATED, "%s: %s: the file is damaged; record it again", doing, sqlite3_errmsg(trace->db));
    }
}

const char *mesh_trace_reason(const struct mesh_trace *trace)
{
    return trace->reason;
}

/* ---- statements ---- */

int mesh_trace_prepare(struct mesh_trace *trace, sqlite3_stmt **statement, char *sql)
{
    int err = 0;

    if (!sql)
        return mesh_trace_no_memory(trace);
    if (sqlite3_prepare_v3(trace->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        err = mesh_trace_error(trace, "reading the tables");
    sqlite3_free(sql);
    return err;
}

int mesh_trace_run(struct mesh_trace *trace, sqlite3_stmt *statement)
{
    const int err = sqlite3_step(statement) == SQLITE_DONE ? 0 : mesh_trace_error(trace, "writing");

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return err;
}

int mesh_trace_execute(struct mesh_trace *trace, const char *sql, const char *doing)
{
    return sqlite3_exec(trace->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : mesh_trace_error(trace, doing);
}

int mesh_trace_execute_made(struct mesh_trace *trace, char *sql, const char *doing)
{
    const int err = sql ? mesh_trace_execute(trace, sql, doing) : mesh_trace_no_memory(trace);

    sqlite3_free(sql);
    return err;
}

int mesh_trace_number(struct mesh_trace *trace, const char *sql, int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    int err = 0;

    if (sqlite3_prepare_v2(trace->db, sql, -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW)
        err = mesh_trace_error(trace, "cannot be read");
    else
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return err;
}

/* ---- opening ---- */

/* SQLite says only that it cannot. The whole path counts, without symbolic links. */
static bool is_too_long(const struct mesh_trace *trace)
{
    char *whole = realpath(trace->path, NULL);
    const bool is_long = whole && strlen(whole) + 2 > (size_t)sqlite3_vfs_find(NULL)->mxPathname;

    free(whole);
    return is_long;
}

static int too_long(struct mesh_trace *trace)
{
    return mesh_trace_fail(trace, MESH_ESYSTEM, "its whole path has more than %d bytes: choose a folder with a shorter path",
                           sqlite3_vfs_find(NULL)->mxPathname - 2);
}

int mesh_trace_open_database(struct mesh_trace **trace, const char *path, const char *name, int flags, const char *vfs,
                             char reason[MESH_TRACE_REASON_BYTES])
{
    struct mesh_trace *made = calloc(1, sizeof *made);
    int err = 0;

    *trace = NULL;
    if (made)
        made->path = strdup(path);
    if (!made || !made->path) {
        free(made);
        snprintf(reason, MESH_TRACE_REASON_BYTES, TRACE_NO_MEMORY);
        return MESH_ENOMEM;
    }
    made->file = -1;
    mesh_trace_checks_init(&made->checks);
    if (sqlite3_open_v2(name, &made->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs) != SQLITE_OK) {
        err = !made->db ? MESH_ENOMEM : is_too_long(made) ? too_long(made) : mesh_trace_error(made, "cannot be opened");
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%s", made->db ? made->reason : TRACE_NO_MEMORY);
        mesh_trace_close(made);
        return err;
    }
    sqlite3_limit(made->db, SQLITE_LIMIT_LENGTH, MESH_TRACE_BLOB_BYTES_MAX);
    sqlite3_db_config(made->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(made->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_timeout(made->db, 1000);
    *trace = made;
    return 0;
}

static int make_tables(struct mesh_trace *trace, unsigned page_bytes)
{
    static const char doing[] = "making the tables";
    char *sql = mesh_trace_schema_sql(), *numbers;
    int err;

    if (!sql)
        return mesh_trace_no_memory(trace);
    /* The application id is written before anything else, so that what a killed recorder leaves is known as a trace. */
    numbers = sqlite3_mprintf("PRAGMA page_size=%u; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=%u; PRAGMA application_id=%d;",
                              page_bytes, WAL_BYTES / page_bytes, MESH_TRACE_APPLICATION_ID);
    err = mesh_trace_execute_made(trace, numbers, doing);
    if (err == 0) {
        numbers = sqlite3_mprintf("PRAGMA journal_mode=WAL; BEGIN; PRAGMA user_version=%d;", MESH_TRACE_SCHEMA);
        err = mesh_trace_execute_made(trace, numbers, doing);
    }
    err = err ? err : mesh_trace_execute(trace, sql, doing);
    err = err ? err : mesh_trace_execute_made(trace, mesh_trace_checks_sql(), doing);
    err = err ? err : mesh_trace_set_meta(trace, "libmesh", MESH_VERSION);
    err = err ? err : mesh_trace_set_meta(trace, TRACE_END_KEY, TRACE_END_OPEN);
    err = err ? err : mesh_trace_checks_add(trace);
    err = err ? err : mesh_trace_execute(trace, "COMMIT;", doing);
    if (err == 0)
        mesh_trace_checks_keep(trace);
    sqlite3_free(sql);
    return err;
}

/* ":memory:" and "file:..." mean something else to SQLite than to the system. */
static int open_named(struct mesh_trace **trace, const char *path, char reason[MESH_TRACE_REASON_BYTES])
{
    char *name = sqlite3_mprintf("%s%s", path[0] == '/' ? "" : "./", path);
    int err = MESH_ENOMEM;

    if (name)
        err = mesh_trace_open_database(trace, path, name, SQLITE_OPEN_READWRITE, NULL, reason);
    else
        snprintf(reason, MESH_TRACE_REASON_BYTES, TRACE_NO_MEMORY);
    sqlite3_free(name);
    return err;
}

/* While a trace is written its file is locked, which tells others. Takes fd. */
static int create(struct mesh_trace **trace, const char *path, int fd, unsigned page_bytes, char reason[MESH_TRACE_REASON_BYTES])
{
    int err;

    (void)flock(fd, LOCK_EX | LOCK_NB); /* it is new; and on a file system without such locks there is no guard */
    err = open_named(trace, path, reason);
    if (err != 0) {
        close(fd);
        return err;
    }
    assert(*trace);
    (*trace)->is_written = true;
    (*trace)->into = "";
    (*trace)->file = fd;
    err = make_tables(*trace, page_bytes);
    if (err != 0) {
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%s", (*trace)->reason);
        mesh_trace_close(*trace);
        *trace = NULL;
    }
    return err;
}

void mesh_trace_remove(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[PATH_MAX];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if ((size_t)snprintf(name, sizeof name, "%s%s", path, ends[i]) < sizeof name)
            unlink(name);
}

int mesh_trace_create_database(struct mesh_trace **trace, const char *path, unsigned page_bytes, char reason[MESH_TRACE_REASON_BYTES])
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int err;

    *trace = NULL;
    if (fd < 0) {
        snprintf(reason, MESH_TRACE_REASON_BYTES, "%s: %s", strerror(errno),
                 errno == EEXIST ? "give another name, or remove the file"
                                 : fail_advice(errno, "choose another name or folder for the trace"));
        return MESH_ESYSTEM;
    }
    err = create(trace, path, fd, page_bytes, reason);
    if (err != 0)
        mesh_trace_remove(path);
    return err;
}

int mesh_trace_create(struct mesh_trace **trace, const char *path, char reason[MESH_TRACE_REASON_BYTES])
{
    return mesh_trace_create_database(trace, path, PAGE_BYTES, reason);
}

static void finalize_all(sqlite3 *db)
{
    sqlite3_stmt *statement;

    while ((statement = sqlite3_next_stmt(db, NULL)) != NULL)
        sqlite3_finalize(statement);
}

/* Rows that were added without a transaction have no checks yet. */
static void check_rest(struct mesh_trace *trace)
{
    if (mesh_trace_checks_has_new(&trace->checks) && mesh_trace_begin(trace) == 0 && mesh_trace_commit(trace) != 0)
        mesh_trace_rollback(trace);
}

void mesh_trace_close(struct mesh_trace *trace)
{
    if (!trace)
        return;
    if (trace->db) {
        if (trace->is_written)
            mesh_trace_rollback(trace);
        if (trace->is_written && !trace->is_wal_lost)
            check_rest(trace);
        finalize_all(trace->db);
        if (trace->is_wal_lost) /* what SQLite would put into the file is not there */
            sqlite3_db_config(trace->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        else if (trace->is_written)
            sqlite3_exec(trace->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL); /* not while somebody reads: then it stays WAL */
    }
    sqlite3_close(trace->db);
    if (trace->file >= 0)
        close(trace->file);
    mesh_trace_pack_release(trace);
    mesh_trace_checks_release(&trace->checks);
    free(trace->path);
    free(trace);
}

/* ---- transactions ---- */

int mesh_trace_check_writable(struct mesh_trace *trace)
{
    return trace->into ? 0 : mesh_trace_fail(trace, MESH_EINVAL, "it was opened for reading: write to a trace that mesh_trace_create made");
}

int mesh_trace_begin(struct mesh_trace *trace)
{
    int err = mesh_trace_check_writable(trace);

    if (err == 0 && !sqlite3_get_autocommit(trace->db))
        err = mesh_trace_fail(trace, MESH_ESTATE, "a transaction is open already: commit it, or roll it back, before the next");
    err = err ? err : mesh_trace_execute(trace, "BEGIN", "writing");
    trace->has_begun |= err == 0;
    if (err == 0)
        trace->checks.chunks_kept = trace->checks.chunks_bytes;
    return err;
}

int mesh_trace_commit(struct mesh_trace *trace)
{
    int err;

    if (!trace->has_begun)
        return mesh_trace_fail(trace, MESH_ESTATE, "no transaction is open: begin one before its rows");
    if (trace->is_asked)
        return mesh_trace_fail(trace, MESH_ESTATE, "a query of it is open: end that, then commit");
    /* SQLite rolls back by itself when a row cannot be written. */
    err = sqlite3_get_autocommit(trace->db) ? mesh_trace_fail(trace, MESH_ESYSTEM, "writing: rows were lost by an earlier error")
                                            : mesh_trace_checks_add(trace);
    err = err ? err : mesh_trace_execute(trace, "COMMIT", "writing");
    if (err == 0)
        mesh_trace_checks_keep(trace);
    else
        mesh_trace_rollback(trace);
    trace->has_begun = false;
    return err;
}

void mesh_trace_rollback(struct mesh_trace *trace)
{
    if (trace->has_begun)
        mesh_trace_checks_drop(trace);
    if (!sqlite3_get_autocommit(trace->db))
        sqlite3_exec(trace->db, "ROLLBACK", NULL, NULL, NULL);
    trace->has_begun = trace->has_begun && !sqlite3_get_autocommit(trace->db); /* while a question is open */
}

/* ---- meta ---- */

int mesh_trace_set_meta(struct mesh_trace *trace, const char *key, const char *value)
{
    int err = mesh_trace_check_writable(trace);

    if (err == 0 && !trace->set_meta)
        err = mesh_trace_prepare(trace, &trace->set_meta, sqlite3_mprintf("INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)"));
    if (err != 0)
        return err;
    sqlite3_bind_text(trace->set_meta, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(trace->set_meta, 2, value, -1, SQLITE_STATIC);
    trace->checks.is_meta_new = true;
    return mesh_trace_run(trace, trace->set_meta);
}

int mesh_trace_get_meta(struct mesh_trace *trace, const char *key, char *out, size_t capacity)
{
    int err = 0, step;

    if (!trace->get_meta)
        err = mesh_trace_prepare(trace, &trace->get_meta, sqlite3_mprintf("SELECT value FROM meta WHERE key = ?1"));
    if (err != 0)
        return err;
    sqlite3_bind_text(trace->get_meta, 1, key, -1, SQLITE_STATIC);
    step = sqlite3_step(trace->get_meta);
    if (step == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(trace->get_meta, 0);

        snprintf(out, capacity, "%s", text ? text : "");
    } else {
        err = step == SQLITE_DONE ? mesh_trace_fail(trace, MESH_EABSENT, "no such key: %.60s", key) : mesh_trace_error(trace, "reading");
    }
    sqlite3_reset(trace->get_meta);
    sqlite3_clear_bindings(trace->get_meta);
    return err;
}
