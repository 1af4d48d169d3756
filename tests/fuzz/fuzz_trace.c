/* A trace with bytes changed anywhere: it is refused, or read as far as possible. So is one with impossible rows; and any SQL is answered
 * or refused.
 *
 * Input: changes of three bytes for the place (modulo the file's size), one for the number, and so many bytes; or "?" and a query in SQL of
 * an unchanged trace; or "!" and an UPDATE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/trace_case.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];
static uint8_t *whole, *bytes;
static size_t whole_bytes;

static void make(void)
{
    snprintf(path, sizeof path, "%s/fuzz_trace.%d.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    unlink(path);
    trace_case_make(path);
    whole = trace_case_load(path, &whole_bytes);
    bytes = malloc(whole_bytes);
    if (bytes == NULL)
        abort();
}

/* A query must not change the file. */
static void ask(const char *sql)
{
    uint8_t *after;
    size_t after_bytes;

    trace_case_store(path, whole, whole_bytes);
    trace_case_ask(path, sql);
    after = trace_case_load(path, &after_bytes);
    if (after_bytes != whole_bytes || memcmp(after, whole, whole_bytes) != 0)
        abort();
    free(after);
}

static void change_rows(const char *sql)
{
    trace_case_store(path, whole, whole_bytes);
    trace_case_change(path, sql);
    trace_case_read(path);
}

static void take_text(const uint8_t *data, size_t size)
{
    char *sql = malloc(size);

    if (sql == NULL)
        abort();
    memcpy(sql, data + 1, size - 1);
    sql[size - 1] = '\0';
    if (data[0] == '?')
        ask(sql);
    else
        change_rows(sql);
    free(sql);
    unlink(path);
}

static void change_bytes(const uint8_t *data, size_t size)
{
    memcpy(bytes, whole, whole_bytes);
    while (size > 4) {
        const size_t at = ((size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16) % whole_bytes;
        size_t count = data[3];

        data += 4, size -= 4;
        count = count < size ? count : size;
        count = count < whole_bytes - at ? count : whole_bytes - at;
        memcpy(bytes + at, data, count);
        data += count, size -= count;
    }
    trace_case_store(path, bytes, whole_bytes);
    trace_case_read(path);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (whole == NULL)
        make();
    if (size > 0 && (data[0] == '?' || data[0] == '!'))
        take_text(data, size);
    else
        change_bytes(data, size);
    return 0;
}
