/* The number of rows of a tile changes no bit, and may differ between ranks: nothing on the wire tells how rows were computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/engine/engine_state.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"

enum { RANKS_MAX = 4, SIZES = 4, PROMPT = 21 };
#define DEADLINE_NS UINT64_C(60000000000)

/* Two ranks have 384 rows of x each. */
static const struct synth_options shape = {
    .dim = 768, .hidden = 1056, .layers = 2, .heads = 12, .kv_heads = 4, .vocab = 700, .context = 64, .type = TYPE_Q4_0, .seed = 4};

/* For each rank. */
static const uint16_t smallest[RANKS_MAX][PHASE_KINDS] = {
    {32, 32, 32, 32, 32}, {32, 32, 32, 32, 32}, {32, 32, 32, 32, 32}, {32, 32, 32, 32, 32}};
static const uint16_t largest[RANKS_MAX][PHASE_KINDS] = {
    {256, 256, 128, 256, 256}, {256, 256, 128, 256, 256}, {256, 256, 128, 256, 256}, {256, 256, 128, 256, 256}};
static const uint16_t mixed[RANKS_MAX][PHASE_KINDS] = {{96, 160, 64, 224, 128}, {256, 32, 96, 192, 64}, {0}, {32, 256, 32, 96, 160}};

static struct simmodel synth;
static uint32_t prompt[PROMPT];

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &shape);
    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = (i * 41 + 3) % shape.vocab;
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&synth);
    return 0;
}

/* A prompt in steps of many and of few tokens, then one by one. */
static struct simcluster_result run(uint16_t ranks, const uint16_t (*tile_rows)[PHASE_KINDS])
{
    static struct simcluster cluster;
    const struct simcluster_config config = {
        .model = synth.model,
        .rank_count = ranks,
        .batch = 16,
        .ctx = 60,
        .tile_rows = tile_rows,
        .seed = ranks,
        .link = {.rate_bits_per_s = 1000000000, .delay_ns = 50000, .queue_bytes = 200000},
        .unit_ns = 3000,
    };
    const struct request request = {
        .id = 1,
        .prompt = prompt,
        .prompt_count = PROMPT,
        .predict = 6,
        .sampling = {.top_p = 1, .repeat_penalty = 1},
        .ignore_end = true,
        .want_digest = true,
    };

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    for (uint16_t r = 0; tile_rows != NULL && r < ranks; r++)
        for (int kind = 0; kind < PHASE_KINDS; kind++)
            if (tile_rows[r][kind] > 0)
                assert_int_equal(cluster.node[r].engine->phase[kind + (kind == PHASE_HEAD ? 4 : 0)].matrix->tile_rows, tile_rows[r][kind]);
    simcluster_submit(&cluster, &request);
    assert_true(simcluster_run(&cluster, DEADLINE_NS));
    assert_true(simcluster_agrees(&cluster));
    const struct simcluster_result result = *simcluster_result(&cluster, 0, 1);
    simcluster_close(&cluster);
    return result;
}

static void tiles_of_any_size_give_the_same_bits(void **state)
{
    const uint16_t(*const sizes[SIZES])[PHASE_KINDS] = {NULL, smallest, largest, mixed};
    const struct simcluster_result alone = run(1, NULL);

    (void)state;
    assert_true(alone.token_count == 6 && alone.digest != 0);
    for (uint16_t ranks = 1; ranks <= RANKS_MAX; ranks++) {
        for (size_t i = 0; i < SIZES; i++) {
            const struct simcluster_result result = run(ranks, sizes[i]);

            assert_memory_equal(result.token, alone.token, sizeof alone.token);
            assert_true(result.digest == alone.digest);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_of_any_size_give_the_same_bits),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
