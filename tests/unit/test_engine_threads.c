/* One engine with several real threads: requests are submitted, cancelled and saved from outside while workers compute. Run it with
 * SAN=thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/pool.h"
#include "node/engine/engine.h"
#include "tests/unit/simmodel.h"
#include "tests/unit/simrequest.h"
#include "tests/unit/simsaved.h"

enum { REQUESTS = 12, WORKERS = 3, CTX = 80, BATCH = 20, PHASES = 2 * 4 + 1 };

static const struct synth_options small = {
    .dim = 96, .hidden = 160, .layers = 2, .heads = 6, .kv_heads = 3, .vocab = 300, .context = 128, .type = TYPE_Q8_0, .seed = 1};

struct heard {
    struct simcluster_result result[REQUESTS]; /* by id - 1; written by the thread that ends a step */
    _Atomic uint32_t done;
    _Atomic uint32_t rows[PHASES];
};

struct worker_pool {
    struct engine *engine;
    atomic_bool is_stopping;
};

static struct simmodel synth;
static struct simrequest requests[REQUESTS];
static struct heard heard;

static int open_model(void **state)
{
    const struct simcluster_config config = {.ctx = CTX};

    (void)state;
    simmodel_open(&synth, &small);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        struct simcluster_config alone = config;

        alone.model = synth.model;
        simrequest_draw(&requests[i], 800 + i, i + 1, small.vocab, 30, 20);
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

static void on_token(void *app, uint64_t now_ns, const struct engine_token *token)
{
    struct heard *h = app;
    struct simcluster_result *result = &h->result[token->request - 1];

    (void)now_ns;
    if (result->token_count == 0)
        result->index_first = token->index;
    result->token[result->token_count++] = token->id;
    result->digest += token->digest;
}

static void on_done(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault)
{
    struct heard *h = app;

    (void)now_ns;
    (void)fault;
    h->result[request - 1].reason = reason;
    h->result[request - 1].is_done = true;
    atomic_fetch_add(&h->done, 1);
}

static uint64_t clock_ns(void *clock)
{
    (void)clock;
    return 0;
}

static void work(void *app, uint16_t index)
{
    struct worker_pool *workers = app;

    while (!atomic_load(&workers->is_stopping))
        if (engine_work(workers->engine, index) != ENGINE_WORKED)
            sched_yield();
}

/* Counts tokens of a phase's gather, by its first block. */
static void on_blocks(void *app, const struct engine_blocks *blocks)
{
    struct heard *h = app;

    if (blocks->block_first == 0)
        atomic_fetch_add(&h->rows[blocks->phase], blocks->token_count);
}

static struct engine *open_engine(struct rowmap *map, uint16_t slots)
{
    const uint32_t share[] = {1};
    struct fail fail;
    const struct engine_hooks hooks = {.on_token = on_token, .on_done = on_done, .on_blocks = on_blocks, .app = &heard};
    const struct engine_config config = {
        .model = synth.model,
        .map = map,
        .worker_count = WORKERS,
        .batch = BATCH,
        .slots = slots,
        .ctx = CTX,
        .keeps = true,
        .kernel = kernel_choose(NULL),
    };

    memset(&heard, 0, sizeof heard);
    assert_int_equal(rowmap_init(map, synth.model, share, 1, &fail), 0);
    struct engine *engine = engine_open(&config, &hooks, &fail);
    assert_non_null(engine);
    assert_int_equal(engine_allocate(engine, &fail), 0);
    for (uint32_t i = 0; i < engine_load_count(engine); i++)
        engine_load(engine, i);
    engine_attach(engine, NULL, NULL, clock_ns, NULL);
    return engine;
}

static struct pool *start(struct worker_pool *workers, struct engine *engine)
{
    struct fail fail;

    *workers = (struct worker_pool){.engine = engine};
    struct pool *pool = pool_start(WORKERS, work, workers, &fail);
    assert_non_null(pool);
    return pool;
}

static void stop(struct worker_pool *workers, struct pool *pool)
{
    atomic_store(&workers->is_stopping, true);
    pool_join(pool);
}

static void submit_all(struct engine *engine)
{
    for (uint64_t i = 0; i < REQUESTS; i++)
        while (!engine_submit(engine, &requests[i].request))
            sched_yield();
}

static void wait_for(uint32_t done)
{
    while (atomic_load(&heard.done) < done)
        sched_yield();
}

static void any_number_of_slots_gives_each_request_its_own_bits(void **state)
{
    (void)state;
    for (uint16_t slots = 1; slots <= REQUESTS; slots = (uint16_t)(slots * 3)) {
        struct rowmap map;
        struct worker_pool workers;
        struct engine *engine = open_engine(&map, slots);
        struct pool *pool = start(&workers, engine);

        submit_all(engine);
        wait_for(REQUESTS);
        stop(&workers, pool);
        for (uint64_t i = 0; i < REQUESTS; i++)
            assert_true(simrequest_is_as_alone(&requests[i], &heard.result[i]));
        engine_close(engine);
    }
}

static void the_last_layer_goes_on_with_drawn_tokens_only(void **state)
{
    enum { PROMPT = BATCH + 7 };
    uint32_t prompt[PROMPT];
    const struct request request = {
        .id = 1,
        .prompt = prompt,
        .prompt_count = PROMPT,
        .predict = 1,
        .sampling = {.top_p = 1, .repeat_penalty = 1},
        .ignore_end = true,
    };
    struct rowmap map;
    struct engine *engine = open_engine(&map, 1);

    (void)state;
    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = (i * 37 + 5) % small.vocab;
    assert_true(engine_submit(engine, &request));
    while (atomic_load(&heard.done) == 0)
        engine_work(engine, 0);
    for (int phase = 0; phase < 4; phase++)
        assert_int_equal(atomic_load(&heard.rows[phase]), PROMPT);
    for (int phase = 4; phase < PHASES; phase++)
        assert_int_equal(atomic_load(&heard.rows[phase]), phase + 1 < PHASES ? 1 : 2); /* candidates are a message of each step */
    engine_close(engine);
}

static void cancelling_and_saving_while_workers_compute_does_no_harm(void **state)
{
    struct rowmap map;
    struct worker_pool workers;
    struct engine *engine = open_engine(&map, 4);
    struct pool *pool = start(&workers, engine);

    (void)state;
    submit_all(engine);
    for (uint64_t id = 2; id <= REQUESTS; id += 3) {
        struct simsaved saved;

        assert_true(engine_cancel(engine, id));
        assert_int_equal(simsaved_take(&saved, engine), 0);
        simsaved_release(&saved);
    }
    wait_for(REQUESTS);
    stop(&workers, pool);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        assert_true(simrequest_is_as_alone(&requests[i], &heard.result[i]));
        assert_true(i % 3 == 1 || heard.result[i].reason != ENGINE_DONE_CANCELLED);
    }
    engine_close(engine);
}

/* The owner of the port looks for what a request shares, while another thread begins and ends steps. */
static void looking_for_shared_beginnings_while_workers_compute_does_no_harm(void **state)
{
    enum { SHARED = 20, ROUNDS = 10 };
    static struct simrequest alike[REQUESTS];
    const struct simcluster_config alone = {.model = synth.model, .ctx = CTX};

    (void)state;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        simrequest_draw(&alike[i], 900 + i, i + 1, small.vocab, 30, 20);
        memcpy(alike[i].prompt, requests[0].prompt, SHARED * sizeof *requests[0].prompt);
        alike[i].request.prompt_count = SHARED + 1 + (uint32_t)i % 5;
        simrequest_run_alone(&alike[i], &alone);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct rowmap map;
        struct worker_pool workers;
        struct engine_figures figures;
        struct engine *engine = open_engine(&map, 4);
        struct pool *pool = start(&workers, engine);

        for (uint32_t i = 0; i < REQUESTS; i++) {
            wait_for(i + 1 == REQUESTS ? i : i < 3 ? 0 : i - 2);
            assert_true(engine_submit(engine, &alike[i].request));
        }
        wait_for(REQUESTS);
        stop(&workers, pool);
        engine_figures(engine, &figures);
        assert_true(figures.reused >= SHARED); /* by the last one, when no other one begins */
        for (uint64_t i = 0; i < REQUESTS; i++)
            assert_true(simrequest_is_as_alone(&alike[i], &heard.result[i]));
        engine_close(engine);
    }
}

static void what_is_saved_in_the_middle_goes_on_in_another_engine(void **state)
{
    struct rowmap map;
    struct worker_pool workers;
    struct engine *engine = open_engine(&map, 4);
    struct pool *pool = start(&workers, engine);
    struct simsaved saved;

    (void)state;
    submit_all(engine);
    wait_for(REQUESTS / 3);
    assert_int_equal(simsaved_take(&saved, engine), 0);
    stop(&workers, pool);
    engine_close(engine);
    engine = open_engine(&map, 3);
    pool = start(&workers, engine);
    for (size_t i = 0; i < saved.count; i++)
        assert_true(engine_submit(engine, &saved.request[i]));
    wait_for((uint32_t)saved.count);
    stop(&workers, pool);
    for (size_t i = 0; i < saved.count; i++) {
        uint64_t id = saved.request[i].id;

        assert_true(simrequest_is_as_alone(&requests[id - 1], &heard.result[id - 1]));
        assert_int_equal(heard.result[id - 1].index_first, saved.request[i].generated_before);
    }
    engine_close(engine);
    simsaved_release(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_slots_gives_each_request_its_own_bits),
        cmocka_unit_test(the_last_layer_goes_on_with_drawn_tokens_only),
        cmocka_unit_test(cancelling_and_saving_while_workers_compute_does_no_harm),
        cmocka_unit_test(looking_for_shared_beginnings_while_workers_compute_does_no_harm),
        cmocka_unit_test(what_is_saved_in_the_middle_goes_on_in_another_engine),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
