/* The analysis of the beginning of a capture: of rank 0 and rank 1, with their handshake, or with tiles that were sent before it began. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dissector/analysis.h"

static struct analysis analysis;
static uint64_t now_ns, numbers[2]; /* numbers: the last one of each rank */
static unsigned named;              /* losses attributed to a number */

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    named += loss->entry != NULL;
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    now_ns = 1000000;
    numbers[0] = numbers[1] = 0;
    named = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* The next datagram of a rank to the other; 1 ms later than the one before. */
static struct packet datagram(unsigned src, uint8_t type)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frames[src], .size = 100};

    frames[src].src.port = (uint16_t)(1 + src);
    frames[src].dst.port = (uint16_t)(2 - src);
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = type, .epoch = 1};
    packet.message.header.number = ++numbers[src];
    packet.message.header.src = (uint16_t)src;
    packet.message.header.dst = (uint16_t)(1 - src);
    packet.message.header.have_step = MESH_STEP_NONE;
    now_ns += 1000000;
    return packet;
}

static void tile(uint16_t block, uint16_t flags)
{
    struct packet packet = datagram(0, MESH_TYPE_TILE);

    packet.message.header.flags = flags;
    packet.message.as.tile = (struct mesh_tile){.step = 1, .token_count = 1, .block_first = block, .block_count = 1};
    analysis_add(&analysis, &packet);
}

static void hello(unsigned src, uint64_t nonce)
{
    struct packet packet = datagram(src, MESH_TYPE_HELLO);

    packet.message.as.hello = (struct mesh_hello){.rank_count = 2, .nonce = nonce};
    analysis_add(&analysis, &packet);
}

static void hello_ack(unsigned src, uint64_t echo)
{
    struct packet packet = datagram(src, MESH_TYPE_HELLO_ACK);

    packet.message.as.hello_ack = (struct mesh_hello_ack){.rank_count = 2, .echo = echo};
    analysis_add(&analysis, &packet);
}

static void status(uint64_t seen, uint64_t lost)
{
    struct packet packet = datagram(1, MESH_TYPE_STATUS);

    packet.message.as.status = (struct mesh_status){.seen_peer = seen, .lost = lost};
    analysis_add(&analysis, &packet);
}

static void a_resend_of_what_was_sent_before_the_capture_is_not_said_to_be_in_vain(void **state)
{
    (void)state;
    numbers[0] = 11;
    tile(1, MESH_FLAG_RESEND);
    tile(2, 0);
    status(13, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 0);
    assert_int_equal(analysis.sum.resent, 1);
    assert_int_equal(analysis.sum.spurious_resend, 0);
}

static void a_hello_that_is_answered_has_come(void **state)
{
    (void)state;
    hello(0, 7);
    hello_ack(1, 7);
    hello_ack(0, 8); /* one of these two was lost; which one is unknown */
    hello_ack(0, 8);
    tile(1, 0);
    status(4, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(named, 0);
}

static void of_two_that_were_sent_before_an_answer_the_first_may_be_lost(void **state)
{
    (void)state;
    hello(0, 7);
    hello(0, 7);
    hello_ack(1, 7);
    hello_ack(0, 8);
    status(3, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(named, 1);
}

/* The receiver was there for the HELLO; that it counts a loss soon after says nothing of it. */
static void a_hello_is_not_lost_because_what_followed_was(void **state)
{
    (void)state;
    hello(0, 7);
    hello_ack(0, 8);
    hello(0, 7);
    hello_ack(1, 7); /* answers either */
    tile(1, 0);
    tile(2, 0);
    status(5, 1);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(named, 0);
}

static void what_is_lost_and_in_the_capture_is_not_counted_beside_it(void **state)
{
    (void)state;
    hello(0, 7);
    hello(0, 7);
    numbers[0]++; /* lost on the path before the capture */
    hello_ack(1, 7);
    hello_ack(0, 8);
    status(4, 2);
    analysis_end(&analysis);
    assert_int_equal(analysis.sum.lost, 2);
    assert_int_equal(analysis.sum.lost_unseen, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_resend_of_what_was_sent_before_the_capture_is_not_said_to_be_in_vain),
        CASE(a_hello_that_is_answered_has_come),
        CASE(of_two_that_were_sent_before_an_answer_the_first_may_be_lost),
        CASE(a_hello_is_not_lost_because_what_followed_was),
        CASE(what_is_lost_and_in_the_capture_is_not_counted_beside_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
