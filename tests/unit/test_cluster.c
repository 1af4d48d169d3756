#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/engine/engine_state.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000u)

static const struct synth_options small = {
    .dim = 256, .hidden = 512, .layers = 2, .heads = 8, .kv_heads = 2, .vocab = 400, .context = 128, .type = TYPE_Q8_0, .seed = 1};

static const struct mesh_sim_link gigabit = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};

static uint32_t prompt[] = {1, 300, 17, 311, 263, 399, 88, 301, 45, 122, 9, 270, 333};

static const struct request twelve_tokens = {
    .id = 1,
    .prompt = prompt,
    .prompt_count = sizeof prompt / sizeof *prompt,
    .predict = 12,
    .sampling = {.temperature = 0.9f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f, .seed = 7},
    .ignore_end = true,
    .want_digest = true,
};

static struct simcluster_config config_of(const struct model *model, uint16_t ranks)
{
    return (struct simcluster_config){
        .model = model, .rank_count = ranks, .batch = 8, .ctx = 64, .seed = ranks, .link = gigabit, .unit_ns = 3000};
}

static struct simcluster_result run(const struct simcluster_config *config, const struct request *request)
{
    static struct simcluster cluster;

    if (simcluster_open(&cluster, config) < 0)
        fail_msg("%s", cluster.reason);
    simcluster_submit(&cluster, request);
    if (!simcluster_run(&cluster, SECONDS(60)))
        fail_msg("%u ranks, seed %llu: not done after 60 virtual seconds", config->rank_count, (unsigned long long)config->seed);
    assert_true(simcluster_agrees(&cluster));
    struct simcluster_result result = *simcluster_result(&cluster, 0, request->id);
    assert_int_equal(result.reason, ENGINE_DONE_LENGTH);
    simcluster_close(&cluster);
    return result;
}

static void assert_same(const struct simcluster_result *a, const struct simcluster_result *b)
{
    assert_int_equal(a->token_count, b->token_count);
    assert_memory_equal(a->token, b->token, a->token_count * sizeof *a->token);
    assert_true(a->digest == b->digest);
}

static void any_number_of_nodes_gives_the_same_bits(void **state)
{
    struct simmodel synth;

    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(synth.model, 1);
    struct simcluster_result one = run(&config, &twelve_tokens);
    assert_int_equal(one.token_count, 12);
    for (uint16_t ranks = 2; ranks <= 9; ranks++) {
        config = config_of(synth.model, ranks);
        struct simcluster_result many = run(&config, &twelve_tokens);
        assert_same(&one, &many);
    }
    simmodel_close(&synth);
}

static void every_type_batch_and_share_gives_the_bits_of_one_node(void **state)
{
    static const enum tensor_type types[] = {TYPE_F32, TYPE_F16, TYPE_Q4_0, TYPE_Q4_K, TYPE_Q6_K};
    static const uint32_t shares[][3] = {{1, 1, 1}, {3, 2, 1}, {0, 1, 2}, {1, 0, 0}};

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct synth_options options = small;
        struct simmodel synth;

        options.type = types[t];
        simmodel_open(&synth, &options);
        struct simcluster_config config = config_of(synth.model, 1);
        config.batch = 64;
        struct simcluster_result one = run(&config, &twelve_tokens);
        for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
            config = config_of(synth.model, 3);
            config.batch = (uint16_t)(1 + 4 * s);
            memcpy(config.share, shares[s], sizeof shares[s]);
            struct simcluster_result three = run(&config, &twelve_tokens);
            assert_same(&one, &three);
        }
        simmodel_close(&synth);
    }
}

static void baselines_give_the_bits_of_the_mesh(void **state)
{
    static const uint32_t shares[][5] = {{1, 1, 1, 1, 1}, {0, 2, 1, 0, 1}, {3, 0, 0, 1, 0}, {1, 0, 0, 0, 0}, {0, 0, 0, 0, 1}};
    struct simmodel synth;

    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(synth.model, 1);
    struct simcluster_result one = run(&config, &twelve_tokens);
    for (uint32_t i = 0; i < 3 * sizeof shares / sizeof *shares; i++) {
        config = config_of(synth.model, 5);
        config.is_star = i % 3 != 0;
        config.is_whole = i % 3 != 1;
        memcpy(config.share, shares[i / 3], sizeof shares[i / 3]);
        if (i % 2 == 0) {
            config.link.loss_ppm = 20000;
            config.link.reorder_ppm = 50000;
            config.link.reorder_ns = 300000;
        }
        struct simcluster_result baseline = run(&config, &twelve_tokens);
        assert_same(&one, &baseline);
    }
    simmodel_close(&synth);
}

/* In a star only rank 0 sends tiles to more than one rank, and results of the other ranks cross its links twice. */
static void a_star_sends_results_through_rank_0(void **state)
{
    static struct simcluster cluster;
    struct simmodel synth;

    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(synth.model, 4);
    config.is_star = true;
    assert_int_equal(simcluster_open(&cluster, &config), 0);
    simcluster_submit(&cluster, &twelve_tokens);
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    for (uint16_t from = 0; from < 4; from++) {
        for (uint16_t to = 0; to < 4; to++) {
            struct mesh_peer_stats stats;

            if (from == to)
                continue;
            mesh_get_peer_stats(cluster.node[from].mesh, to, &stats);
            assert_int_equal(stats.tiles_sent > 0, from == 0 || to == 0);
        }
    }
    simcluster_close(&cluster);
    simmodel_close(&synth);
}

static void a_bad_network_changes_no_bit(void **state)
{
    struct simmodel synth;

    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(synth.model, 1);
    struct simcluster_result one = run(&config, &twelve_tokens);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        config = config_of(synth.model, (uint16_t)(2 + seed % 3));
        config.seed = seed;
        config.link.loss_ppm = 50000;
        config.link.duplicate_ppm = 20000;
        config.link.reorder_ppm = 50000;
        config.link.reorder_ns = 300000;
        struct simcluster_result lossy = run(&config, &twelve_tokens);
        assert_same(&one, &lossy);
    }
    simmodel_close(&synth);
}

/* Explorer's seed 11031132615: the time of a repair was taken for the usual one, so waiting times grew from repair to repair, to over a
 * second. */
static void one_lost_datagram_in_five_between_nine_nodes_costs_no_more_later_than_at_first(void **state)
{
    static struct simcluster cluster;
    struct simmodel synth;

    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(synth.model, 9);
    struct request request = twelve_tokens;
    config.link = (struct mesh_sim_link){.rate_bits_per_s = UINT64_C(10000000000), .delay_ns = 300000, .loss_ppm = 200000};
    config.batch = 1;
    request.predict = 45;
    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    simcluster_submit(&cluster, &request);
    assert_true(simcluster_run(&cluster, SECONDS(30)));
    assert_true(simcluster_agrees(&cluster));
    simcluster_close(&cluster);
    simmodel_close(&synth);
}

static void the_same_seed_is_the_same_run(void **state)
{
    static struct simcluster cluster;
    struct simmodel synth;
    uint64_t when[2];
    uint32_t hash[2];

    (void)state;
    simmodel_open(&synth, &small);
    for (int i = 0; i < 2; i++) {
        struct simcluster_config config = config_of(synth.model, 3);

        config.link.loss_ppm = 30000;
        assert_int_equal(simcluster_open(&cluster, &config), 0);
        simcluster_submit(&cluster, &twelve_tokens);
        assert_true(simcluster_run(&cluster, SECONDS(60)));
        when[i] = mesh_sim_now_ns(cluster.sim);
        hash[i] = mesh_state_hash(cluster.node[1].mesh);
        simcluster_close(&cluster);
    }
    assert_true(when[0] == when[1]);
    assert_int_equal(hash[0], hash[1]);
    simmodel_close(&synth);
}

/* Rows of the first layer's ffn_down become infinite: the request ends with the same message on every node. */
static void a_value_that_is_not_finite_is_named_alike_by_all_nodes(void **state)
{
    static struct simcluster cluster;
    struct synth_options options = small;
    struct simmodel synth;

    (void)state;
    options.type = TYPE_F32;
    simmodel_open(&synth, &options);
    for (uint16_t ranks = 1; ranks <= 3; ranks += 2) {
        struct simcluster_config config = config_of(synth.model, ranks);
        /* The file is mapped read-only, so a copy of the tensor takes its place. */
        struct gguf_tensor down = *synth.model->layer[1].down;
        float *data = malloc(down.data_size);

        assert_non_null(data);
        memcpy(data, down.data, down.data_size);
        for (uint32_t i = 0; i < options.hidden; i++)
            data[(size_t)100 * options.hidden + i] = i % 2 == 0 ? 3e38f : -3e38f;
        down.data = (const uint8_t *)data;
        down.gguf = NULL; /* not in a file */
        const struct gguf_tensor *before = synth.model->layer[1].down;
        synth.model->layer[1].down = &down;
        if (simcluster_open(&cluster, &config) < 0)
            fail_msg("%s", cluster.reason);
        simcluster_submit(&cluster, &twelve_tokens);
        assert_true(simcluster_run(&cluster, SECONDS(60)));
        for (uint16_t r = 0; r < ranks; r++) {
            const struct simcluster_result *result = simcluster_result(&cluster, r, twelve_tokens.id);

            assert_int_equal(result->reason, ENGINE_DONE_ERROR);
            assert_int_equal(result->fault.layer, 1);
            assert_int_equal(result->fault.phase, 3);
            assert_int_equal(result->fault.row, 100);
        }
        simcluster_close(&cluster);
        synth.model->layer[1].down = before;
        free(data);
    }
    simmodel_close(&synth);
}

/* More candidates than 16 bits can count, and more small blocks of them than a gather has. */
static void half_a_million_candidates_are_gathered(void **state)
{
    const struct synth_options wide = {
        .dim = 32, .hidden = 32, .layers = 1, .heads = 1, .kv_heads = 1, .vocab = 524288, .context = 32, .type = TYPE_Q8_0, .seed = 1};
    struct request request = twelve_tokens;
    struct simmodel synth;

    (void)state;
    simmodel_open(&synth, &wide);
    request.predict = 2;
    request.sampling = (struct sampling){.temperature = 3.0f, .top_p = 0.99f, .repeat_penalty = 1, .seed = 7};
    struct simcluster_config config = config_of(synth.model, 1);
    config.ctx = 32;
    struct simcluster_result one = run(&config, &request);
    for (uint16_t ranks = 2; ranks <= 3; ranks++) {
        config.rank_count = ranks;
        struct simcluster_result many = run(&config, &request);
        assert_same(&one, &many);
    }
    request.sampling.top_k = 40;
    config.rank_count = 2;
    run(&config, &request);
    simmodel_close(&synth);
}

/* Rank 1 numbers its rows from beyond the end of the vocabulary. */
static void candidates_that_are_no_tokens_of_their_rank_end_the_request(void **state)
{
    static struct simcluster cluster;
    struct simmodel synth;
    struct rowmap damaged;

    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(synth.model, 2);
    assert_int_equal(simcluster_open(&cluster, &config), 0);
    damaged = cluster.map;
    damaged.vocab[1] = small.vocab + 5;
    cluster.node[1].engine->config.map = &damaged;
    simcluster_submit(&cluster, &twelve_tokens);
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    for (uint16_t rank = 0; rank < 2; rank++) {
        const struct simcluster_result *result = simcluster_result(&cluster, rank, twelve_tokens.id);

        assert_int_equal(result->reason, ENGINE_DONE_ERROR);
        assert_int_equal(result->fault.phase, ENGINE_FAULT_CANDIDATES);
        assert_int_equal(result->fault.row, 1);
    }
    simcluster_close(&cluster);
    simmodel_close(&synth);
}

/* What rank 0 says of a request of one token, for which each rank sends its two best, when rank 1 numbers its rows from here. best: these
 * two of rank 1's rows, from 0; begin: the first of them. */
static struct simcluster_result candidates_numbered_from(const struct model *model, uint32_t first, uint32_t best[2], uint32_t *begin)
{
    static struct simcluster cluster;
    const struct simcluster_config config = config_of(model, 2);
    struct request request = twelve_tokens;

    request.predict = 1;
    request.sampling = (struct sampling){.temperature = 1, .top_k = 2, .top_p = 1, .repeat_penalty = 1};
    assert_int_equal(simcluster_open(&cluster, &config), 0);
    struct rowmap map = cluster.map;
    *begin = map.vocab[1];
    map.vocab[1] = first > 0 ? first : map.vocab[1];
    cluster.node[1].engine->config.map = &map;
    float *logits = cluster.node[1].logits = calloc(2 * small.vocab, sizeof *logits); /* closing frees it */
    assert_non_null(logits);
    simcluster_submit(&cluster, &request);
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    for (unsigned k = 0; k < 2; k++) {
        best[k] = k == 1 && best[0] == 0;
        for (uint32_t i = 0; map.vocab[1] + i < map.vocab[2]; i++)
            if ((k == 0 || i != best[0]) && logits[map.vocab[1] + i] > logits[map.vocab[1] + best[k]])
                best[k] = i;
    }
    struct simcluster_result result = *simcluster_result(&cluster, 0, request.id);
    simcluster_close(&cluster);
    return result;
}

/* Each of the two candidates in turn is the first id behind the rows of rank 1, or the last one before them. */
static void candidates_next_to_the_rows_of_their_rank_end_the_request(void **state)
{
    const uint32_t end = small.vocab;
    struct simmodel synth;
    uint32_t best[2], other[2], begin;

    (void)state;
    simmodel_open(&synth, &small);
    assert_int_equal(candidates_numbered_from(synth.model, 0, best, &begin).reason, ENGINE_DONE_LENGTH);
    const uint32_t highest = best[0] > best[1] ? best[0] : best[1], lowest = best[0] + best[1] - highest;
    assert_in_range(lowest, 1, end - begin - 1);
    const uint32_t wrong[] = {end - highest, begin - 1 - lowest, end - lowest, begin - 1 - highest};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct simcluster_result result = candidates_numbered_from(synth.model, wrong[i], other, &begin);

        assert_int_equal(result.reason, ENGINE_DONE_ERROR);
        assert_int_equal(result.fault.phase, ENGINE_FAULT_CANDIDATES);
        assert_int_equal(result.fault.row, 1);
    }
    assert_int_equal(candidates_numbered_from(synth.model, end - 1 - highest, other, &begin).reason, ENGINE_DONE_LENGTH);
    assert_int_equal(candidates_numbered_from(synth.model, begin - lowest, other, &begin).reason, ENGINE_DONE_LENGTH);
    simmodel_close(&synth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_nodes_gives_the_same_bits),
        cmocka_unit_test(every_type_batch_and_share_gives_the_bits_of_one_node),
        cmocka_unit_test(baselines_give_the_bits_of_the_mesh),
        cmocka_unit_test(a_star_sends_results_through_rank_0),
        cmocka_unit_test(a_bad_network_changes_no_bit),
        cmocka_unit_test(one_lost_datagram_in_five_between_nine_nodes_costs_no_more_later_than_at_first),
        cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(a_value_that_is_not_finite_is_named_alike_by_all_nodes),
        cmocka_unit_test(half_a_million_candidates_are_gathered),
        cmocka_unit_test(candidates_that_are_no_tokens_of_their_rank_end_the_request),
        cmocka_unit_test(candidates_next_to_the_rows_of_their_rank_end_the_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
