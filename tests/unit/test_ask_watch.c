/* When a client that asks a question wishes for reports of the nodes, and how long it waits for them. The session is played, in virtual
 * time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/udp.h"
#include "node/client/ask_watch.h"

#define MS UINT64_C(1000000)

enum { SAID_MAX = 8, OFTEN_MS = MESH_TELEMETRY_INTERVAL_MS_MIN, SELDOM_MS = 1000, OVER = -1, REFUSAL = 0 };

static struct ask_watch watch;
static struct fail failure;
static uint64_t now_ns, begun_ns;
static struct {
    uint64_t at_ms; /* since the test began */
    int what;       /* OVER, REFUSAL, or a report of node 1 or 2 of two */
} said[SAID_MAX];
static unsigned said_count, heard;
static unsigned wishes;
static struct mesh_telemetry_watch wish; /* the last one */
static uint32_t serial;
static bool cannot_send;

uint64_t mesh_udp_now_ns(void)
{
    return now_ns;
}

struct mesh_client *client_session_open(const struct mesh_client_config *config, struct fail *fail)
{
    (void)config, (void)fail;
    return NULL;
}

void client_session_close(struct mesh_client *client)
{
    (void)client;
}

int client_session_send(struct mesh_client *client, const uint8_t *record, size_t bytes, struct fail *fail)
{
    (void)client, (void)fail;
    assert_int_equal(mesh_telemetry_read_watch(&wish, record, bytes), MESH_OK);
    assert_int_equal(wish.kinds, 1u << MESH_TELEMETRY_NODE | 1u << MESH_TELEMETRY_LINK);
    assert_true(wish.lease_ms >= 2 * 15000); /* it is renewed in time */
    wishes++;
    return cannot_send ? -1 : 0;
}

/* The record of a whole report. */
static size_t put_report(int who, uint8_t *record)
{
    struct mesh_telemetry_head head = {.version = MESH_TELEMETRY_VERSION, .rank = (uint16_t)(who - 1), .epoch = 3, .serial = ++serial};
    struct mesh_telemetry_item node = {.kind = MESH_TELEMETRY_NODE, .node = {.members = 2, .threads = 1}};
    const struct mesh_telemetry_item link = {.kind = MESH_TELEMETRY_LINK, .link = {.peer = (uint16_t)(2 - who)}};
    uint8_t piece[MESH_TELEMETRY_PIECE_BYTES_MAX];
    struct mesh_telemetry_writer writer;

    memset(head.incarnation, who, sizeof head.incarnation);
    mesh_telemetry_begin(&writer, piece, sizeof piece, &head);
    assert_true(mesh_telemetry_put(&writer, &node) && mesh_telemetry_put(&writer, &link));
    return mesh_telemetry_write_report(&(struct mesh_telemetry_report){.piece = piece, .piece_bytes = writer.used}, record);
}

int client_session_receive(struct mesh_client *client, const uint8_t **out, size_t *bytes, uint64_t timeout_ns, struct fail *fail)
{
    static const uint8_t refusal[] = {19, 0, 0, 0, 0};
    static uint8_t record[MESH_TELEMETRY_REPORT_OVERHEAD_BYTES + MESH_TELEMETRY_PIECE_BYTES_MAX];
    const uint64_t at_ns = heard < said_count ? begun_ns + said[heard].at_ms * MS : UINT64_MAX;

    (void)client;
    assert_true(timeout_ns > 0);
    if (at_ns > now_ns + timeout_ns) {
        now_ns += timeout_ns;
        return 0;
    }
    now_ns = at_ns > now_ns ? at_ns : now_ns;
    if (said[heard].what == OVER)
        return fail_set(fail, EXIT_ENVIRONMENT, "the session is over");
    *out = said[heard].what == REFUSAL ? refusal : record;
    *bytes = said[heard].what == REFUSAL ? sizeof refusal : put_report(said[heard].what, record);
    heard++;
    return 1;
}

static int set_up(void **state)
{
    (void)state;
    memset(&watch, 0, sizeof watch);
    memset(&wish, 0, sizeof wish);
    begun_ns = now_ns = 7000 * MS;
    said_count = heard = wishes = 0;
    cannot_send = false;
    return 0;
}

static void will_say(uint64_t at_ms, int what)
{
    said[said_count].at_ms = at_ms;
    said[said_count++].what = what;
}

static uint64_t passed_ms(void)
{
    return (now_ns - begun_ns) / MS;
}

static void it_waits_until_each_node_has_reported(void **state)
{
    (void)state;
    will_say(10, 1);
    will_say(110, 1);
    will_say(120, 2);
    will_say(130, 2);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(passed_ms(), 120);
    assert_true(watch.is_on && ask_figures_are_there(&watch.figures));
    assert_int_equal(wishes, 1);
    assert_int_equal(wish.interval_ms, OFTEN_MS);
}

static void it_waits_longer_for_the_first_report_than_for_one_of_each_node(void **state)
{
    (void)state;
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(passed_ms(), 5000);
    assert_true(watch.is_on); /* some may still come */
    set_up(NULL);
    will_say(200, 1);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(passed_ms(), 500);
    set_up(NULL);
    will_say(700, 1);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(passed_ms(), 700);
}

static void who_may_not_watch_asks_without_figures(void **state)
{
    (void)state;
    will_say(20, REFUSAL);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(passed_ms(), 20);
    assert_false(watch.is_on);
    now_ns += 100000 * MS;
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    ask_watch_end(&watch, NULL);
    assert_int_equal(wishes, 1);
    assert_int_equal(passed_ms(), 100020);
}

static void without_a_watch_nothing_is_said(void **state)
{
    (void)state;
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    ask_watch_generates(&watch);
    ask_watch_end(&watch, NULL);
    assert_int_equal(wishes + passed_ms(), 0);
}

static void a_session_that_is_over_is_an_error_at_the_beginning_alone(void **state)
{
    (void)state;
    will_say(30, OVER);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), -1);
    set_up(NULL);
    cannot_send = true;
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), -1);
    assert_int_equal(passed_ms(), 0);
    ask_watch_end(&watch, NULL); /* it has the answer */
}

static void while_a_report_is_missing_they_are_wished_for_often(void **state)
{
    (void)state;
    will_say(10, 1);
    will_say(10, 2);
    will_say(900, 1);
    will_say(950, 2);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    assert_int_equal(wish.interval_ms, SELDOM_MS);
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    assert_int_equal(wishes, 2);
    ask_watch_generates(&watch);
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    assert_int_equal(wish.interval_ms, OFTEN_MS);
    assert_int_equal(wishes, 3);
    now_ns = begun_ns + 800 * MS;
    ask_watch_end(&watch, NULL);
    assert_int_equal(watch.figures.part, ASK_IS_OVER);
    assert_true(ask_figures_are_there(&watch.figures));
    assert_int_equal(passed_ms(), 950);
    assert_int_equal(wishes, 3);
}

static void the_wish_is_renewed_before_its_lease_ends(void **state)
{
    (void)state;
    will_say(10, 1);
    will_say(10, 2);
    assert_int_equal(ask_watch_begin(&watch, NULL, &failure), 0);
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    now_ns += 14999 * MS;
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    assert_int_equal(wishes, 2);
    now_ns += MS;
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    assert_int_equal(ask_watch_run(&watch, NULL, &failure), 0);
    assert_int_equal(wishes, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_waits_until_each_node_has_reported, set_up),
        cmocka_unit_test_setup(it_waits_longer_for_the_first_report_than_for_one_of_each_node, set_up),
        cmocka_unit_test_setup(who_may_not_watch_asks_without_figures, set_up),
        cmocka_unit_test_setup(without_a_watch_nothing_is_said, set_up),
        cmocka_unit_test_setup(a_session_that_is_over_is_an_error_at_the_beginning_alone, set_up),
        cmocka_unit_test_setup(while_a_report_is_missing_they_are_wished_for_often, set_up),
        cmocka_unit_test_setup(the_wish_is_renewed_before_its_lease_ends, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
