/* Questions for what does not exist, and which gather an answer names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net.h"

static struct net_gather gather;

/* Rank 0 receives this of rank 1, with a number of its own. */
static int say(struct net *net, struct mesh_message *message)
{
    static uint64_t number = 1000;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];

    message->header.magic = MESH_WIRE_MAGIC;
    message->header.version = MESH_WIRE_VERSION;
    message->header.src = 1;
    message->header.epoch = 7;
    message->header.number = ++number;
    message->header.have_step = MESH_STEP_NONE;
    return mesh_receive(net->mesh[0], net->now_ns, net_addr(1), packet, mesh_wire_encode(message, packet, sizeof packet));
}

static void questions_beyond_a_gather_are_refused(void **state)
{
    struct net *net = net_new(2);
    const struct mesh_message right = {.header.type = MESH_TYPE_NAK, .as.nak = {.step = 1, .range_count = 1}, .ranges = {{0, 2, 0, 20}}};
    const struct mesh_range beyond[] = {{0, 3, 0, 20}, {2, 1, 0, 1}, {0, 1, 0, 21}, {0, 1, 20, 1}, {0, 1, 19, 2}};
    struct mesh_message message;

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 2, 40); /* of which rank 0 has the first 20 */
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        message = right;
        message.ranges[0] = beyond[i];
        assert_int_equal(say(net, &message), MESH_ERANGE);
        message = right;
        message.as.nak.range_count = 2;
        message.ranges[1] = beyond[i];
        assert_int_equal(say(net, &message), MESH_ERANGE);
    }
    message = right;
    message.as.nak.phase = net->config[0].phase_count;
    assert_int_equal(say(net, &message), MESH_ERANGE);
    message = (struct mesh_message){.header.type = MESH_TYPE_NOT_YET, .as.not_yet = {.step = 1, .phase = net->config[0].phase_count}};
    assert_int_equal(say(net, &message), MESH_ERANGE);
    message = right;
    assert_int_equal(say(net, &message), 0);
    net_gather_release(net, &gather);
    net_free(net);
}

/* Otherwise one question of a few bytes would be answered with the same blocks again and again. */
static void a_question_that_names_a_block_twice_is_refused(void **state)
{
    struct net *net = net_new(2);
    struct mesh_message message = {.header.type = MESH_TYPE_NAK, .as.nak = {.step = 1, .range_count = 2}};
    const struct {
        struct mesh_range ranges[2];
        int err;
    } cases[] = {
        {{{0, 2, 0, 20}, {0, 2, 0, 20}}, MESH_ERANGE},
        {{{0, 2, 0, 20}, {1, 1, 19, 1}}, MESH_ERANGE},
        {{{1, 1, 3, 4}, {0, 2, 6, 2}}, MESH_ERANGE},
        {{{0, 1, 0, 20}, {1, 1, 0, 20}}, 0},
        {{{0, 2, 5, 5}, {0, 2, 10, 5}}, 0},
        {{{1, 1, 10, 5}, {0, 2, 0, 10}}, 0},
    };

    (void)state;
    net_up(net);
    net_gather_init(net, &gather, 1, 0, 2, 40); /* of which rank 0 has the first 20 */
    assert_int_equal(net_gather_open(net, &gather, 0), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(message.ranges, cases[i].ranges, sizeof cases[i].ranges);
        assert_int_equal(say(net, &message), cases[i].err);
    }
    net_gather_release(net, &gather);
    net_free(net);
}

static bool check_not_yet(struct net *net, uint16_t from, uint16_t to, const struct mesh_message *message, size_t bytes)
{
    (void)net, (void)from, (void)to, (void)bytes;
    if (message->header.type == MESH_TYPE_NOT_YET) {
        assert_int_equal(message->as.not_yet.step, 3);
        assert_int_equal(message->as.not_yet.phase, 2);
    }
    return false;
}

static void not_yet_names_the_gather_that_was_asked_for(void **state)
{
    struct net *net = net_new(2);

    (void)state;
    net_up(net);
    net->drop = check_not_yet;
    net_gather_init(net, &gather, 3, 2, 1, 40);
    for (uint16_t rank = 0; rank < 2; rank++)
        assert_int_equal(net_gather_open(net, &gather, rank), 0);
    net_run(net, 50 * NET_MS);
    assert_true(net->sent[0][MESH_TYPE_NOT_YET] > 0);
    net_gather_release(net, &gather);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_beyond_a_gather_are_refused),
        cmocka_unit_test(a_question_that_names_a_block_twice_is_refused),
        cmocka_unit_test(not_yet_names_the_gather_that_was_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
