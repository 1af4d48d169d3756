/* The table of links: which links have a line, and in what order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/link_table.h"

enum { SESSION = 0x80000005u, LINKS = 4 };

static struct link *made[LINKS];

static int start(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LINKS; i++) {
        made[i] = calloc(1, sizeof *made[i]);
        assert_non_null(made[i]);
        made[i]->epoch = i < 2 ? SESSION : 2;
        made[i]->src = (uint16_t)(i % 2);
        made[i]->dst = (uint16_t)(1 - i % 2);
        made[i]->counts.datagrams = 10 + i;
        made[i]->has_report = i != 0;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LINKS; i++)
        free(made[i]);
    return 0;
}

/* Without the heading; to be freed. */
static char *print(void)
{
    struct links *links = calloc(1, sizeof *links);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_true(links != NULL && out != NULL);
    links->count = LINKS;
    memcpy(links->links, made, sizeof made);
    link_table_print(links, out);
    fclose(out);
    free(links);
    return text;
}

static void sessions_that_lost_nothing_are_one_line_behind_the_mesh(void **state)
{
    char *text = print(), *mesh = strstr(text, "         2   0>1          12"),
         *sessions = strstr(text, "sessions: 2 links between a node (0) and a client (1), 21 datagrams, nothing lost\n");

    (void)state;
    assert_non_null(mesh);
    assert_true(sessions > mesh);
    assert_null(strstr(text, "2147483653"));
    assert_null(strstr(text, "no report")); /* of a session that sent none */
    free(text);
}

static void one_that_lost_something_is_listed(void **state)
{
    char *text;

    (void)state;
    made[0]->counts.lost = made[0]->counts.lost_unseen = 2;
    text = print();
    assert_true(strstr(text, "2147483653   0>1          10       2  16.67%") > strstr(text, "         2   1>0"));
    assert_non_null(strstr(text, "sessions: 1 link between"));
    assert_non_null(strstr(text, "epochs from 2147483648 on are sessions of clients"));
    assert_non_null(strstr(text, "* no readable report of the receiver"));
    free(text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sessions_that_lost_nothing_are_one_line_behind_the_mesh),
        CASE(one_that_lost_something_is_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
