/* Requests that begin as another one did: what is computed already is not computed again, on any rank, and no bit changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"

#define SECONDS(n) ((uint64_t)(n)*1000000000u)
#define LATER(n)   ((uint64_t)(n)*1000000000u) /* the requests before are over by then */

enum { CTX = 128, RANKS_MAX = 4, TREE = 24, MS = 1000000 };

static const struct synth_options small = {
    .dim = 96, .hidden = 288, .layers = 2, .heads = 6, .kv_heads = 3, .vocab = 300, .context = 128, .type = TYPE_Q4_0, .seed = 1};

static const struct mesh_sim_link gigabit = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000};

static struct simmodel synth;
static enum kv_type kv_type;
static struct simcluster cluster;
static struct saved_kv saved_kv[RANKS_MAX];
static struct simrequest tree[TREE], a, b, c;

static struct simcluster_config config_of(uint16_t ranks, uint16_t slots)
{
    return (struct simcluster_config){.model = synth.model,
                                      .rank_count = ranks,
                                      .batch = 16,
                                      .slots = slots,
                                      .ctx = CTX,
                                      .kv_type = kv_type,
                                      .seed = ranks,
                                      .link = gigabit,
                                      .unit_ns = 3000,
                                      .saved_kv = saved_kv};
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &small);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&synth);
    return 0;
}

static void run_alone(struct simrequest *r)
{
    const struct simcluster_config config = {.model = synth.model, .ctx = CTX, .kv_type = kv_type};

    simrequest_run_alone(r, &config);
}

/* Tokens that nothing else has. */
static void make(struct simrequest *r, uint64_t id, uint32_t tokens, uint32_t predict)
{
    *r = (struct simrequest){.request = {.id = id,
                                         .prompt = r->prompt,
                                         .prompt_count = tokens,
                                         .predict = predict,
                                         .ignore_end = true,
                                         .want_digest = true,
                                         .sampling = {.top_p = 1, .repeat_penalty = 1}}};
    for (uint32_t i = 0; i < tokens; i++)
        r->prompt[i] = (uint32_t)mesh_draw_below(mesh_draw(id, 9, i), small.vocab);
    run_alone(r);
}

/* The request's first tokens are those of another one, prompt and answer. */
static void make_after(struct simrequest *r, const struct simrequest *before, uint64_t id, uint32_t shared, uint32_t more, uint32_t predict)
{
    uint32_t tokens[2 * SIMREQUEST_PROMPT_MAX];

    memcpy(tokens, before->prompt, sizeof before->prompt);
    memcpy(tokens + before->request.prompt_count, before->alone.token, before->alone.token_count * sizeof *tokens);
    assert_true(shared <= before->request.prompt_count + before->alone.token_count && shared + more <= SIMREQUEST_PROMPT_MAX);
    make(r, id, shared + more, predict);
    memcpy(r->prompt, tokens, shared * sizeof *tokens);
    r->alone = (struct simcluster_result){0};
    run_alone(r);
}

static void open_cluster(uint16_t ranks, uint16_t slots)
{
    struct simcluster_config config = config_of(ranks, slots);

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
}

/* Every rank has reused as many positions. */
static uint64_t reused(void)
{
    struct engine_figures first, figures;

    engine_figures(cluster.node[0].engine, &first);
    for (uint16_t rank = 1; rank < cluster.config.rank_count; rank++) {
        engine_figures(cluster.node[rank].engine, &figures);
        assert_int_equal(figures.reused, first.reused);
    }
    return first.reused;
}

static void run(const struct simrequest *const *requests, size_t count)
{
    assert_true(simcluster_run(&cluster, SECONDS(60)));
    assert_true(simcluster_agrees(&cluster));
    for (size_t i = 0; i < count; i++)
        for (uint16_t rank = 0; rank < cluster.config.rank_count; rank++)
            assert_true(simrequest_is_as_alone(requests[i], simcluster_result(&cluster, rank, requests[i]->request.id)));
}

static void close_cluster(void)
{
    simcluster_close(&cluster);
    for (uint16_t rank = 0; rank < RANKS_MAX; rank++)
        saved_kv_release(&saved_kv[rank]);
}

/* ---- tests ---- */

/* Of the last token of an answer nothing has been computed. */
static void a_conversation_goes_on_behind_its_last_answer(void **state)
{
    const struct simrequest *const all[] = {&a, &b, &c};

    (void)state;
    make(&a, 1, 40, 10);
    make_after(&b, &a, 2, 50, 7, 5);
    make_after(&c, &b, 3, 62, 9, 5);
    for (uint16_t ranks = 1; ranks <= RANKS_MAX; ranks++) {
        for (uint16_t slots = 1; slots <= 3; slots++) {
            open_cluster(ranks, slots);
            for (uint16_t i = 0; i < 3; i++)
                simcluster_submit_at(&cluster, LATER(i), (uint16_t)(i % ranks), &all[i]->request);
            run(all, 3);
            assert_int_equal(reused(), 49 + 61);
            close_cluster();
        }
    }
}

static void what_ends_in_the_middle_of_an_answer_is_gone_on_with(void **state)
{
    const struct simrequest *const all[] = {&a, &b};

    (void)state;
    make(&a, 1, 40, 10);
    make_after(&b, &a, 2, 45, 3, 5);
    open_cluster(3, 2);
    simcluster_submit_at(&cluster, 0, 1, &a.request);
    simcluster_submit_at(&cluster, LATER(1), 2, &b.request);
    run(all, 2);
    assert_int_equal(reused(), 45);
    close_cluster();
}

/* A shared beginning is copied, and the long conversation that had it can still be gone on with. */
static void a_beginning_is_shared_by_many(void **state)
{
    static struct simrequest after;
    const struct simrequest *const all[] = {&a, &b, &c, &after};

    (void)state;
    make(&a, 1, 80, 10);
    make_after(&b, &a, 2, 20, 30, 5);
    make_after(&c, &a, 3, 20, 35, 5);
    make_after(&after, &a, 4, 90, 2, 5);
    for (uint16_t ranks = 1; ranks <= RANKS_MAX; ranks++) {
        open_cluster(ranks, 4);
        for (uint16_t i = 0; i < 4; i++)
            simcluster_submit_at(&cluster, LATER(i), (uint16_t)(i % ranks), &all[i]->request);
        run(all, 4);
        assert_int_equal(reused(), 20 + 20 + 89);
        close_cluster();
    }
}

/* Even of the whole prompt the last token is computed, since the next one is drawn from it. */
static void who_asks_the_same_while_it_runs_need_not_wait(void **state)
{
    const struct simrequest *const all[] = {&a, &b};

    (void)state;
    make(&a, 1, 60, 60);
    make_after(&b, &a, 2, 60, 0, 4);
    open_cluster(2, 2);
    simcluster_submit_at(&cluster, 0, 0, &a.request);
    simcluster_submit_at(&cluster, 12 * MS, 1, &b.request);
    run(all, 2);
    assert_int_equal(reused(), 59);
    close_cluster();
}

static void a_few_tokens_are_computed(void **state)
{
    const struct simrequest *const all[] = {&a, &b};

    (void)state;
    make(&a, 1, 40, 4);
    for (uint32_t shared = 15; shared <= 16; shared++) {
        make_after(&b, &a, 2, shared, 10, 4);
        open_cluster(2, 2);
        simcluster_submit_at(&cluster, 0, 0, &a.request);
        simcluster_submit_at(&cluster, LATER(1), 0, &b.request);
        run(all, 2);
        assert_int_equal(reused(), shared < 16 ? 0 : 16);
        close_cluster();
    }
}

static void nodes_that_keep_nothing_reuse_nothing(void **state)
{
    const struct simrequest *const all[] = {&a, &b};
    struct simcluster_config config = config_of(2, 2);

    (void)state;
    config.saved_kv = NULL;
    make(&a, 1, 40, 4);
    make_after(&b, &a, 2, 40, 4, 4);
    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    simcluster_submit_at(&cluster, 0, 0, &a.request);
    simcluster_submit_at(&cluster, LATER(1), 0, &b.request);
    run(all, 2);
    assert_int_equal(reused(), 0);
    close_cluster();
}

/* What is computed in the step of a fault is of no use, though it looks like numbers. */
static void nothing_of_a_step_with_a_fault_is_gone_on_with(void **state)
{
    const struct simrequest *const all[] = {&a, &b, &c};
    struct synth_options floats = small;
    const struct simmodel before = synth;
    struct gguf_tensor damaged;
    float *data;

    (void)state;
    floats.type = TYPE_F32;
    simmodel_open(&synth, &floats);
    make(&a, 1, 40, 4);
    damaged = *synth.model->token_embd;
    data = malloc(damaged.data_size);
    assert_non_null(data);
    memcpy(data, damaged.data, damaged.data_size);
    damaged.data = (const uint8_t *)data;
    for (uint32_t i = 0; i < floats.dim; i++)
        data[(size_t)a.prompt[36] * floats.dim + i] = 3e38f;
    const struct gguf_tensor *intact = synth.model->token_embd;
    synth.model->token_embd = &damaged;
    a.alone = (struct simcluster_result){0};
    run_alone(&a);
    make_after(&b, &a, 2, 40, 6, 4);
    make_after(&c, &a, 3, 34, 6, 4);
    assert_true(a.alone.reason == ENGINE_DONE_ERROR && b.alone.reason == ENGINE_DONE_ERROR && c.alone.reason == ENGINE_DONE_LENGTH);
    open_cluster(3, 2);
    for (uint16_t i = 0; i < 3; i++)
        simcluster_submit_at(&cluster, LATER(i), i, &all[i]->request);
    run(all, 3);
    assert_int_equal(reused(), 32 + 32); /* two steps of 16 tokens had ended */
    close_cluster();
    synth.model->token_embd = intact;
    simmodel_close(&synth);
    free(data);
    synth = before;
}

/* A tree of conversations: each request begins as an earlier one, up to any of its tokens. */
static void grow(uint64_t seed)
{
    for (uint64_t i = 0; i < TREE; i++) {
        const uint64_t id = 1000 * (seed + 1) + i, predict = 1 + mesh_draw_below(mesh_draw(seed, 21, i), 20);
        const struct simrequest *before = &tree[i == 0 ? 0 : mesh_draw_below(mesh_draw(seed, 22, i), i)];
        const uint32_t all = i == 0 ? 0 : before->request.prompt_count + before->alone.token_count, most = all < 90 ? all : 90;
        const bool is_whole = mesh_draw_below(mesh_draw(seed, 23, i), 2) > 0;
        const uint32_t shared = is_whole ? most : (uint32_t)mesh_draw_below(mesh_draw(seed, 24, i), most + 1);
        const uint32_t more = 1 + (uint32_t)mesh_draw_below(mesh_draw(seed, 25, i), i == 0 ? 30 : 10);

        if (i == 0)
            make(&tree[i], id, more, (uint32_t)predict);
        else
            make_after(&tree[i], before, id, shared, more, (uint32_t)predict);
    }
}

static void any_tree_of_conversations_has_the_same_bits(void **state)
{
    uint16_t rank_of[TREE];
    uint64_t sum = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        const uint16_t ranks = (uint16_t)(1 + seed % RANKS_MAX), slots = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 31, 0), 5));
        const uint64_t gap = mesh_draw_below(mesh_draw(seed, 32, 0), 40) * MS;

        kv_type = (enum kv_type)(seed / RANKS_MAX % 3);
        grow(seed);
        open_cluster(ranks, slots);
        for (uint64_t i = 0; i < TREE; i++) {
            const uint16_t rank = (uint16_t)mesh_draw_below(mesh_draw(seed, 33, i), ranks);
            const uint64_t at = i * gap + mesh_draw_below(mesh_draw(seed, 34, i), 20) * MS;

            rank_of[i] = rank;
            simcluster_submit_at(&cluster, at, rank, &tree[i].request);
            if (mesh_draw_below(mesh_draw(seed, 35, i), 5) == 0)
                simcluster_cancel_at(&cluster, at + mesh_draw_below(mesh_draw(seed, 36, i), 30) * MS, rank, tree[i].request.id);
        }
        assert_true(simcluster_run(&cluster, SECONDS(60)));
        assert_true(simcluster_agrees(&cluster));
        for (uint64_t i = 0; i < TREE; i++)
            assert_true(simrequest_is_as_alone(&tree[i], simcluster_result(&cluster, rank_of[i], tree[i].request.id)));
        sum += reused();
        close_cluster();
    }
    assert_true(sum > 1000);
    kv_type = KV_F16;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_goes_on_behind_its_last_answer),
        cmocka_unit_test(what_ends_in_the_middle_of_an_answer_is_gone_on_with),
        cmocka_unit_test(a_beginning_is_shared_by_many),
        cmocka_unit_test(who_asks_the_same_while_it_runs_need_not_wait),
        cmocka_unit_test(a_few_tokens_are_computed),
        cmocka_unit_test(nodes_that_keep_nothing_reuse_nothing),
        cmocka_unit_test(nothing_of_a_step_with_a_fault_is_gone_on_with),
        cmocka_unit_test(any_tree_of_conversations_has_the_same_bits),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
