/* docs/TRACE.md agrees with the schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/trace.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_of_trace_md_are_those_of_the_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
