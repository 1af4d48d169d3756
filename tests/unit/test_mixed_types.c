/* Models whose matrices have types of their own: what reads a gather decides in which form it is sent and kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "oddmodel.h"
#include "simcluster.h"

enum { PROMPT = 20 };
#define DEADLINE_NS UINT64_C(60000000000)

static uint32_t prompt[PROMPT];

static const struct request four_tokens = {
    .id = 1,
    .prompt = prompt,
    .prompt_count = PROMPT,
    .predict = 4,
    .sampling = {.top_p = 1, .repeat_penalty = 1},
    .ignore_end = true,
    .want_digest = true,
};

static enum tensor_type only_the_first_layer_reads_floats(const char *name, uint64_t columns, uint64_t seed)
{
    (void)columns;
    (void)seed;
    return strcmp(name, "blk.0.attn_q.weight") == 0 ? TYPE_F16 : TYPE_Q8_0;
}

static struct simcluster_result run(const struct model *model, uint16_t ranks, uint16_t batch)
{
    const struct simcluster_config config = {
        .model = model, .rank_count = ranks, .batch = batch, .ctx = 64, .seed = ranks, .link = {.delay_ns = 20000}, .unit_ns = 1000};
    static struct simcluster cluster;

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
    simcluster_submit(&cluster, &four_tokens);
    assert_true(simcluster_run(&cluster, DEADLINE_NS));
    assert_true(simcluster_agrees(&cluster));
    const struct simcluster_result result = *simcluster_result(&cluster, 0, 1);
    simcluster_close(&cluster);
    assert_int_equal(result.reason, ENGINE_DONE_LENGTH);
    return result;
}

/* The embedding is the only gather of f32 then, and has the longest blocks. */
static void the_first_layer_alone_may_read_floats(void **state)
{
    const struct oddmodel_shape shape = {
        .dim = 512, .hidden = 256, .layers = 1, .heads = 4, .kv_heads = 2, .head_dim = 32, .vocab = 100, .ctx = 64, .rope_dims = 32};
    struct oddmodel odd;

    (void)state;
    oddmodel_open(&odd, &shape, only_the_first_layer_reads_floats);
    const struct simcluster_result alone = run(odd.model, 1, 1), together = run(odd.model, 1, PROMPT), three = run(odd.model, 3, 7);
    assert_true(alone.digest != 0 && together.digest == alone.digest && three.digest == alone.digest);
    oddmodel_close(&odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_layer_alone_may_read_floats),
    };

    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = (1 + i * 37) % 100;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
