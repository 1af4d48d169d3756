/* Keys and values kept from one epoch to the next: what every rank still has is not computed again, and no bit changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "node/engine/steplog.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"
#include "tests/unit/simsaved.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000u)

enum { REQUESTS = 4, CTX = 96, MS = 1000000, RANKS_MAX = 4 };

static const struct synth_options small = {
    .dim = 96, .hidden = 288, .layers = 2, .heads = 6, .kv_heads = 3, .vocab = 300, .context = 128, .type = TYPE_Q4_0, .seed = 1};

static const struct mesh_sim_link gigabit = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};

static struct simmodel synth;
static struct simcluster cluster;
static struct simrequest requests[REQUESTS];

/* The state passed from one cluster to the next. */
static struct simsaved saved;
static struct saved_kv saved_kv[RANKS_MAX];
static uint64_t digest_before[REQUESTS]; /* of the saved tokens */
static uint32_t positions_before;        /* computed for them on rank 0 */

static struct simcluster_config config_of(uint16_t ranks, const uint32_t *share)
{
    struct simcluster_config config = {.model = synth.model,
                                       .rank_count = ranks,
                                       .batch = 16,
                                       .slots = REQUESTS,
                                       .ctx = CTX,
                                       .seed = ranks,
                                       .link = gigabit,
                                       .unit_ns = 3000,
                                       .saved_kv = saved_kv};

    memcpy(config.share, share, ranks * sizeof *share);
    return config;
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = {.model = synth.model, .ctx = CTX};
    for (uint64_t i = 0; i < REQUESTS; i++) {
        simrequest_draw(&requests[i], 700 + i, i + 1, small.vocab, 20, 30);
        requests[i].request.predict += 20;
        simrequest_run_alone(&requests[i], &config);
    }
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&synth);
    return 0;
}

static void open_cluster(const struct simcluster_config *config)
{
    if (simcluster_open(&cluster, config) < 0)
        fail_msg("%s", cluster.reason);
}

/* Runs all requests for a while, then saves the state of every node. */
static void run_until(uint16_t ranks, const uint32_t *share, uint64_t until_ns)
{
    struct simcluster_config config = config_of(ranks, share);

    open_cluster(&config);
    for (uint64_t i = 0; i < REQUESTS; i++)
        simcluster_submit_at(&cluster, 0, (uint16_t)(i % ranks), &requests[i].request);
    simcluster_run(&cluster, until_ns);
    saved = (struct simsaved){0};
    for (uint16_t rank = 0; rank < ranks; rank++) {
        struct simsaved own;

        assert_int_equal(simsaved_take(&own, cluster.node[rank].engine), 0);
        for (size_t i = 0; i < own.count; i++)
            assert_int_equal(simsaved_add(&saved, &own.request[i]), 0);
        simsaved_release(&own);
        engine_save_kv(cluster.node[rank].engine, &saved_kv[rank]);
    }
    positions_before = 0;
    for (size_t i = 0; i < saved.count; i++) {
        const struct request *request = &saved.request[i];

        for (uint16_t rank = 0; rank < ranks; rank++)
            if (simcluster_result(&cluster, rank, request->id)->token_count == request->generated_before)
                digest_before[request->id - 1] = simcluster_result(&cluster, rank, request->id)->digest;
    }
    for (uint32_t i = 0; i < saved_kv[0].request_count; i++)
        positions_before += saved_kv[0].request[i].positions;
    simcluster_close(&cluster);
}

/* Resumes the same requests until their end, with the same bits. Returns the number of positions computed again, on the node with the
 * most. */
static uint64_t go_on(uint16_t ranks, const uint32_t *share)
{
    struct simcluster_config config = config_of(ranks, share);
    uint64_t most = 0;

    open_cluster(&config);
    for (size_t i = 0; i < saved.count; i++)
        simcluster_submit_at(&cluster, 0, (uint16_t)(i % ranks), &saved.request[i]);
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    assert_true(simcluster_agrees(&cluster));
    for (size_t i = 0; i < saved.count; i++) {
        const struct simcluster_result *result = simcluster_result(&cluster, 0, saved.request[i].id);
        const struct simrequest *alone = &requests[saved.request[i].id - 1];

        assert_true(simrequest_is_as_alone(alone, result));
        assert_true(digest_before[alone->request.id - 1] + result->digest == alone->alone.digest);
    }
    for (uint16_t rank = 0; rank < ranks; rank++) {
        struct engine_figures figures;

        engine_figures(cluster.node[rank].engine, &figures);
        most = figures.recomputed > most ? figures.recomputed : most;
    }
    simcluster_close(&cluster);
    simsaved_release(&saved);
    for (uint16_t rank = 0; rank < RANKS_MAX; rank++)
        saved_kv_release(&saved_kv[rank]);
    return most;
}

/* ---- tests ---- */

static const uint32_t equal[RANKS_MAX] = {1, 1, 1, 1};

static void the_same_nodes_go_on_where_they_were(void **state)
{
    (void)state;
    for (uint16_t ranks = 1; ranks <= 4; ranks++) {
        for (uint64_t at_ms = 1; at_ms < 40; at_ms += 3) {
            run_until(ranks, equal, at_ms * MS);
            assert_true(go_on(ranks, equal) <= REQUESTS * STEPLOG_AHEAD);
        }
    }
}

static void who_had_no_heads_is_not_missed(void **state)
{
    static const uint32_t share[] = {1, 1, 0};

    (void)state;
    for (uint64_t at_ms = 2; at_ms < 40; at_ms += 4) {
        run_until(3, share, at_ms * MS);
        saved_kv_release(&saved_kv[2]);
        assert_true(go_on(2, share) <= REQUESTS * STEPLOG_AHEAD);
    }
}

static void who_comes_without_heads_costs_nothing(void **state)
{
    static const uint32_t share[] = {1, 1, 0};

    (void)state;
    run_until(2, share, 20 * MS);
    assert_true(go_on(3, share) <= REQUESTS * STEPLOG_AHEAD);
}

static void heads_that_are_lost_are_computed_again(void **state)
{
    uint64_t some = 0;

    (void)state;
    for (uint64_t at_ms = 2; at_ms < 40; at_ms += 4) {
        run_until(3, equal, at_ms * MS);
        some += positions_before;
        saved_kv_release(&saved_kv[1]);
        saved_kv[1] = saved_kv[2]; /* the third node is the second of the next epoch */
        saved_kv[2] = (struct saved_kv){.shape = saved_kv[1].shape};
        assert_true(go_on(2, equal) >= positions_before);
    }
    assert_true(some > 100);
}

/* The first positions of a head. */
static void copy_head(const struct saved_kv_head *from, struct saved_kv *to, uint32_t positions)
{
    const struct saved_kv_head *head = saved_kv_add(to, from->request, from->head, positions);
    const size_t k = saved_kv_k_bytes(&to->shape, positions), v = saved_kv_v_bytes(&to->shape, positions);
    const size_t all_k = saved_kv_k_bytes(&to->shape, from->positions), all_v = saved_kv_v_bytes(&to->shape, from->positions);

    assert_non_null(head);
    for (uint32_t layer = 0; layer < to->shape.layers; layer++) {
        memcpy(head->bytes + layer * (k + v), from->bytes + layer * (all_k + all_v), k);
        memcpy(head->bytes + layer * (k + v) + k, from->bytes + layer * (all_k + all_v) + all_k, v);
    }
}

/* Each head is on some node; some heads only up to a position drawn from the seed. */
static void any_position_that_all_have_is_where_they_go_on(void **state)
{
    static struct saved_kv all;
    uint64_t least = UINT64_MAX, most = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        const uint16_t ranks = (uint16_t)(1 + seed % 4), next = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 1, 0), 4));

        run_until(ranks, equal, (2 + mesh_draw_below(mesh_draw(seed, 2, 0), 30)) * MS);
        all = (struct saved_kv){.shape = saved_kv[0].shape};
        for (uint16_t rank = 0; rank < ranks; rank++)
            saved_kv_merge(&all, &saved_kv[rank]);
        for (uint16_t rank = 0; rank < next; rank++) {
            saved_kv[rank] = (struct saved_kv){.shape = all.shape};
            for (uint32_t i = 0; i < all.request_count; i++)
                saved_kv_note(&saved_kv[rank], all.request[i].id, all.request[i].positions);
            for (size_t i = 0; i < all.count; i++) {
                const uint32_t whole = all.head[i].positions;
                const bool is_whole = mesh_draw_below(mesh_draw(seed, 3, rank * 1000 + i), 4) > 0;

                copy_head(&all.head[i], &saved_kv[rank],
                          is_whole ? whole : (uint32_t)mesh_draw_below(mesh_draw(seed, 4, rank * 1000 + i), whole));
            }
        }
        saved_kv_release(&all);
        uint64_t again = go_on(next, equal);
        least = again < least ? again : least;
        most = again > most ? again : most;
    }
    assert_true(least <= 10 && most >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_nodes_go_on_where_they_were),           cmocka_unit_test(who_had_no_heads_is_not_missed),
        cmocka_unit_test(who_comes_without_heads_costs_nothing),          cmocka_unit_test(heads_that_are_lost_are_computed_again),
        cmocka_unit_test(any_position_that_all_have_is_where_they_go_on),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
