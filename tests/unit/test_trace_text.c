/* docs/TRACE.md, and the number of the schema, agree with the tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <inttypes.h>

#include "mesh/trace.h"
#include "word_hash.h"

static const char path[] = "docs/TRACE.md";
static const char begin[] = "<!-- tables begin -->\n", end[] = "<!-- tables end -->";
static char tables[1 << 16], document[1 << 20];

static void rewrite(const char *from, const char *to)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    fprintf(file, "%.*s%s%s", (int)(from - document), document, tables, to);
    fclose(file);
}

/* MESH_UPDATE=1 writes the tables anew instead; `make docs` does so. */
static void the_tables_of_trace_md_are_those_of_the_schema(void **state)
{
    FILE *file = fopen(path, "rb");
    const char *from, *to;
    size_t bytes;

    (void)state;
    assert_in_range(mesh_trace_write_tables(tables, sizeof tables), 1, sizeof tables - 1);
    if (!file) {
        print_message("%s is not below the current directory\n", path);
        skip();
    }
    bytes = fread(document, 1, sizeof document - 1, file);
    assert_true(bytes < sizeof document - 1); /* make docs writes back what was read */
    document[bytes] = '\0';
    fclose(file);
    from = strstr(document, begin);
    to = strstr(document, end);
    assert_true(from && to && from < to);
    from += strlen(begin);
    if (getenv("MESH_UPDATE")) {
        rewrite(from, to);
        return;
    }
    if ((size_t)(to - from) != strlen(tables) || memcmp(from, tables, strlen(tables)) != 0)
        fail_msg("the tables of %s are not those of the schema: make docs", path);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    do
        hash = word_hash(hash, (uint8_t)*text);
    while (*text++ != '\0');
    return hash;
}

/* A trace that lacks a column is taken for damaged, unless its schema is said to be another. */
static void the_tables_are_those_of_their_schema(void **state)
{
    const uint64_t known = UINT64_C(0x3746a0e3a793175f);
    uint64_t hash = WORD_HASH_OF_NOTHING;

    (void)state;
#define COLUMN(name, type, meaning) hash = hash_text(hash_text(hash, #name), #type);
#define TABLE(NAME, name, table, COLUMNS, meaning) \
    hash = hash_text(hash, #table);                \
    COLUMNS(COLUMN)
    MESH_TRACE_TABLES(TABLE)
    assert_int_equal(MESH_TRACE_SCHEMA, 2);
    assert_int_equal(MESH_TRACE_SCHEMA_MIN, 1);
    if (hash != known)
        fail_msg("the tables of traces are others. If a release has the old ones, raise MESH_TRACE_SCHEMA and MESH_TRACE_SCHEMA_MIN "
                 "(mesh/trace.h), and say in docs/TRACE.md and CHANGELOG.md which traces are no longer read. Record tests/traces/lossy.db "
                 "(tests/tools/record-lossy) anew. Then write UINT64_C(0x%016" PRIx64 ") here",
                 hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_of_trace_md_are_those_of_the_schema),
        cmocka_unit_test(the_tables_are_those_of_their_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
