/* Datagrams outside of epochs, when there is no room for them. The calls that node/serve/serve_send.c makes are played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mesh/udp.h"
#include "node/common/idle.h"
#include "node/serve/serve_state.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

enum { QUEUE = 4096, FULL = 0x0100, FREE = 0x0200 };

/* A node that has two interfaces, on virtual time. */
static struct {
    uint64_t now_ns;
    bool (*is_full)(uint64_t now_ns, uint16_t port);
    uint16_t queued[QUEUE];
    uint64_t queued_ns[QUEUE];
    unsigned first, end;
    unsigned sent, lost, refused; /* datagrams, and calls without room */
    uint64_t waited_ns_max, lost_ns;
} played;

uint64_t mesh_udp_now_ns(void)
{
    return played.now_ns;
}

void idle_sleep(uint64_t ns)
{
    played.now_ns += ns;
}

int mesh_udp_send_to(struct mesh_udp *udp, struct mesh_addr to, const uint8_t *packet, size_t bytes)
{
    (void)udp, (void)packet, (void)bytes;
    if (!played.is_full(played.now_ns, to.port))
        return 0;
    played.refused++;
    return MESH_AGAIN;
}

bool mesh_cluster_next_datagram(struct mesh_cluster *cluster, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    (void)cluster, (void)now_ns, (void)packet, (void)capacity;
    if (played.first == played.end)
        return false;
    *output = (struct mesh_output){.bytes = 100, .addr.port = played.queued[played.first++ % QUEUE]};
    return true;
}

size_t mesh_sessions_next_datagram(struct mesh_sessions *s, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_addr *to)
{
    (void)s, (void)now_ns, (void)packet, (void)capacity, (void)to;
    return 0;
}

int mesh_seal_packet(const struct mesh_seal_key *key, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    (void)key, (void)security, (void)packet, (void)bytes;
    return MESH_OK;
}

void serve_troubles_denied(struct server *server, const struct mesh_addr *to, const uint8_t *packet, size_t bytes)
{
    (void)server, (void)to, (void)packet, (void)bytes;
}

void serve_network_sent(struct server *server, const struct mesh_addr *to, int result)
{
    const uint64_t waited_ns = played.now_ns - played.queued_ns[(played.first - 1) % QUEUE];

    (void)server, (void)to;
    if (result == MESH_AGAIN) {
        played.lost++;
        played.lost_ns = played.now_ns;
        return;
    }
    played.sent++;
    played.waited_ns_max = waited_ns > played.waited_ns_max ? waited_ns : played.waited_ns_max;
}

static struct serve_config config;
static struct server server;

static void queue(uint16_t port)
{
    assert_true(played.end - played.first < QUEUE);
    played.queued_ns[played.end % QUEUE] = played.now_ns;
    played.queued[played.end++ % QUEUE] = port;
}

/* The loop of a node, to which something new comes now and then. */
static void run(uint64_t for_ns, uint64_t every_ns, void (*come)(void))
{
    const uint64_t end_ns = played.now_ns + for_ns;

    for (uint64_t next_ns = played.now_ns; played.now_ns < end_ns;) {
        if (played.now_ns >= next_ns) {
            come();
            next_ns += every_ns;
        }
        serve_send_outside(&server);
        played.now_ns = server.unsent.bytes > 0 && server.unsent.again_ns < next_ns ? server.unsent.again_ns : next_ns;
    }
}

static void set_up(bool (*is_full)(uint64_t now_ns, uint16_t port))
{
    memset(&played, 0, sizeof played);
    played.now_ns = S;
    played.is_full = is_full;
    memset(&config, 0, sizeof config);
    memset(&server, 0, sizeof server);
    server.config = &config;
}

static bool is_of_full_interface(uint64_t now_ns, uint16_t port)
{
    (void)now_ns;
    return port == FULL;
}

static void to_both(void)
{
    queue(FULL);
    queue(FREE);
}

/* Each sign of life by the one interface follows one that cannot leave by the other. */
static void an_interface_that_is_full_for_ever_does_not_hold_up_another(void **state)
{
    (void)state;
    set_up(is_of_full_interface);
    run(10 * S, 10 * MS, to_both);
    assert_int_equal(played.sent, 1000);
    assert_int_equal(played.lost, 1000);
    assert_true(played.waited_ns_max < 30 * MS);
}

/* Room for a moment of each millisecond, but not for the first 50 of them. */
static bool is_mostly_full(uint64_t now_ns, uint16_t port)
{
    (void)port;
    return now_ns < S + 50 * MS || now_ns % MS < 900 * US;
}

static void to_one(void)
{
    queue(FULL);
}

static void after_a_long_time_without_room_the_next_ones_wait_again(void **state)
{
    (void)state;
    set_up(is_mostly_full);
    run(10 * S, 10 * MS, to_one);
    assert_in_range(played.lost, 1, 30);
    assert_true(played.lost_ns < S + 300 * MS);
    assert_true(played.sent >= 970);
    assert_true(played.waited_ns_max < MS);
}

/* Full for a while, then free for a while, then as above. */
static bool is_free_between(uint64_t now_ns, uint16_t port)
{
    (void)port;
    return now_ns < S + 29 * MS || (now_ns >= S + 31 * MS && now_ns % MS < 900 * US);
}

static void they_wait_again_as_soon_as_one_leaves_for_the_same_address(void **state)
{
    (void)state;
    set_up(is_free_between);
    run(S, 10 * MS, to_one);
    assert_int_equal(played.lost, 3);
    assert_int_equal(played.sent, 97);
}

static bool is_full_for_a_moment(uint64_t now_ns, uint16_t port)
{
    (void)port;
    return now_ns < S + 2 * MS;
}

static void at_the_end_what_is_left_waits_for_room(void **state)
{
    (void)state;
    set_up(is_full_for_a_moment);
    to_both();
    serve_send_outside(&server);
    assert_int_equal(played.sent, 0);
    serve_send_rest(&server);
    assert_int_equal(played.sent, 2);
    assert_in_range(played.refused, 10, 30); /* it is not tried without end */

    set_up(is_of_full_interface);
    to_both();
    serve_send_rest(&server);
    assert_int_equal(played.sent, 1);
    assert_int_equal(played.lost, 1);
    assert_true(played.now_ns < S + 30 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interface_that_is_full_for_ever_does_not_hold_up_another),
        cmocka_unit_test(after_a_long_time_without_room_the_next_ones_wait_again),
        cmocka_unit_test(they_wait_again_as_soon_as_one_leaves_for_the_same_address),
        cmocka_unit_test(at_the_end_what_is_left_waits_for_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
