/* A node whose sequencer or peers send false records: whatever the records, it stays alive and within its memory. Run it with
 * SAN=address,undefined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/mix.h"
#include "node/engine_state.h"
#include "tests/unit/simcluster.h"
#include "tests/unit/simmodel.h"

enum { CTX = 40, SLOTS = 3, BATCH = 12, SEEDS = 400, RECORDS = 60, WORKS = 400 };

enum draw { DRAW_KIND = 1, DRAW_ID, DRAW_NUMBER, DRAW_TOKEN, DRAW_PART, DRAW_DAMAGE };

static const struct synth_options tiny = {
    .dim = 64, .hidden = 64, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 290, .context = 64, .type = TYPE_Q8_0, .seed = 1};

static struct simmodel synth;
static struct simcluster cluster;
static uint8_t record[RECORD_BYTES_MAX];

static uint64_t pick(uint64_t seed, enum draw which, uint64_t index, uint64_t limit)
{
    return mesh_draw_below(mesh_draw(seed, which, index), limit);
}

static int open_model(void **state)
{
    (void)state;
    simmodel_open(&synth, &tiny);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    simmodel_close(&synth);
    return 0;
}

static void open_cluster(void)
{
    const struct simcluster_config config = {
        .model = synth.model, .rank_count = 2, .batch = BATCH, .slots = SLOTS, .ctx = CTX, .seed = 1, .unit_ns = 1000};

    if (simcluster_open(&cluster, &config) < 0)
        fail_msg("%s", cluster.reason);
}

/* Feeds a copy of the record whose end is the end of memory. */
static void say(struct engine *e, uint16_t from, size_t bytes)
{
    uint8_t *copy = malloc(bytes + 1);

    assert_non_null(copy);
    memcpy(copy, record, bytes);
    struct mesh_event event = {.type = MESH_EVENT_RECORD, .rank = from, .record = copy, .record_bytes = bytes};
    engine_on_record(e, &event);
    free(copy);
}

static size_t make_request(uint64_t seed, uint64_t n, uint32_t index)
{
    static uint32_t prompt[2 * CTX];
    const struct request request = {
        .id = 1 + pick(seed, DRAW_ID, n, 6),
        .prompt = prompt,
        .prompt_count = (uint32_t)(1 + pick(seed, DRAW_NUMBER, n, CTX + 2)),
        .predict = (uint32_t)pick(seed, DRAW_NUMBER, n + 1, 30),
        .generated_before = (uint32_t)pick(seed, DRAW_NUMBER, n + 2, 3),
        .origin = (uint16_t)pick(seed, DRAW_NUMBER, n + 3, 65536),
        .sampling = {.temperature = (float)pick(seed, DRAW_NUMBER, n + 4, 3),
                     .top_k = (uint32_t)pick(seed, DRAW_NUMBER, n + 5, 500),
                     .top_p = (float)pick(seed, DRAW_NUMBER, n + 6, 4),
                     .repeat_penalty = 1},
    };

    for (uint32_t i = 0; i < request.prompt_count; i++)
        prompt[i] = (uint32_t)pick(seed, DRAW_TOKEN, n * CTX + i, pick(seed, DRAW_TOKEN, n, 30) == 0 ? UINT32_MAX : tiny.vocab);
    return record_put_request(&request, index, record);
}

/* Parts of requests that may exist, at positions where they may be. */
static size_t make_step(uint64_t seed, uint64_t n, uint64_t step)
{
    struct step_entry entry = {.step = step, .part_count = (uint16_t)pick(seed, DRAW_NUMBER, n, SLOTS + 2)};

    for (uint16_t i = 0; i < entry.part_count; i++) {
        uint64_t draw = n * 64 + i * 8u;

        entry.part[i] = (struct step_part){
            .request = 1 + pick(seed, DRAW_PART, draw, 6),
            .position = pick(seed, DRAW_PART, draw + 1, 2) == 0 ? 0 : (uint32_t)pick(seed, DRAW_PART, draw + 2, CTX + 1),
            .count = (uint16_t)pick(seed, DRAW_PART, draw + 3, BATCH + 1),
            .is_sampled = pick(seed, DRAW_PART, draw + 4, 2) == 0,
            .is_cancelled = pick(seed, DRAW_PART, draw + 5, 4) == 0,
        };
        if (pick(seed, DRAW_PART, draw + 6, 10) != 0)
            entry.part[i].is_cancelled = entry.part[i].count == 0;
    }
    return record_put_step(&entry, record);
}

static size_t make_record(uint64_t seed, uint64_t n, uint64_t step)
{
    size_t bytes;

    switch (pick(seed, DRAW_KIND, n, 8)) {
    case 0:
    case 1:
    case 2: /* with its tokens, if the seed says that they follow */
        bytes = make_request(seed, n, 0);
        break;
    case 3:
        bytes = make_request(seed, n - 1, 1);
        break;
    case 4:
        bytes = record_put_cancel(1 + pick(seed, DRAW_ID, n, 6), n % 2 == 0, record);
        break;
    default:
        bytes = make_step(seed, n, step);
        break;
    }
    if (pick(seed, DRAW_DAMAGE, n, 10) == 0)
        record[pick(seed, DRAW_DAMAGE, n + 1, bytes)] ^= (uint8_t)(1u << pick(seed, DRAW_DAMAGE, n + 2, 8));
    return pick(seed, DRAW_DAMAGE, n + 3, 20) == 0 ? (size_t)pick(seed, DRAW_DAMAGE, n + 4, bytes + 1) : bytes;
}

static void a_sequencer_that_lies_does_no_harm(void **state)
{
    uint64_t begun = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        open_cluster();
        struct engine *e = cluster.node[1].engine;
        for (uint64_t n = 1; n <= RECORDS; n++) {
            bool is_request = pick(seed, DRAW_KIND, n, 8) == 0;

            say(e, 0, make_record(seed, n * 16, e->log.known));
            if (is_request)
                say(e, 0, make_request(seed, n * 16, 1));
            for (int i = 0; i < WORKS / RECORDS; i++)
                engine_work(e, 0);
        }
        begun += atomic_load(&e->step_serial);
        simcluster_close(&cluster);
    }
    assert_true(begun > SEEDS / 10);
}

static void a_peer_that_lies_to_the_sequencer_does_no_harm(void **state)
{
    uint64_t begun = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        open_cluster();
        struct engine *e = cluster.node[0].engine;
        for (uint64_t n = 1; n <= RECORDS; n++) {
            say(e, 1, make_record(seed, n * 16, 0));
            if (n % 4 == 0) {
                say(e, 1, make_request(seed, n * 16, 0));
                say(e, 1, make_request(seed, n * 16, 1));
            }
            for (int i = 0; i < WORKS / RECORDS; i++)
                engine_work(e, 0);
        }
        begun += atomic_load(&e->step_serial);
        simcluster_close(&cluster);
    }
    assert_true(begun > SEEDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequencer_that_lies_does_no_harm),
        cmocka_unit_test(a_peer_that_lies_to_the_sequencer_does_no_harm),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
