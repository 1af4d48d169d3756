#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/serve/cluster_file.h"

static struct cluster_file file;
static struct fail fail;

static int parse(const char *text, size_t size)
{
    FILE *stream = fmemopen((void *)(uintptr_t)text, size, "r");
    int result;

    fail = (struct fail){0};
    result = cluster_file_parse(stream, "test.conf", &file, &fail);
    fclose(stream);
    return result;
}

static int parse_text(const char *text)
{
    return parse(text, strlen(text));
}

static void every_key_has_its_value_or_its_default(void **state)
{
    (void)state;
    assert_int_equal(parse_text("# a cluster of two\n"
                                "[cluster]\n"
                                "name = attic\r\n"
                                "  key=/etc/mesh/key  \n"
                                "security = auth\nkv-type = q8_0\nctx = 2048\nslots = 8\n"
                                "\n"
                                "[node a]\naddress = 127.0.0.1:7411\nshare = 3\nthreads = 2\nmetrics = 127.0.0.1:9100\n"
                                "; the other\n"
                                "[ node b ]\naddress = [::1]:7412\nmodel = /other/m.gguf\n"),
                     0);
    assert_string_equal(file.name, "attic");
    assert_string_equal(file.key, "/etc/mesh/key");
    assert_int_equal(file.security, CLUSTER_AUTH);
    assert_int_equal(file.kv_type, KV_Q8_0);
    assert_int_equal(file.ctx, 2048);
    assert_int_equal(file.batch, 128);
    assert_int_equal(file.slots, 8);
    assert_int_equal(file.node_count, 2);
    assert_string_equal(file.node[0].name, "a");
    assert_int_equal(file.node[0].share, 3);
    assert_int_equal(file.node[0].threads, 2);
    assert_string_equal(file.node[0].metrics, "127.0.0.1:9100");
    assert_string_equal(file.node[1].metrics, "");
    assert_int_equal(file.node[0].address.port, 7411);
    assert_string_equal(file.node[1].name, "b");
    assert_int_equal(file.node[1].share, CLUSTER_SHARE_AUTO);
    assert_string_equal(file.node[1].model, "/other/m.gguf");
}

static void a_byte_order_mark_and_marks_in_names_of_files_are_taken(void **state)
{
    (void)state;
    assert_int_equal(parse_text("\xef\xbb\xbf[cluster]\nmodel = /srv/a #1.gguf\n[node a]\naddress = 127.0.0.1:7411\nthreads = 1\n"
                                "[node b]\naddress = [fe80::1%lo]:7411\nthreads = 2\n"),
                     0);
    assert_string_equal(file.model, "/srv/a #1.gguf");
    assert_int_equal(file.node[1].threads, 2);
}

static void a_file_of_comments_is_a_cluster_of_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse_text("# nothing\n"), 0);
    assert_string_equal(file.name, "mesh");
    assert_int_equal(file.security, CLUSTER_SEAL);
    assert_int_equal(file.node_count, 0);
}

static void a_name_is_as_long_as_the_command_line_takes_it(void **state)
{
    char text[200], name[MESH_CLUSTER_NAME_BYTES_MAX + 2] = "";

    (void)state;
    memset(name, 'n', MESH_CLUSTER_NAME_BYTES_MAX);
    snprintf(text, sizeof text, "[cluster]\nname = %s\n", name);
    assert_int_equal(parse_text(text), 0);
    assert_string_equal(file.name, name);
    name[MESH_CLUSTER_NAME_BYTES_MAX] = 'n';
    snprintf(text, sizeof text, "[cluster]\nname = %s\n", name);
    assert_int_equal(parse_text(text), -1);
    assert_non_null(strstr(fail.text, "name: 65 bytes: at most 64 are taken"));
}

static void the_largest_and_smallest_numbers_are_taken(void **state)
{
    (void)state;
    assert_int_equal(parse_text("[cluster]\nctx = 16777216\nbatch = 512\nslots = 64\n"
                                "[node a]\naddress = 127.0.0.1:1\nthreads = 256\nshare = 1000000\n"
                                "[node b]\naddress = 127.0.0.1:2\nthreads = 0\nshare = 0\n"),
                     0);
    assert_int_equal(file.ctx, 16777216);
    assert_int_equal(file.batch, 512);
    assert_int_equal(file.slots, 64);
    assert_int_equal(file.node[0].threads, 256);
    assert_int_equal(file.node[0].share, 1000000);
    assert_int_equal(file.node[1].share, 0);
    assert_int_equal(parse_text("[cluster]\nctx = 0\nbatch = 1\nslots = 1\n"), 0);
    assert_int_equal(file.batch, 1);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"name = x\n", "test.conf:1: name = x: stands before any section"},
        {"[cluster]\nnmae = x\n", "test.conf:2: nmae: not a key of [cluster]: did you mean name"},
        {"[cluster]\nctx = 12x\n", "test.conf:2: ctx = 12x: not a number from 0 to 16777216"},
        {"[cluster]\nctx = -1\n", "not a number"},
        {"[cluster]\nslots = 0\n", "not a number from 1 to 64"},
        {"[cluster]\nslots = 99999999999999999999\n", "not a number"},
        {"[cluster]\nsecurity = sealed\n", "security = sealed: not known: give perhaps seal"},
        {"[cluster]\n[cluster]\n", "test.conf:2: [cluster]: there is one already"},
        {"[clutser]\n", "[clutser]: no such section"},
        {"[node]\n", "needs a name"},
        {"[node a\n", "not a section"},
        {"[node a] b\n", "not a section"},
        {"[node a]\nthreads = 1\n", "test.conf:2: [node a]: no address"},
        {"[node a]\naddress = nowhere\n", "address = nowhere: not an address: give ADDR:PORT"},
        {"[node a]\naddress = 127.0.0.1:1\n[node a]\n", "[node a]: there is one already"},
        {"[node a]\naddress = 127.0.0.1:1\n[node b]\naddress = 127.0.0.1:2\n[node b]\n", "test.conf:5: [node b]: there is one already"},
        {"[cluster]\nslots = 65\n", "test.conf:2: slots = 65: not a number from 1 to 64"},
        {"[cluster]\nbatch = 0\n", "test.conf:2: batch = 0: not a number from 1 to 512"},
        {"[node a]\nshare = 1000001\n", "test.conf:2: share = 1000001: not a number from 0 to 1000000"},
        {"[node a]\naddress = 127.0.0.1:1\n[node b]\naddress = 127.0.0.1:1\n", "[node b]: has the address of [node a]"},
        {"[node a]\naddress = 10.0.0.1:0\n", "test.conf:2: address = 10.0.0.1:0: port 0 is any port: give the one"},
        {"[node a]\naddress = 0.0.0.0:7411\n",
         "address = 0.0.0.0:7411: a wildcard address is no machine's: give the one by which others reach it"},
        {"[node a]\naddress = [::]:7411\n", "a wildcard address is no machine's"},
        {"[node a]\naddress = 239.255.77.11:7411\n", "no single machine has it"},
        {"[node a]\naddress = 255.255.255.255:7411\n", "no single machine has it"},
        {"[node a]\naddress = [ff02::1%lo]:7411\n", "no single machine has it"},
        {"[node a]\naddress = [fe80::1]:7411\n", "a link-local address needs its interface: give it as in [fe80::1%eth0]:7411"},
        {"[node a]\naddress = 127.0.0.1:7411 # this one\n",
         "test.conf:2: address = 127.0.0.1:7411 # this one: a comment needs a line of its own"},
        {"[cluster]\nslots = 4\t; few\n", "a comment needs a line of its own"},
        {"[cluster]\nslots = 4\nctx = 64\nslots = 8\n", "test.conf:4: slots: stands in this section already: leave one"},
        {"[node a]\naddress = 127.0.0.1:1\naddress = 127.0.0.1:2\n", "test.conf:3: address: stands in this section already"},
        {"[node a]\njust words\n", "neither a section nor key = value"},
        {"[node a]\nname = x\n", "not a key of [node]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (parse_text(cases[i].text) == 0 || fail.exit_code != EXIT_BAD_FILE)
            fail_msg("%s: accepted", cases[i].text);
        if (strstr(fail.text, cases[i].words) == NULL)
            fail_msg("%s: said '%s', expected '%s'", cases[i].text, fail.text, cases[i].words);
    }
}

/* The starting node decides whether it can do without that address. */
static void an_address_that_is_not_known_now_is_no_bad_file(void **state)
{
    static const struct mesh_addr none;

    (void)state;
    assert_int_equal(parse_text("[node a]\naddress = [fe80::1%nosuch0]:7411\n[node b]\naddress = [fe80::1%nosuch0]:7411\n"
                                "[node c]\naddress = 127.0.0.1:7411\n"),
                     0);
    assert_memory_equal(&file.node[0].address, &none, sizeof none);
    assert_string_equal(file.node[0].address_text, "[fe80::1%nosuch0]:7411");
    assert_non_null(strstr(file.node[0].unknown, "'[fe80::1%nosuch0]:7411': this machine has no such interface"));
    assert_int_equal(file.node[2].address.port, 7411);
    assert_string_equal(file.node[2].unknown, "");
}

static void more_nodes_than_a_mesh_has_are_refused(void **state)
{
    static char text[200 * 64];
    size_t used = 0;

    (void)state;
    for (int i = 0; i <= MESH_RANKS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "[node n%d]\naddress = 127.0.0.1:%d\n", i, 1000 + i);
    assert_int_equal(parse_text(text), -1);
    assert_non_null(strstr(fail.text, "more than 64 nodes"));
}

/* Any bytes: each proper prefix of a good file, and each file with one byte changed, is accepted or refused, nothing else. */
static void any_bytes_are_taken_or_refused(void **state)
{
    static const char good[] = "[cluster]\nname = attic\nctx = 64\n[node a]\naddress = 127.0.0.1:7411\nshare = auto\n";

    (void)state;
    for (size_t size = 1; size < sizeof good; size++)
        parse(good, size);
    /* Not in the address, since another host would be looked up. */
    const size_t host = (size_t)(strstr(good, " 127") - good), port = (size_t)(strstr(good, ":7411") - good);

    for (size_t at = 0; at < sizeof good - 1; at = at + 1 == host ? port + 1 : at + 1)
        for (int byte = 0; byte < 256; byte++) {
            char text[sizeof good];

            memcpy(text, good, sizeof good);
            text[at] = (char)byte;
            if (parse(text, sizeof good - 1) < 0) /* "== 127.0.0.1" is an unknown name */
                assert_true(fail.exit_code == EXIT_BAD_FILE || (fail.exit_code == EXIT_ENVIRONMENT && byte == '='));
        }
}

static void a_line_without_end_is_refused(void **state)
{
    static char text[3 * CLUSTER_LINE_MAX];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(parse_text(text), -1);
    assert_non_null(strstr(fail.text, "longer than"));
}

/* As a file system leaves a file that was not written to its end, or as /dev/zero, which never ends. */
static void zeros_are_refused_where_they_begin(void **state)
{
    static const char text[] = "[cluster]\nname = attic\0\0\0\n", zeros[CLUSTER_LINE_MAX];

    (void)state;
    assert_int_equal(parse(text, sizeof text - 1), -1);
    assert_string_equal(fail.text, "test.conf:2: has a byte 0, so it is not a cluster file: give another");
    assert_int_equal(fail.exit_code, EXIT_BAD_FILE);
    assert_int_equal(parse(zeros, sizeof zeros), -1);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    assert_int_equal(cluster_file_read("nowhere.conf", &file, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "nowhere.conf"));
}

static void the_manual_has_the_table_of_keys(void **state)
{
    static char manual[1 << 18];
    FILE *text = fopen("docs/OPERATIONS.md", "r"), *made;
    char *table = NULL;
    size_t bytes = 0;

    (void)state;
    assert_non_null(text);
    assert_true(fread(manual, 1, sizeof manual - 1, text) < sizeof manual - 1);
    fclose(text);
    made = open_memstream(&table, &bytes);
    cluster_file_print_keys(made);
    fclose(made);
    assert_non_null(strstr(manual, table));
    free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_value_or_its_default),
        cmocka_unit_test(a_byte_order_mark_and_marks_in_names_of_files_are_taken),
        cmocka_unit_test(a_file_of_comments_is_a_cluster_of_defaults),
        cmocka_unit_test(a_name_is_as_long_as_the_command_line_takes_it),
        cmocka_unit_test(the_largest_and_smallest_numbers_are_taken),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(an_address_that_is_not_known_now_is_no_bad_file),
        cmocka_unit_test(more_nodes_than_a_mesh_has_are_refused),
        cmocka_unit_test(any_bytes_are_taken_or_refused),
        cmocka_unit_test(a_line_without_end_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(the_manual_has_the_table_of_keys),
        cmocka_unit_test(zeros_are_refused_where_they_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
