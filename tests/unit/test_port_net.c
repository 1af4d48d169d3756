/* The port to the mesh with an endpoint that has a peer: words that the endpoint cannot take yet, and when they are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net.h"
#include "node/engine/port.h"

enum { OWN_BLOCKS = 1100, POLLS_MAX = 2000 };

static uint64_t net_now_ns(void *clock)
{
    return ((struct net *)clock)->now_ns;
}

static int do_nothing(void *app)
{
    (void)app;
    return 0;
}

static void ignore_event(void *app, const struct mesh_event *event)
{
    (void)app;
    (void)event;
}

/* Of rank 0; without a driver. */
static struct port *make_port(struct net *net)
{
    struct port *port = calloc(1, sizeof *port);

    assert_non_null(port);
    port->mesh = net->mesh[0];
    port->on_owned = do_nothing;
    port->on_event = ignore_event;
    port->now_ns = net_now_ns;
    port->clock = net;
    port_init(port);
    return port;
}

static int move_datagrams(void *driver, struct mesh *mesh)
{
    (void)mesh;
    net_run(driver, 50 * NET_US);
    return 0;
}

static int move_nothing(void *driver, struct mesh *mesh)
{
    (void)driver;
    (void)mesh;
    return 0;
}

/* Publishes every second block, so that ranges cannot be joined. */
static void publish_every_second(struct port *port, uint16_t first)
{
    port_lock(port);
    for (uint16_t b = first; b < OWN_BLOCKS; b = (uint16_t)(b + 2))
        port_post(port, &(const struct port_word){.type = PORT_PUBLISH, .token_count = 1, .block_first = b, .block_count = 1});
    port_unlock(port);
}

static void words_that_the_endpoint_cannot_take_yet_wait_and_are_kept(void **state)
{
    struct net *net = net_new(2);
    struct net_gather gather;
    struct port *port;
    int polls = 0;

    (void)state;
    net->config[0].blocks_max = net->config[1].blocks_max = 2 * OWN_BLOCKS;
    net_up(net);
    net_gather_init(net, &gather, 0, 0, 1, 2 * OWN_BLOCKS);
    assert_int_equal(net_gather_open(net, &gather, 0), MESH_OK);
    assert_int_equal(net_gather_open(net, &gather, 1), MESH_OK);
    assert_int_equal(net_gather_publish(net, &gather, 1), MESH_OK);
    port = make_port(net);
    port->driver = (struct port_driver){.poll = move_datagrams, .flush = move_nothing, .driver = net};
    publish_every_second(port, 0);
    port_poll(port);
    assert_true(port->is_stuck);
    publish_every_second(port, 1);
    for (; polls < POLLS_MAX && !net_gather_is_whole(net, &gather, 1); polls++)
        port_poll(port);
    assert_true(polls < POLLS_MAX);
    net_gather_release(net, &gather);
    net_free(net);
    free(port);
}

static int note_poll(void *driver, struct mesh *mesh)
{
    (void)mesh;
    strcat(driver, "poll ");
    return 0;
}

static int note_flush(void *driver, struct mesh *mesh)
{
    (void)mesh;
    strcat(driver, "flush ");
    return 0;
}

static void what_is_said_goes_out_before_datagrams_are_looked_for(void **state)
{
    struct net *net = net_new(2);
    struct net_gather gather;
    struct port *port;
    char calls[80] = "";

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 0, 0, 1, 2);
    assert_int_equal(net_gather_open(net, &gather, 0), MESH_OK);
    port = make_port(net);
    port->driver = (struct port_driver){.poll = note_poll, .flush = note_flush, .driver = calls};
    port_poll(port);
    assert_string_equal(calls, "poll "); /* there was no word */
    port_post(port, &(const struct port_word){.type = PORT_PUBLISH, .token_count = 1, .block_count = 1});
    assert_string_equal(calls, "poll flush "); /* words are sent, and the port does not look for datagrams */
    port_poll(port);
    assert_string_equal(calls, "poll flush poll ");
    net_gather_release(net, &gather);
    net_free(net);
    free(port);
}

/* The owner's app opens the gather when it has the port first, and sends something once it has seen an event. */
struct opener {
    struct net *net;
    struct net_gather *gather;
    bool is_open;
    int events, answers;
    char calls[80];
};

static int open_or_answer(void *app)
{
    struct opener *o = app;

    if (!o->is_open) {
        assert_int_equal(net_gather_open(o->net, o->gather, 0), MESH_OK);
        o->is_open = true;
        return 1;
    }
    if (o->events == 0 || o->answers == 0)
        return 0;
    strcat(o->calls, "answer ");
    return o->answers--;
}

static void count_event(void *app, const struct mesh_event *event)
{
    ((struct opener *)app)->events += event->type == MESH_EVENT_ARRIVED;
}

/* A block of rank 1 arrives before rank 0 opens the gather, which happens while rank 0 sends a word. Returns the calls of the driver. */
static const char *speak_with_one_early(struct opener *o, bool answers_events, int answers)
{
    static struct net_gather gather;
    struct net *net = net_new(2);
    struct port *port;

    net_up(net);
    net_gather_init(net, &gather, 0, 0, 1, 2);
    assert_int_equal(net_gather_open(net, &gather, 1), MESH_OK);
    assert_int_equal(net_gather_publish(net, &gather, 1), MESH_OK);
    net_run(net, NET_MS);
    *o = (struct opener){.net = net, .gather = &gather, .answers = answers};
    port = make_port(net);
    port->driver = (struct port_driver){.poll = note_poll, .flush = note_flush, .driver = o->calls};
    port->on_owned = open_or_answer;
    port->on_event = count_event;
    port->app = o;
    port->answers_events = answers_events;
    port_post(port, &(const struct port_word){.type = PORT_PUBLISH, .token_count = 1, .block_count = 1});
    net_gather_release(net, &gather);
    net_free(net);
    free(port);
    return o->calls;
}

static void what_came_before_its_gather_was_opened_is_taken_without_a_poll(void **state)
{
    struct opener opener;

    (void)state;
    assert_string_equal(speak_with_one_early(&opener, false, 0), "flush ");
    assert_int_equal(opener.events, 1);
}

static void what_follows_from_an_event_goes_out_at_once(void **state)
{
    struct opener opener;

    (void)state;
    assert_string_equal(speak_with_one_early(&opener, false, 1), "flush answer flush ");
    assert_string_equal(speak_with_one_early(&opener, true, 0), "flush flush ");
    assert_int_equal(opener.events, 1);
}

static void note_wake(void *driver)
{
    strcat(driver, "wake ");
}

/* No thread sleeps at the port when it is read, but a worker may be about to. */
static void who_reads_for_others_leaves_the_rest_to_an_owner_that_does_not_sleep_on_it(void **state)
{
    struct net *net = net_new(2);
    char calls[64] = "";
    struct port *port;

    (void)state;
    net_up(net);
    port = make_port(net);
    port->driver = (struct port_driver){.poll = note_poll, .flush = note_flush, .wake = note_wake, .driver = calls};
    port_read(port);
    assert_string_equal(calls, "poll wake ");
    port_poll(port);
    assert_string_equal(calls, "poll wake poll ");
    net_free(net);
    free(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_the_endpoint_cannot_take_yet_wait_and_are_kept),
        cmocka_unit_test(what_came_before_its_gather_was_opened_is_taken_without_a_poll),
        cmocka_unit_test(what_follows_from_an_event_goes_out_at_once),
        cmocka_unit_test(who_reads_for_others_leaves_the_rest_to_an_owner_that_does_not_sleep_on_it),
        cmocka_unit_test(what_is_said_goes_out_before_datagrams_are_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
