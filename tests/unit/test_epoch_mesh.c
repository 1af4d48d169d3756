/* Two nodes in an epoch, with their own sockets, keys and threads, in one process: they compute what one does, and count what they
 * refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libmesh/core/core.h"
#include "node/epoch/epoch_run.h"
#include "node/epoch/epoch_run_mesh.h"
#include "simquestion.h"

enum { WAIT_MS_MAX = 20000, PREDICT = 20, EPOCH = 7 };

static const struct mesh_addr loopback = {.ip = {[10] = 255, [11] = 255, [12] = 127, [15] = 1}};

struct node {
    struct epoch_run_config config;
    struct mesh_key key;
    struct eventcount *wakeup;
    struct epoch_run run;
    struct mesh_cluster_member member[2]; /* as it knows them */
    uint8_t id[MESH_EPOCH_ID_BYTES];      /* of the epoch */
};

static struct node node[2]; /* too large for the stack */

struct answer {
    uint32_t count;
    uint32_t token[PREDICT];
    uint64_t digest[PREDICT];
};

static void open_one(struct node *n)
{
    const struct simquestion_model *model = simquestion_model(0);
    struct fail fail;

    memset(n, 0, sizeof *n);
    n->key = (struct mesh_key){.bytes = {1, 2, 3}};
    n->config = (struct epoch_run_config){.model = model->model,
                                          .tokenizer = model->tokenizer,
                                          .kernel = kernel_choose(NULL),
                                          .key = &n->key,
                                          .cluster = "harbour",
                                          .threads = 1,
                                          .batch = 8,
                                          .slots = 2,
                                          .ctx = 200,
                                          .kv_type = KV_Q8_0};
    n->wakeup = eventcount_open(&fail);
    assert_non_null(n->wakeup);
    assert_int_equal(mesh_udp_open(&n->config.udp, loopback, NULL), 0);
}

static int open_nodes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        open_one(&node[i]);
    for (unsigned i = 0; i < 2; i++) {
        memset(node[i].id, 5, sizeof node[i].id);
        for (uint8_t r = 0; r < 2; r++)
            node[i].member[r] =
                (struct mesh_cluster_member){.incarnation = {1, r}, .addr = mesh_udp_local(node[r].config.udp), .speed = 1000};
    }
    return 0;
}

static int close_nodes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        epoch_run_stop(&node[i].run);
        epoch_run_release(&node[i].run);
        mesh_udp_close(node[i].config.udp);
        eventcount_close(node[i].wakeup);
    }
    return 0;
}

static void begin(unsigned i, uint16_t count)
{
    struct node *n = &node[i];
    const struct mesh_cluster_event epoch = {.number = EPOCH, .members = n->member, .member_count = count, .own_rank = (int16_t)i};
    struct saved_kv none = {0};
    struct fail fail = {0};

    if (epoch_run_open(&n->run, &n->config, &epoch, n->wakeup, NULL, &fail) < 0 || epoch_run_start(&n->run, n->id, &none, &fail) < 0)
        fail_msg("%s", fail.text);
}

static void secure(enum mesh_security security)
{
    for (unsigned i = 0; i < 2; i++)
        node[i].config.security = security;
}

static void ask(uint64_t id)
{
    static const uint32_t prompt[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const struct request request = {.id = id,
                                    .prompt = prompt,
                                    .prompt_count = sizeof prompt / sizeof *prompt,
                                    .predict = PREDICT,
                                    .sampling = {.top_p = 1, .repeat_penalty = 1},
                                    .ignore_end = true,
                                    .want_digest = true};

    assert_true(engine_submit(node[0].run.engine, &request));
    worker_pool_wake(&node[0].run.workers);
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void take_answer(struct answer *answer)
{
    struct epoch_run_result result = {0};

    memset(answer, 0, sizeof *answer);
    for (unsigned i = 0; i < WAIT_MS_MAX && !result.is_done; i++) {
        while (!result.is_done && epoch_run_next_result(&node[0].run, &result)) {
            if (result.is_done)
                break;
            assert_true(answer->count < PREDICT);
            answer->digest[answer->count] = result.token.digest;
            answer->token[answer->count++] = result.token.id;
        }
        if (!result.is_done)
            rest();
    }
    assert_true(result.is_done);
    assert_int_equal(result.reason, ENGINE_DONE_LENGTH);
}

static struct epoch_run_traffic traffic_of(unsigned i)
{
    struct epoch_run_traffic traffic;

    epoch_run_traffic(&node[i].run, &traffic);
    return traffic;
}

static uint64_t refused_of(unsigned i, enum mesh_seal_refusal why)
{
    uint64_t refused[MESH_SEAL_REFUSALS] = {0}, replayed = 0;

    epoch_run_refused(&node[i].run, refused, &replayed);
    return refused[why];
}

/* ---- what is computed ---- */

static void answer_alone(struct answer *answer)
{
    begin(0, 1);
    ask(9);
    take_answer(answer);
    epoch_run_stop(&node[0].run);
    epoch_run_release(&node[0].run);
}

static void expect_the_same_of_two(const struct answer *alone, const char *cipher)
{
    struct answer together;

    begin(0, 2);
    begin(1, 2);
    ask(9);
    take_answer(&together);
    assert_memory_equal(&together, alone, sizeof together);
    for (unsigned i = 0; i < 2; i++) {
        const struct epoch_run_traffic traffic = traffic_of(i);

        assert_true(epoch_run_is_loaded(&node[i].run));
        assert_true(traffic.datagrams_sent > PREDICT);
        assert_string_equal(traffic.cipher, cipher);
        assert_int_equal(traffic.peers_by_group, 0);
        assert_int_equal(traffic.sent_to_group, 0);
        for (int why = 0; why < MESH_SEAL_REFUSALS; why++)
            assert_int_equal(refused_of(i, (enum mesh_seal_refusal)why), 0);
    }
    assert_true(node[0].run.memory.weight_bytes > 0);
}

static void two_nodes_without_a_key_compute_what_one_does(void **state)
{
    struct answer alone;

    (void)state;
    answer_alone(&alone);
    expect_the_same_of_two(&alone, "none");
}

static void two_nodes_with_a_key_compute_what_one_does(void **state)
{
    struct answer alone;

    (void)state;
    if (!mesh_seal_is_available())
        skip();
    answer_alone(&alone);
    secure(MESH_SECURITY_SEAL);
    expect_the_same_of_two(&alone, mesh_aes_is_fast() ? "aes-256-gcm" : "chacha20-poly1305");
}

static void one_that_has_no_aes_is_answered_without(void **state)
{
    struct answer alone;

    (void)state;
    if (!mesh_seal_is_available())
        skip();
    answer_alone(&alone);
    secure(MESH_SECURITY_AUTH);
    node[1].config.has_no_aes = true;
    expect_the_same_of_two(&alone, "chacha20-poly1305");
}

/* The endpoint is that of this process, and knows what this machine's interface carries. */
static void an_endpoint_is_its_members(void **state)
{
    (void)state;
    begin(0, 2);
    begin(1, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct mesh *mesh = node[i].run.mesh;
        void *memory = node[i].run.mesh_memory;
        struct fail fail;

        assert_memory_equal(mesh->config.incarnation, node[i].member[i].incarnation, sizeof mesh->config.incarnation);
        assert_true(mesh->peers[1 - i].path_bytes > MESH_DATAGRAM_BYTES_MIN);
        assert_int_equal(epoch_run_mesh_allocate(&node[i].run, &fail), 0);
        assert_ptr_equal(node[i].run.mesh_memory, memory); /* it is allocated once */
    }
}

static void figures_of_the_endpoint_are_those_of_the_epoch(void **state)
{
    struct epoch_run_traffic traffic;

    (void)state;
    begin(0, 2);
    epoch_run_stop_workers(&node[0].run);
    node[0].run.mesh->peers[1].stats = (struct mesh_peer_stats){
        .datagrams_sent = 100, .shared_sent = 40, .lost = 3, .probes_lost = 2, .naks_sent = 5, .resent = 7, .duplicates_sent = 11};
    traffic = traffic_of(0);
    assert_int_equal(traffic.datagrams_sent, 60); /* one to a group is one */
    assert_int_equal(traffic.lost, 3);
    assert_int_equal(traffic.probes_lost, 2);
    assert_int_equal(traffic.naks, 5);
    assert_int_equal(traffic.resent, 7);
    assert_int_equal(traffic.duplicates_sent, 11);
}

/* A later epoch may use the socket by the time that this one is freed, which halts it once more. */
static void what_is_halted_leaves_the_socket_alone(void **state)
{
    (void)state;
    begin(0, 2);
    assert_true(node[0].run.has_sealer);
    for (unsigned i = 0; i < 2; i++) {
        epoch_run_halt(&node[0].run);
        assert_false(node[0].run.has_sealer);
        assert_true(node[0].run.has_to_save);
        assert_false(epoch_run_is_loaded(&node[0].run));
    }
}

static void who_falls_silent_while_another_waits_is_named(void **state)
{
    struct answer answer;
    uint64_t silent = 0;

    (void)state;
    begin(0, 2);
    begin(1, 2);
    ask(9);
    take_answer(&answer);
    assert_int_equal(epoch_run_silent_ranks(&node[0].run), 0); /* nothing is due */
    epoch_run_halt(&node[1].run);
    ask(10);
    for (unsigned i = 0; i < WAIT_MS_MAX && silent == 0; i++, rest())
        silent = epoch_run_silent_ranks(&node[0].run);
    assert_int_equal(silent, 1 << 1);
}

/* ---- what is refused ---- */

/* The other one's datagrams come, and none is opened. */
static void expect_refused(enum mesh_seal_refusal why)
{
    struct epoch_run_result result;

    begin(0, 2);
    begin(1, 2);
    ask(9);
    for (unsigned i = 0; i < WAIT_MS_MAX && (refused_of(0, why) == 0 || refused_of(1, why) == 0); i++)
        rest();
    assert_true(refused_of(0, why) > 0);
    assert_true(refused_of(1, why) > 0);
    assert_false(epoch_run_next_result(&node[0].run, &result));
}

static void who_has_another_key_is_refused(void **state)
{
    (void)state;
    if (!mesh_seal_is_available())
        skip();
    secure(MESH_SECURITY_SEAL);
    node[1].key.bytes[0]++;
    expect_refused(MESH_SEAL_TAG);
}

static void who_is_in_an_epoch_of_the_same_number_is_refused(void **state)
{
    (void)state;
    if (!mesh_seal_is_available())
        skip();
    secure(MESH_SECURITY_SEAL);
    node[1].id[0]++;
    expect_refused(MESH_SEAL_TAG);
}

/* Another process at the same address. */
static void who_knows_another_member_is_refused(void **state)
{
    (void)state;
    if (!mesh_seal_is_available())
        skip();
    secure(MESH_SECURITY_SEAL);
    node[0].member[1].incarnation[2]++;
    node[1].member[0].incarnation[2]++;
    expect_refused(MESH_SEAL_TAG);
}

static void who_seals_where_others_do_not_is_refused(void **state)
{
    (void)state;
    if (!mesh_seal_is_available())
        skip();
    secure(MESH_SECURITY_SEAL);
    node[1].config.security = MESH_SECURITY_AUTH;
    expect_refused(MESH_SEAL_MODE);
}

static void what_is_no_datagram_of_a_mesh_is_counted(void **state)
{
    const struct mesh_addr to = mesh_udp_local(node[0].config.udp);
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(to.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int junk;

    (void)state;
    if (!mesh_seal_is_available())
        skip();
    secure(MESH_SECURITY_SEAL);
    begin(0, 2);
    begin(1, 2);
    junk = socket(AF_INET, SOCK_DGRAM, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sendto(junk, "junk", 4, 0, (const struct sockaddr *)&at, sizeof at), 4);
    close(junk);
    for (unsigned i = 0; i < WAIT_MS_MAX && refused_of(0, MESH_SEAL_FOREIGN) < 3; i++)
        rest();
    assert_int_equal(refused_of(0, MESH_SEAL_FOREIGN), 3);
}

/* ---- one ---- */

static void of_a_node_alone_there_is_nothing_to_tell(void **state)
{
    uint64_t refused[MESH_SEAL_REFUSALS] = {1, 2, 3}, replayed = 4;

    (void)state;
    secure(MESH_SECURITY_SEAL);
    assert_int_equal(epoch_run_silent_ranks(&node[0].run), 0); /* in no epoch yet */
    begin(0, 1);
    assert_null(node[0].run.mesh);
    assert_null(traffic_of(0).cipher);
    assert_int_equal(traffic_of(0).datagrams_sent, 0);
    epoch_run_refused(&node[0].run, refused, &replayed);
    assert_int_equal(refused[1], 2);
    assert_int_equal(replayed, 4);
    assert_int_equal(epoch_run_silent_ranks(&node[0].run), 0);
    assert_int_equal(epoch_run_starved_ranks(&node[0].run), 0);
    epoch_run_read(&node[0].run);
}

/* Its engine may not have a port yet. */
static void before_an_epoch_has_begun_nothing_is_counted(void **state)
{
    const struct mesh_cluster_event epoch = {.number = EPOCH, .members = node[0].member, .member_count = 2};
    uint64_t refused[MESH_SEAL_REFUSALS] = {0}, replayed = 0;
    struct fail fail;

    (void)state;
    assert_int_equal(epoch_run_open(&node[0].run, &node[0].config, &epoch, node[0].wakeup, NULL, &fail), 0);
    assert_false(epoch_run_is_loaded(&node[0].run));
    node[0].run.mesh = (struct mesh *)&node[0]; /* only compared with NULL */
    epoch_run_refused(&node[0].run, refused, &replayed);
    epoch_run_read(&node[0].run);
    assert_int_equal(traffic_of(0).datagrams_sent, 0);
    assert_int_equal(epoch_run_silent_ranks(&node[0].run) + epoch_run_starved_ranks(&node[0].run), 0);
    node[0].run.mesh = NULL;
}

#define NODES_TEST(test) cmocka_unit_test_setup_teardown(test, open_nodes, close_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODES_TEST(two_nodes_without_a_key_compute_what_one_does),    NODES_TEST(two_nodes_with_a_key_compute_what_one_does),
        NODES_TEST(one_that_has_no_aes_is_answered_without),          NODES_TEST(an_endpoint_is_its_members),
        NODES_TEST(figures_of_the_endpoint_are_those_of_the_epoch),   NODES_TEST(what_is_halted_leaves_the_socket_alone),
        NODES_TEST(who_falls_silent_while_another_waits_is_named),    NODES_TEST(who_has_another_key_is_refused),
        NODES_TEST(who_is_in_an_epoch_of_the_same_number_is_refused), NODES_TEST(who_knows_another_member_is_refused),
        NODES_TEST(who_seals_where_others_do_not_is_refused),         NODES_TEST(what_is_no_datagram_of_a_mesh_is_counted),
        NODES_TEST(of_a_node_alone_there_is_nothing_to_tell),         NODES_TEST(before_an_epoch_has_begun_nothing_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
