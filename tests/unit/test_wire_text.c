#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/wire.h"

static const char path[] = "docs/PROTOCOL.md";
static const char begin[] = "<!-- begin tables: generated from libmesh/include/mesh/wire.h -->\n";
static const char end[] = "<!-- end tables -->\n";

static char tables[65536], document[1 << 20];

static void a_message_is_one_line_with_every_field(void **state)
{
    struct mesh_message message = {
        .header = {.type = MESH_TYPE_NAK, .src = 1, .dst = 0, .epoch = 9, .number = 17, .have_step = 3, .have_phase = 2},
        .as.nak = {.step = 4, .phase = 0, .range_count = 1},
        .ranges = {{0, 1, 8, 4}}};
    char text[300];

    (void)state;
    assert_in_range(mesh_wire_text(&message, text, sizeof text), 1, sizeof text - 1);
    assert_string_equal(text, "1>0 NAK epoch 9 #17 have 3.2 sent_ns 0 step 4 phase 0 range_count 1 tokens 0+1 blocks 8+4");
}

static void text_says_what_protects_a_datagram(void **state)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_GOODBYE, .have_step = MESH_STEP_NONE}};
    char text[100];

    (void)state;
    message.header.flags = MESH_FLAG_AUTHENTICATED;
    mesh_wire_text(&message, text, sizeof text);
    assert_string_equal(text, "0>0 GOODBYE authenticated epoch 0 #0 have none sent_ns 0 reason 0");
    message.header.flags |= MESH_FLAG_SEALED;
    mesh_wire_text(&message, text, sizeof text);
    assert_string_equal(text, "0>0 GOODBYE sealed epoch 0 #0 have none sent_ns 0 reason 0");
}

static void a_list_of_members_follows_on_the_same_line(void **state)
{
    struct mesh_message message = {.header = {.type = MESH_TYPE_PLAN, .number = 2, .have_step = MESH_STEP_NONE},
                                   .as.plan = {.stage = 3, .number = 4, .round = 5, .total = 1, .member_count = 1},
                                   .members = {{.port = 7, .speed = 8}}};
    char text[700];

    (void)state;
    assert_in_range(mesh_wire_text(&message, text, sizeof text), 1, sizeof text - 1);
    assert_string_equal(text, "0>0 PLAN epoch 0 #2 have none sent_ns 0 incarnation 0000000000000000 stage 3 number 4 round 5 rank 0 "
                              "proposer 0000000000000000 id 0000000000000000 total 1 first 0 member_count 1 "
                              "member incarnation 0000000000000000 ip 0000000000000000 port 7 speed 8 share 0 app_flags 0 summary 0 "
                              "nonce 0000000000000000");
}

static void text_says_how_much_room_it_needs(void **state)
{
    struct mesh_message message = {
        .header = {.type = MESH_TYPE_GOODBYE, .dst = MESH_DST_ALL, .flags = MESH_FLAG_ALL, .have_step = MESH_STEP_NONE}};
    char text[100], small[10];
    size_t bytes = mesh_wire_text(&message, text, sizeof text);

    (void)state;
    assert_string_equal(text, "0>all GOODBYE epoch 0 #all:0 have none sent_ns 0 reason 0");
    assert_int_equal(bytes, strlen(text));
    assert_int_equal(mesh_wire_text(&message, small, sizeof small), bytes);
    assert_memory_equal(small, text, sizeof small - 1);
    assert_int_equal(mesh_wire_text(&message, NULL, 0), bytes);
}

static size_t read_document(void)
{
    FILE *file = fopen(path, "rb");
    size_t bytes = 0;

    if (file) {
        bytes = fread(document, 1, sizeof document - 1, file);
        assert_true(bytes < sizeof document - 1); /* make docs writes back what was read */
        fclose(file);
    }
    document[bytes] = '\0';
    return bytes;
}

static void rewrite_document(const char *from, const char *to)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    fprintf(file, "%.*s%s%s", (int)(from - document), document, tables, to);
    fclose(file);
}

/* MESH_UPDATE=1 writes the tables anew instead; `make docs` does so. */
static void the_tables_of_protocol_md_are_those_of_the_schema(void **state)
{
    const char *from, *to;

    (void)state;
    assert_in_range(mesh_wire_write_protocol(tables, sizeof tables), 1, sizeof tables - 1);
    if (!read_document()) {
        print_message("%s is not below the current directory\n", path);
        skip();
    }
    from = strstr(document, begin);
    to = strstr(document, end);
    assert_true(from && to && from < to);
    from += strlen(begin);
    if (getenv("MESH_UPDATE")) {
        rewrite_document(from, to);
        return;
    }
    if ((size_t)(to - from) != strlen(tables) || memcmp(from, tables, strlen(tables)) != 0)
        fail_msg("the tables of %s are not those of the schema: make docs", path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_one_line_with_every_field),
        cmocka_unit_test(text_says_what_protects_a_datagram),
        cmocka_unit_test(a_list_of_members_follows_on_the_same_line),
        cmocka_unit_test(text_says_how_much_room_it_needs),
        cmocka_unit_test(the_tables_of_protocol_md_are_those_of_the_schema),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
