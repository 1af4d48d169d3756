/* Requests across epochs: stopped anywhere, saved on any node, and resumed in a cluster of other nodes, with the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "node/engine/steplog.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"
#include "tests/unit/simsaved.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000u)

enum { REQUESTS = 6, CTX = 96, MS = 1000000 };

static const struct synth_options small = {
    .dim = 96, .hidden = 288, .layers = 2, .heads = 6, .kv_heads = 3, .vocab = 300, .context = 128, .type = TYPE_Q4_0, .seed = 1};

static const struct mesh_sim_link gigabit = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};

static struct simmodel synth;
static struct simcluster cluster;
static struct simrequest requests[REQUESTS];

static struct simcluster_config config_of(uint16_t ranks)
{
    return (struct simcluster_config){
        .model = synth.model, .rank_count = ranks, .batch = 16, .slots = 3, .ctx = CTX, .seed = ranks, .link = gigabit, .unit_ns = 3000};
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &small);
    struct simcluster_config config = config_of(1);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        simrequest_draw(&requests[i], 700 + i, i + 1, small.vocab, 30, 40);
        requests[i].request.predict += 10;
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

static void save(uint16_t rank, struct simsaved *saved)
{
    assert_int_equal(simsaved_take(saved, cluster.node[rank].engine), 0);
}

static void assert_saved_as_alone(const struct simsaved *saved)
{
    for (size_t i = 0; i < saved->count; i++) {
        const struct request *r = &saved->request[i];
        const struct simrequest *s = &requests[r->id - 1];
        uint32_t prompt_count = s->request.prompt_count;

        assert_int_equal(r->prompt_count, prompt_count + r->generated_before);
        assert_memory_equal(r->prompt, s->prompt, prompt_count * sizeof *s->prompt);
        assert_true(r->generated_before < s->alone.token_count);
        assert_memory_equal(r->prompt + prompt_count, s->alone.token, r->generated_before * sizeof *s->alone.token);
        assert_int_equal(r->predict, s->request.predict);
        assert_memory_equal(&r->sampling, &s->request.sampling, sizeof r->sampling);
    }
}

/* The combined state of the remaining nodes; dead: a rank, or none. */
static void save_all(uint16_t dead, struct simsaved *all)
{
    *all = (struct simsaved){0};
    for (uint16_t rank = 0; rank < cluster.config.rank_count; rank++) {
        struct simsaved saved;

        if (rank == dead)
            continue;
        save(rank, &saved);
        assert_saved_as_alone(&saved);
        for (size_t i = 0; i < saved.count; i++)
            assert_int_equal(simsaved_add(all, &saved.request[i]), 0);
        simsaved_release(&saved);
    }
}

static void run_saved_to_the_end(const struct simsaved *saved, uint16_t ranks)
{
    struct simcluster_config config = config_of(ranks);

    open_cluster(&config);
    for (size_t i = 0; i < saved->count; i++)
        simcluster_submit_at(&cluster, 0, (uint16_t)(i % ranks), &saved->request[i]);
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    assert_true(simcluster_agrees(&cluster));
    for (size_t i = 0; i < saved->count; i++) {
        const struct simcluster_result *result = simcluster_result(&cluster, 0, saved->request[i].id);

        assert_true(simrequest_is_as_alone(&requests[saved->request[i].id - 1], result));
        assert_int_equal(result->index_first, saved->request[i].generated_before);
    }
    simcluster_close(&cluster);
}

/* ---- one request ---- */

static void a_request_goes_on_from_any_of_its_tokens(void **state)
{
    struct simcluster_config config = config_of(2);
    uint32_t history[CTX];

    (void)state;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        const struct simrequest *s = &requests[i];
        uint32_t prompt_count = s->request.prompt_count;

        memcpy(history, s->prompt, prompt_count * sizeof *history);
        memcpy(history + prompt_count, s->alone.token, s->alone.token_count * sizeof *history);
        for (uint32_t before = 1; before < s->alone.token_count; before += 1 + before / 2) {
            struct request request = s->request;

            request.prompt = history;
            request.prompt_count = prompt_count + before;
            request.generated_before = before;
            open_cluster(&config);
            simcluster_submit(&cluster, &request);
            assert_true(simcluster_run(&cluster, SECONDS(60)));
            const struct simcluster_result *result = simcluster_result(&cluster, 1, request.id);
            assert_int_equal(result->index_first, before);
            assert_true(simrequest_is_as_alone(s, result));
            simcluster_close(&cluster);
        }
    }
}

static void the_last_token_of_a_context_is_still_generated_after_a_change(void **state)
{
    static struct simrequest full;
    uint32_t history[CTX];

    (void)state;
    simrequest_draw(&full, 900, 1, small.vocab, 20, 1);
    full.request.predict = 2 * CTX;
    struct simcluster_config config = config_of(2);
    simrequest_run_alone(&full, &config);
    assert_int_equal(full.alone.reason, ENGINE_DONE_CONTEXT);
    struct request request = full.request;
    memcpy(history, full.prompt, request.prompt_count * sizeof *history);
    memcpy(history + request.prompt_count, full.alone.token, (CTX - request.prompt_count) * sizeof *history);
    request.prompt = history;
    request.generated_before = CTX - request.prompt_count;
    request.prompt_count = CTX;
    open_cluster(&config);
    simcluster_submit(&cluster, &request);
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    assert_int_equal(simcluster_result(&cluster, 0, 1)->token_count, 1);
    assert_true(simrequest_is_as_alone(&full, simcluster_result(&cluster, 0, 1)));
    simcluster_close(&cluster);
}

/* ---- a cluster that stops ---- */

static void requests_go_on_wherever_the_cluster_stops(void **state)
{
    size_t begun = 0, waiting = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 24; seed++) {
        uint16_t ranks = (uint16_t)(1 + seed % 4), next = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 1, 0), 5));
        struct simcluster_config config = config_of(ranks);
        struct simsaved saved;

        open_cluster(&config);
        for (uint64_t i = 0; i < REQUESTS; i++)
            simcluster_submit_at(&cluster, mesh_draw_below(mesh_draw(seed, 2, i), 10 * MS), (uint16_t)(i % ranks), &requests[i].request);
        simcluster_run(&cluster, mesh_draw_below(mesh_draw(seed, 3, 0), 60 * MS));
        save_all(ranks, &saved);
        for (size_t i = 0; i < saved.count; i++)
            *(saved.request[i].generated_before > 0 ? &begun : &waiting) += 1;
        simcluster_close(&cluster);
        run_saved_to_the_end(&saved, next);
        simsaved_release(&saved);
    }
    assert_true(begun >= 10 && waiting >= 10);
}

static void nothing_that_has_started_is_lost_with_the_sequencer(void **state)
{
    (void)state;
    for (uint64_t at_ms = 0; at_ms < 40; at_ms += 4) {
        struct simcluster_config config = config_of(3);
        struct simsaved saved;

        /* All were submitted on ranks that live on, so none may be lost, whether begun or not. */
        open_cluster(&config);
        for (uint64_t i = 0; i < REQUESTS; i++)
            simcluster_submit_at(&cluster, 0, (uint16_t)(1 + i % 2), &requests[i].request);
        simcluster_run(&cluster, MS / 2 + at_ms * MS);
        save_all(0, &saved);
        for (uint64_t i = 0; i < REQUESTS; i++) {
            const struct simcluster_result *result = simcluster_result(&cluster, (uint16_t)(1 + i % 2), i + 1);
            const struct request *found = simsaved_find(&saved, i + 1);

            assert_true(result->is_done || found != NULL);
            /* And no token that may have been shown to a client is lost. */
            assert_true(found == NULL || found->generated_before >= result->token_count || result->is_done);
            assert_true(found == NULL || found->origin == 1 + i % 2);
        }
        simcluster_close(&cluster);
        run_saved_to_the_end(&saved, 2);
        simsaved_release(&saved);
    }
}

static void nodes_differ_by_no_more_than_the_steps_on_their_way(void **state)
{
    (void)state;
    for (uint64_t at_ms = 1; at_ms < 60; at_ms += 5) {
        struct simcluster_config config = config_of(4);
        struct simsaved saved[4];

        open_cluster(&config);
        for (uint64_t i = 0; i < 3; i++)
            simcluster_submit_at(&cluster, 0, 0, &requests[i].request);
        simcluster_run(&cluster, at_ms * MS);
        for (uint16_t rank = 0; rank < 4; rank++)
            save(rank, &saved[rank]);
        for (uint16_t rank = 1; rank < 4; rank++) {
            for (size_t i = 0; i < saved[rank].count; i++) {
                const struct request *one = &saved[rank].request[i], *other = simsaved_find(&saved[0], one->id);

                if (other != NULL)
                    assert_true((uint32_t)abs((int)one->prompt_count - (int)other->prompt_count) <= STEPLOG_AHEAD);
            }
        }
        for (uint16_t rank = 0; rank < 4; rank++)
            simsaved_release(&saved[rank]);
        simcluster_close(&cluster);
    }
}

static void requests_outlive_one_epoch_after_another(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct simsaved saved = {0};

        for (uint64_t i = 0; i < REQUESTS; i++)
            assert_int_equal(simsaved_add(&saved, &requests[i].request), 0);
        for (uint64_t epoch = 0; epoch < 6; epoch++) {
            struct simcluster_config config = config_of((uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 4, epoch), 4)));
            struct simsaved before = saved;

            open_cluster(&config);
            for (size_t i = 0; i < before.count; i++)
                simcluster_submit_at(&cluster, 0, (uint16_t)(i % config.rank_count), &before.request[i]);
            simcluster_run(&cluster, (2 + mesh_draw_below(mesh_draw(seed, 5, epoch), 8)) * MS);
            save_all(config.rank_count, &saved);
            for (size_t i = 0; i < before.count; i++) {
                const struct request *now = simsaved_find(&saved, before.request[i].id);

                assert_true(now != NULL || simcluster_result(&cluster, 0, before.request[i].id)->is_done);
                assert_true(now == NULL || now->prompt_count >= before.request[i].prompt_count);
            }
            simcluster_close(&cluster);
            simsaved_release(&before);
        }
        run_saved_to_the_end(&saved, 2);
        simsaved_release(&saved);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_on_from_any_of_its_tokens),
        cmocka_unit_test(the_last_token_of_a_context_is_still_generated_after_a_change),
        cmocka_unit_test(requests_go_on_wherever_the_cluster_stops),
        cmocka_unit_test(nothing_that_has_started_is_lost_with_the_sequencer),
        cmocka_unit_test(nodes_differ_by_no_more_than_the_steps_on_their_way),
        cmocka_unit_test(requests_outlive_one_epoch_after_another),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
