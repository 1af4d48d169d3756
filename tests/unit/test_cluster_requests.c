/* Several requests at once: each gets the same bits as alone, whatever other requests run, end, fail or are cancelled. */
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
#include "tests/unit/simrequest.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000u)

enum { REQUESTS = 8, CTX = 96, MS = 1000000 };

static const struct synth_options small = {
    .dim = 96, .hidden = 288, .layers = 2, .heads = 6, .kv_heads = 3, .vocab = 300, .context = 128, .type = TYPE_Q8_0, .seed = 1};

static const struct mesh_sim_link gigabit = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};

static struct simmodel synth;
static struct simcluster cluster;
static struct simrequest requests[REQUESTS];

static struct simcluster_config config_of(uint16_t ranks, uint16_t slots, uint16_t batch)
{
    return (struct simcluster_config){.model = synth.model,
                                      .rank_count = ranks,
                                      .batch = batch,
                                      .slots = slots,
                                      .ctx = CTX,
                                      .seed = ranks,
                                      .link = gigabit,
                                      .unit_ns = 3000};
}

static int open_model(void **state)
{
    const struct simcluster_config config = {.ctx = CTX};

    (void)state;
    simmodel_open(&synth, &small);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        struct simcluster_config alone = config;

        alone.model = synth.model;
        simrequest_draw(&requests[i], 100 + i, i + 1, small.vocab, 40, 30);
        simrequest_run_alone(&requests[i], &alone);
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

static void assert_as_alone(const struct simrequest *r)
{
    for (uint16_t rank = 0; rank < cluster.config.rank_count; rank++) {
        const struct simcluster_result *result = simcluster_result(&cluster, rank, r->request.id);

        if (!simrequest_is_as_alone(r, result))
            fail_msg("%u ranks, %u slots, batch %u: request %llu on rank %u: %u tokens, reason %d; alone %u tokens, reason %d",
                     cluster.config.rank_count, cluster.config.slots, cluster.config.batch, (unsigned long long)r->request.id, rank,
                     result->token_count, (int)result->reason, r->alone.token_count, (int)r->alone.reason);
    }
}

static void run_to_the_end(void)
{
    if (!simcluster_run(&cluster, SECONDS(60)))
        fail_msg("%u ranks, %u slots, batch %u: not done after 60 virtual seconds", cluster.config.rank_count, cluster.config.slots,
                 cluster.config.batch);
    assert_true(simcluster_agrees(&cluster));
}

/* All requests, spread over time and ranks. */
static void run_all(const struct simcluster_config *config, uint64_t apart_ns)
{
    open_cluster(config);
    for (uint64_t i = 0; i < REQUESTS; i++)
        simcluster_submit_at(&cluster, i * apart_ns, (uint16_t)(i % config->rank_count), &requests[i].request);
    run_to_the_end();
    for (uint64_t i = 0; i < REQUESTS; i++)
        assert_as_alone(&requests[i]);
    simcluster_close(&cluster);
}

/* ---- the same bits ---- */

static void requests_together_get_the_bits_that_they_get_alone(void **state)
{
    (void)state;
    for (uint16_t ranks = 1; ranks <= 5; ranks++) {
        struct simcluster_config config = config_of(ranks, REQUESTS, 64);

        run_all(&config, 0);
        run_all(&config, 3 * MS);
    }
}

static void any_batch_and_number_of_slots_gives_the_same_bits(void **state)
{
    static const uint16_t batches[] = {1, 2, 7, 33, 128}, slots[] = {1, 2, 5, 64};

    (void)state;
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        for (size_t s = 0; s < sizeof slots / sizeof *slots; s++) {
            struct simcluster_config config = config_of(2, slots[s], batches[b]);

            run_all(&config, MS);
        }
    }
}

static void every_kv_type_and_a_float_model_give_the_same_bits(void **state)
{
    static struct simrequest own[REQUESTS];
    static const enum tensor_type types[] = {TYPE_F32, TYPE_BF16, TYPE_Q4_0};

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        struct synth_options options = small;
        struct simmodel other;

        options.type = types[t];
        simmodel_open(&other, &options);
        struct simcluster_config config = config_of(3, REQUESTS, 20);
        config.model = other.model;
        config.kv_type = (enum kv_type)t;
        open_cluster(&config);
        for (uint64_t i = 0; i < REQUESTS; i++) {
            simrequest_draw(&own[i], 200 + i, i + 1, small.vocab, 30, 12);
            simrequest_run_alone(&own[i], &config);
            simcluster_submit_at(&cluster, i * MS, (uint16_t)(i % 3), &own[i].request);
        }
        run_to_the_end();
        for (uint64_t i = 0; i < REQUESTS; i++)
            assert_as_alone(&own[i]);
        simcluster_close(&cluster);
        simmodel_close(&other);
    }
}

static void a_bad_network_changes_no_bit_of_any_request(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct simcluster_config config = config_of((uint16_t)(2 + seed % 3), 4, 24);

        config.seed = seed;
        config.link.loss_ppm = 50000;
        config.link.duplicate_ppm = 20000;
        config.link.reorder_ppm = 50000;
        config.link.reorder_ns = 300000;
        run_all(&config, 2 * MS);
    }
}

static void sixty_four_requests_run_at_once(void **state)
{
    static struct simrequest many[ENGINE_SLOTS_MAX];
    struct simcluster_config config = config_of(2, ENGINE_SLOTS_MAX, 256);

    (void)state;
    open_cluster(&config);
    for (uint64_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        simrequest_draw(&many[i], 300 + i, i + 1, small.vocab, 10, 20);
        many[i].request.predict = 20;
        simrequest_run_alone(&many[i], &config);
        simcluster_submit_at(&cluster, 0, (uint16_t)(i % 2), &many[i].request);
    }
    run_to_the_end();
    for (uint64_t i = 0; i < ENGINE_SLOTS_MAX; i++)
        assert_as_alone(&many[i]);
    /* Most steps held most requests. */
    struct engine_figures figures;
    engine_figures(cluster.node[0].engine, &figures);
    assert_true(figures.steps < ENGINE_SLOTS_MAX * 20 / 8);
    simcluster_close(&cluster);
}

/* ---- ends ---- */

/* The token that ends a request comes at the same position as alone; steps that were planned with the request go on without it. */
static void a_request_that_ends_early_disturbs_no_other(void **state)
{
    static struct simrequest own[REQUESTS];
    struct simcluster_config config = config_of(3, REQUESTS, 32);
    uint32_t end = requests[0].alone.token[requests[0].alone.token_count / 2];
    int ended = 0;

    (void)state;
    config.end_token = &end;
    open_cluster(&config);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        simrequest_draw(&own[i], 100 + i, i + 1, small.vocab, 40, 30);
        own[i].request.ignore_end = i % 4 == 3;
        simrequest_run_alone(&own[i], &config);
        ended += own[i].alone.reason == ENGINE_DONE_END;
        simcluster_submit_at(&cluster, 0, (uint16_t)(i % 3), &own[i].request);
    }
    assert_true(ended > 0 && ended < REQUESTS);
    run_to_the_end();
    for (uint64_t i = 0; i < REQUESTS; i++)
        assert_as_alone(&own[i]);
    simcluster_close(&cluster);
}

static void each_request_has_a_context_of_its_own(void **state)
{
    static struct simrequest own[3];
    struct simcluster_config config = config_of(2, 3, 32);

    (void)state;
    config.ctx = 45;
    open_cluster(&config);
    for (uint64_t i = 0; i < 3; i++) {
        simrequest_draw(&own[i], 400 + i, i + 1, small.vocab, 10, 1);
        own[i].request.predict = 100;
        simrequest_run_alone(&own[i], &config);
        assert_int_equal(own[i].alone.reason, ENGINE_DONE_CONTEXT);
        simcluster_submit_at(&cluster, 0, 0, &own[i].request);
    }
    run_to_the_end();
    for (uint64_t i = 0; i < 3; i++)
        assert_as_alone(&own[i]);
    simcluster_close(&cluster);
}

/* One prompt has a token whose embedding is not finite: only that request fails. */
static void a_value_that_is_not_finite_ends_the_request_that_it_is_of(void **state)
{
    struct synth_options options = small;
    struct simmodel other;
    static struct simrequest own[REQUESTS];

    (void)state;
    options.type = TYPE_F32;
    simmodel_open(&other, &options);
    struct gguf_tensor damaged = *other.model->token_embd;
    const struct gguf_tensor *before = other.model->token_embd;
    float *data = malloc(damaged.data_size);
    assert_non_null(data);
    memcpy(data, damaged.data, damaged.data_size);
    for (uint32_t i = 0; i < options.dim; i++)
        data[(size_t)7 * options.dim + i] = 3e38f;
    damaged.data = (const uint8_t *)data;
    other.model->token_embd = &damaged;
    struct simcluster_config config = config_of(3, REQUESTS, 30);
    config.model = other.model;
    open_cluster(&config);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        simrequest_draw(&own[i], 500 + i, i + 1, small.vocab, 30, 20);
        for (uint32_t t = 0; t < own[i].request.prompt_count; t++)
            own[i].prompt[t] = own[i].prompt[t] == 7 ? 8 : own[i].prompt[t];
        if (i == 3)
            own[i].prompt[own[i].request.prompt_count / 2] = 7;
        simrequest_run_alone(&own[i], &config);
        assert_int_equal(own[i].alone.reason == ENGINE_DONE_ERROR, i == 3);
        simcluster_submit_at(&cluster, 0, 0, &own[i].request);
    }
    run_to_the_end();
    for (uint64_t i = 0; i < REQUESTS; i++)
        assert_as_alone(&own[i]);
    for (uint16_t rank = 0; rank < 3; rank++) {
        const struct engine_fault *fault = &simcluster_result(&cluster, rank, 4)->fault, *alone = &own[3].alone.fault;

        assert_true(fault->is_set && fault->layer == alone->layer && fault->phase == alone->phase && fault->row == alone->row);
    }
    simcluster_close(&cluster);
    other.model->token_embd = before;
    free(data);
    simmodel_close(&other);
}

/* ---- waiting and cancelling ---- */

static void a_request_that_is_cancelled_frees_its_slot(void **state)
{
    (void)state;
    for (uint64_t at_ms = 0; at_ms < 40; at_ms += 3) {
        struct simcluster_config config = config_of(3, 2, 16);

        open_cluster(&config);
        for (uint64_t i = 0; i < REQUESTS; i++)
            simcluster_submit_at(&cluster, 0, (uint16_t)(i % 3), &requests[i].request);
        /* Requests of ranks 0 and 1, cancelled on their own node or on another; at any stage. */
        for (uint64_t i = 0; i < REQUESTS; i += 3)
            simcluster_cancel_at(&cluster, at_ms * MS, 0, i + 1);
        for (uint64_t i = 1; i < REQUESTS; i += 3)
            simcluster_cancel_at(&cluster, at_ms * MS, 2, i + 1);
        run_to_the_end();
        for (uint64_t i = 0; i < REQUESTS; i++) {
            const struct simcluster_result *result = simcluster_result(&cluster, (uint16_t)(i % 3), i + 1);

            assert_true(simrequest_is_as_alone(&requests[i], result));
            assert_true(i % 3 != 2 || result->reason != ENGINE_DONE_CANCELLED);
        }
        simcluster_close(&cluster);
    }
}

static void what_waits_is_bounded_and_goes_on_when_there_is_room(void **state)
{
    struct simcluster_config config = config_of(1, 1, 16);
    struct request request = requests[0].request;
    uint32_t taken = 0;

    (void)state;
    open_cluster(&config);
    while (engine_submit(cluster.node[0].engine, &request)) {
        request.id++;
        taken++;
        assert_true(taken <= 1000);
    }
    assert_int_equal(taken, REQUEST_QUEUE_WAITING_MAX);
    while (!simcluster_result(&cluster, 0, requests[0].request.id)->is_done)
        engine_work(cluster.node[0].engine, 0);
    assert_true(engine_submit(cluster.node[0].engine, &request));
    for (uint64_t id = requests[0].request.id; id <= request.id; id++)
        assert_true(engine_cancel(cluster.node[0].engine, id));
    while (!simcluster_result(&cluster, 0, request.id)->is_done)
        engine_work(cluster.node[0].engine, 0);
    simcluster_close(&cluster);
}

static void a_request_that_is_submitted_twice_runs_once(void **state)
{
    struct simcluster_config config = config_of(3, 2, 16);

    (void)state;
    open_cluster(&config);
    for (uint16_t rank = 0; rank < 3; rank++)
        for (uint64_t i = 0; i < 4; i++)
            simcluster_submit_at(&cluster, 0, rank, &requests[i].request);
    run_to_the_end();
    for (uint64_t i = 0; i < 4; i++)
        assert_as_alone(&requests[i]);
    simcluster_close(&cluster);
}

static void the_same_seed_is_the_same_run_of_many(void **state)
{
    uint64_t when[2];

    (void)state;
    for (int n = 0; n < 2; n++) {
        struct simcluster_config config = config_of(3, 3, 16);

        config.link.loss_ppm = 30000;
        open_cluster(&config);
        for (uint64_t i = 0; i < REQUESTS; i++)
            simcluster_submit_at(&cluster, i * MS, (uint16_t)(i % 3), &requests[i].request);
        run_to_the_end();
        when[n] = mesh_sim_now_ns(cluster.sim);
        simcluster_close(&cluster);
    }
    assert_true(when[0] == when[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_together_get_the_bits_that_they_get_alone),
        cmocka_unit_test(any_batch_and_number_of_slots_gives_the_same_bits),
        cmocka_unit_test(every_kv_type_and_a_float_model_give_the_same_bits),
        cmocka_unit_test(a_bad_network_changes_no_bit_of_any_request),
        cmocka_unit_test(sixty_four_requests_run_at_once),
        cmocka_unit_test(a_request_that_ends_early_disturbs_no_other),
        cmocka_unit_test(each_request_has_a_context_of_its_own),
        cmocka_unit_test(a_value_that_is_not_finite_ends_the_request_that_it_is_of),
        cmocka_unit_test(a_request_that_is_cancelled_frees_its_slot),
        cmocka_unit_test(what_waits_is_bounded_and_goes_on_when_there_is_room),
        cmocka_unit_test(a_request_that_is_submitted_twice_runs_once),
        cmocka_unit_test(the_same_seed_is_the_same_run_of_many),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
