/* What is fetched of other nodes' keys and values, and from which node. The sessions that node/fetch/kv_fetch.c opens are played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/udp.h"
#include "node/common/bytes.h"
#include "node/fetch/kv_fetch.h"

enum { NODES = 3, LISTED = 3, CTX = 256, SLOTS = 2, HEADS = 4, PIECE = 1000 };

/* A node that has positions of some heads, for each request that it lists. */
struct played_node {
    bool is_away, is_silent, refuses;
    uint32_t first, heads, count;
    struct {
        uint64_t request;
        uint32_t positions;
    } of[LISTED];
    unsigned opened, closed, heads_asked;
    struct kv_source_range asked; /* last */
};

static struct played_node nodes[NODES];
static struct kv_fetch fetch;
static atomic_bool is_stopping;
static uint64_t now_ns;
static struct {
    uint8_t bytes[1 << 16];
    size_t size, sent;
} answer; /* to the only question that is open */

static struct played_node *node_of(struct mesh_client *client)
{
    return (struct played_node *)client;
}

uint64_t mesh_udp_now_ns(void)
{
    return now_ns;
}

struct mesh_client *client_session_open(const struct mesh_client_config *config, struct fail *fail)
{
    const int which = config->address[strlen(config->address) - 1] - '1';

    (void)fail;
    assert_in_range(which, 0, NODES - 1);
    if (nodes[which].is_away)
        return NULL;
    nodes[which].opened++;
    return (struct mesh_client *)&nodes[which];
}

void client_session_close(struct mesh_client *client)
{
    if (client != NULL)
        node_of(client)->closed++;
}

void bulk_init(struct bulk *bulk, struct mesh_client *client)
{
    memset(bulk, 0, sizeof *bulk);
    bulk->client = client;
}

/* All keys and values of a head have this value. */
static uint8_t value_of(uint64_t request, uint32_t head)
{
    return (uint8_t)(10 * request + head);
}

int bulk_ask(struct bulk *bulk, const struct bulk_want *want, uint32_t *tag, struct fail *fail)
{
    struct played_node *node = node_of(bulk->client);
    struct bytes list = bytes_writer(answer.bytes, sizeof answer.bytes);
    struct bytes args = bytes_reader(want->args, want->args_bytes);

    (void)fail;
    *tag = ++bulk->tag;
    answer.sent = 0;
    assert_int_equal(want->resource, BULK_KV);
    if (want->args_bytes > 0) {
        struct kv_source_range *range = &node->asked;

        *range = (struct kv_source_range){.request = bytes_get_u64(&args)};
        range->head = bytes_get_u32(&args);
        range->first = bytes_get_u32(&args);
        range->positions = bytes_get_u32(&args);
        node->heads_asked++;
        answer.size = saved_kv_bytes(&fetch.saved_kv.shape, range->positions - range->first);
        assert_int_equal(want->bytes, answer.size);
        assert_true(answer.size <= sizeof answer.bytes);
        memset(answer.bytes, value_of(range->request, range->head), answer.size);
        return 0;
    }
    bytes_put_u32(&list, node->first);
    bytes_put_u32(&list, node->heads);
    bytes_put_u32(&list, node->count);
    for (uint32_t i = 0; i < node->count; i++) {
        bytes_put_u64(&list, node->of[i].request);
        bytes_put_u32(&list, node->of[i].positions);
    }
    answer.size = bytes_size(&list);
    return 0;
}

int bulk_next(struct bulk *bulk, struct bulk_record *got, uint64_t timeout_ns, struct fail *fail)
{
    const struct played_node *node = node_of(bulk->client);
    const size_t left = answer.size - answer.sent;

    (void)fail;
    if (node->is_silent) {
        now_ns += timeout_ns;
        return 0;
    }
    *got = (struct bulk_record){.kind = node->refuses ? BULK_REFUSED : left > 0 ? BULK_DATA : BULK_END, .offset = answer.sent};
    if (got->kind == BULK_DATA) {
        got->data = answer.bytes + answer.sent;
        got->data_bytes = left < PIECE ? left : PIECE;
        answer.sent += got->data_bytes;
    }
    return 1;
}

/* Node 0 has heads 0 and 1, node 1 has 1 to 3, node 2 has 2 and 3; this node has computed head 0 itself. */
static int open_fetch(void **state)
{
    (void)state;
    memset(nodes, 0, sizeof nodes);
    nodes[0] = (struct played_node){.first = 0, .heads = 2, .count = 1, .of = {{5, 32}}};
    nodes[1] = (struct played_node){.first = 1, .heads = 3, .count = 1, .of = {{5, 48}}};
    nodes[2] = (struct played_node){.first = 2, .heads = 2, .count = 1, .of = {{5, 16}}};
    fetch = (struct kv_fetch){.ctx = CTX,
                              .slots = SLOTS,
                              .count = HEADS,
                              .own_count = 1,
                              .is_stopping = &is_stopping,
                              .saved_kv.shape = {.layers = 2, .head_dim = 32, .type = KV_F16}};
    atomic_store(&is_stopping, false);
    if (kv_fetch_open(&fetch) != 0)
        return -1;
    for (uint16_t i = 0; i < NODES; i++)
        kv_fetch_add_source(&fetch, (struct mesh_addr){.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = (uint16_t)(1 + i)});
    return 0;
}

static int close_fetch(void **state)
{
    (void)state;
    kv_fetch_close(&fetch);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(nodes[i].opened, nodes[i].closed);
    return 0;
}

/* Of request 5; 0: none. */
static uint32_t fetched(uint32_t head)
{
    const struct saved_kv_head *found = saved_kv_find(&fetch.saved_kv, 5, head);

    if (found == NULL)
        return 0;
    for (size_t i = 0; i < saved_kv_bytes(&fetch.saved_kv.shape, found->positions); i++)
        assert_int_equal(found->bytes[i], value_of(5, head));
    return found->positions;
}

static void each_head_comes_from_the_node_that_has_most_of_it(void **state)
{
    (void)state;
    assert_true(kv_fetch_has_use(&fetch));
    assert_int_equal(kv_fetch_pass(&fetch), 3 * 48);
    assert_int_equal(fetched(0), 0); /* the own one */
    for (uint32_t head = 1; head < HEADS; head++)
        assert_int_equal(fetched(head), 48);
    assert_int_equal(nodes[0].heads_asked + nodes[2].heads_asked, 0);
    assert_int_equal(nodes[1].heads_asked, 3);
    assert_true(fetch.bytes > 3 * saved_kv_bytes(&fetch.saved_kv.shape, 48));
    assert_int_equal(saved_kv_request(&fetch.saved_kv, 5)->positions, 0);
}

static void the_next_pass_fetches_only_what_is_new(void **state)
{
    (void)state;
    assert_int_equal(kv_fetch_pass(&fetch), 3 * 48);
    assert_int_equal(kv_fetch_pass(&fetch), 0);
    nodes[2].of[0].positions = 80;
    assert_int_equal(kv_fetch_pass(&fetch), 2 * 32);
    assert_int_equal(nodes[2].asked.first, 48);
    assert_int_equal(nodes[2].asked.positions, 80);
    assert_int_equal(fetched(1), 48);
    assert_int_equal(fetched(2), 80);
    assert_int_equal(fetched(3), 80);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(nodes[i].opened, 1);
}

/* It has places for fewer sessions than a cluster has nodes. */
static void a_session_is_kept_only_to_who_has_heads_that_are_lacking(void **state)
{
    (void)state;
    nodes[0].heads = 1; /* the own one */
    nodes[2].first = HEADS;
    assert_int_equal(kv_fetch_pass(&fetch), 3 * 48);
    assert_int_equal(nodes[0].closed, 1);
    assert_int_equal(nodes[1].closed, 0);
    assert_int_equal(nodes[2].closed, 1);
    nodes[1].of[0].positions = 64;
    assert_int_equal(kv_fetch_pass(&fetch), 3 * 16);
    assert_int_equal(nodes[0].opened + nodes[2].opened, 2);
}

static void who_lists_no_heads_for_a_moment_is_asked_again(void **state)
{
    (void)state;
    nodes[1].heads = nodes[1].count = 0;
    assert_int_equal(kv_fetch_pass(&fetch), 32 + 2 * 16);
    nodes[1].heads = 3;
    nodes[1].count = 1;
    assert_int_equal(kv_fetch_pass(&fetch), 16 + 2 * 32);
    assert_int_equal(nodes[1].opened, 1);
}

/* More positions than a context has, and parts of the steps in which they are transferred. */
static void what_no_node_can_have_is_not_asked_for(void **state)
{
    static const uint32_t wrong[] = {CTX + 16, UINT32_MAX, UINT32_MAX / 16 * 16, 47};

    (void)state;
    nodes[0].count = nodes[2].count = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nodes[1].of[0].positions = wrong[i];
        assert_int_equal(kv_fetch_pass(&fetch), 0);
    }
    nodes[1].of[0].request = 0;
    nodes[1].of[0].positions = 48;
    assert_int_equal(kv_fetch_pass(&fetch), 0);
    assert_int_equal(nodes[1].heads_asked, 0);
    nodes[1].of[0].request = 5;
    nodes[1].of[0].positions = CTX;
    assert_int_equal(kv_fetch_pass(&fetch), 3 * CTX);
}

static void a_node_that_refuses_is_asked_again_and_one_that_is_silent_or_away_is_not(void **state)
{
    (void)state;
    nodes[0].is_away = true;
    nodes[1].is_silent = true;
    nodes[2].refuses = true;
    assert_int_equal(kv_fetch_pass(&fetch), 0);
    assert_in_range(now_ns, 2000000000, 2100000000);
    nodes[0].is_away = nodes[1].is_silent = nodes[2].refuses = false;
    assert_int_equal(nodes[1].closed, 1);
    assert_int_equal(kv_fetch_pass(&fetch), 2 * 16);
    assert_int_equal(nodes[0].opened, 0);
    assert_int_equal(nodes[1].opened, 1);
    assert_int_equal(fetched(1), 0);
    assert_int_equal(fetched(2), 16);
}

/* An epoch may be prepared for minutes, while many requests come and go. */
static void of_requests_that_have_ended_nothing_is_kept_when_others_run(void **state)
{
    (void)state;
    nodes[0].count = nodes[2].count = 0;
    for (uint64_t request = 1; request < 2 * SAVED_KV_REQUESTS_MAX; request++) {
        nodes[1].of[0].request = request;
        assert_int_equal(kv_fetch_pass(&fetch), 3 * 48);
        assert_int_equal(kv_fetch_pass(&fetch), 0); /* the one before stays, as long as there is room */
        assert_int_equal(fetch.saved_kv.request_count, request % SLOTS == 0 ? SLOTS : 1);
        assert_int_equal(fetch.saved_kv.count, 3 * fetch.saved_kv.request_count);
    }
    nodes[1].count = 0; /* it goes to the next epoch, in which the last request goes on */
    assert_int_equal(kv_fetch_pass(&fetch), 0);
    assert_int_equal(saved_kv_positions(&fetch.saved_kv, 2 * SAVED_KV_REQUESTS_MAX - 1, 1, 3), 48);
    nodes[0].count = nodes[1].count = 1; /* one more request runs than there should be */
    nodes[0].of[0].request = 1000;
    nodes[1].count = 2;
    nodes[1].of[0].request = 1001;
    nodes[1].of[1].request = 1002;
    nodes[1].of[1].positions = 48;
    assert_int_equal(kv_fetch_pass(&fetch), 32 + 2 * 3 * 48);
    assert_int_equal(fetch.saved_kv.request_count, 3);
}

static void a_fetch_that_is_not_wanted_any_more_asks_nobody(void **state)
{
    (void)state;
    atomic_store(&is_stopping, true);
    assert_int_equal(kv_fetch_pass(&fetch), 0);
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(nodes[i].opened, 0);
}

static void without_a_head_that_is_lacking_or_a_node_to_ask_it_has_no_use(void **state)
{
    (void)state;
    fetch.own_count = HEADS;
    assert_false(kv_fetch_has_use(&fetch));
    fetch.own_count = HEADS - 1;
    assert_true(kv_fetch_has_use(&fetch));
    fetch.source_count = 0;
    assert_false(kv_fetch_has_use(&fetch));
    fetch.source_count = NODES;
}

#define FETCH_TEST(test) cmocka_unit_test_setup_teardown(test, open_fetch, close_fetch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(each_head_comes_from_the_node_that_has_most_of_it),
        FETCH_TEST(the_next_pass_fetches_only_what_is_new),
        FETCH_TEST(a_session_is_kept_only_to_who_has_heads_that_are_lacking),
        FETCH_TEST(who_lists_no_heads_for_a_moment_is_asked_again),
        FETCH_TEST(what_no_node_can_have_is_not_asked_for),
        FETCH_TEST(a_node_that_refuses_is_asked_again_and_one_that_is_silent_or_away_is_not),
        FETCH_TEST(of_requests_that_have_ended_nothing_is_kept_when_others_run),
        FETCH_TEST(a_fetch_that_is_not_wanted_any_more_asks_nobody),
        FETCH_TEST(without_a_head_that_is_lacking_or_a_node_to_ask_it_has_no_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
