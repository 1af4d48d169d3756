/* A node whose sequencer or peers send false records: whatever the records, it stays alive and within its memory. Run it with
 * SAN=address,undefined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "node/engine/engine_state.h"
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

/* ---- parts of a step that do not fit ---- */

/* Requests 1 to n, of so many tokens each. All tokens of the vocabulary are candidates. */
static void say_requests(struct engine *e, uint16_t n, uint32_t tokens)
{
    static const uint32_t prompt[CTX];

    for (uint64_t id = 1; id <= n; id++) {
        const struct request request = {.id = id,
                                        .prompt = prompt,
                                        .prompt_count = tokens,
                                        .predict = 1,
                                        .sampling = {.temperature = 1, .top_p = 0.9f, .repeat_penalty = 1}};

        for (uint32_t i = 0; i < record_request_count(&request); i++)
            say(e, 0, record_put_request(&request, i, record));
    }
}

/* Rank 1 is told of this step, after its requests. Returns how many of the parts it computes; none of them if it begins no step. */
static uint16_t parts_begun(const struct simcluster_config *config, uint32_t tokens, const struct step_entry *entry)
{
    if (simcluster_open(&cluster, config) < 0)
        fail_msg("%s", cluster.reason);
    struct engine *e = cluster.node[1].engine;
    say_requests(e, config->slots, tokens);
    say(e, 0, record_put_step(entry, record));
    assert_int_equal(e->log.known, 1);
    engine_advance(e);
    uint16_t parts = e->step_is_open ? e->part_count : 0;
    simcluster_close(&cluster);
    return parts;
}

static void parts_that_do_not_follow_what_is_done_are_void(void **state)
{
    static const struct {
        struct step_part part[2];
        uint16_t begun;
    } cases[] = {
        {{{.request = 1, .count = 6, .is_sampled = true}, {.request = 2, .count = 6, .is_sampled = true}}, 2},
        {{{.request = 1, .count = 5}, {.request = 2, .count = 6}}, 2},
        {{{.request = 1, .count = 7}, {.request = 2, .count = 5}}, 1},                     /* beyond the tokens that there are */
        {{{.request = 1, .count = 5, .is_sampled = true}, {.request = 2, .count = 6}}, 1}, /* a token is drawn before the last one */
        {{{.request = 1, .count = 5}, {.request = 1, .count = 5}}, 1},                     /* twice in one step */
        {{{.request = 1, .count = 5}, {.request = 1, .is_cancelled = true}}, 1},
        {{{.request = 1, .count = 1}, {.request = 2, .position = 1, .count = 1, .begins = true}}, 1}, /* nothing was kept */
        {{{.request = 1, .position = 1, .count = 5}, {.request = 2, .position = 1, .count = 1}}, 0},
    };
    const struct simcluster_config config = {
        .model = synth.model, .rank_count = 2, .batch = BATCH, .slots = SLOTS, .ctx = CTX, .seed = 1, .unit_ns = 1000};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct step_entry entry = {.part_count = 2};

        memcpy(entry.part, cases[i].part, sizeof cases[i].part);
        if (parts_begun(&config, 6, &entry) != cases[i].begun)
            fail_msg("case %zu", i);
    }
}

/* A part that follows the one before it is at a position that is not done yet. */
static void a_part_at_a_position_that_is_not_next_is_void(void **state)
{
    const struct step_entry first = {.part_count = 1, .part = {{.request = 1, .count = 2}}};

    (void)state;
    for (uint32_t position = 1; position <= 3; position++) {
        const struct step_entry second = {.step = 1, .part_count = 1, .part = {{.request = 1, .position = position, .count = 2}}};

        open_cluster();
        struct engine *e = cluster.node[1].engine;
        say_requests(e, 1, 6);
        say(e, 0, record_put_step(&first, record));
        engine_advance(e);
        assert_true(e->step_is_open);
        e->step_is_open = false; /* as at its end */
        e->sequence[0].is_in_step = false;
        e->sequence[0].positions_done = 2;
        steplog_step_over(&e->log);
        say(e, 0, record_put_step(&second, record));
        engine_advance(e);
        assert_true(e->step_is_open == (position == 2));
        simcluster_close(&cluster);
    }
}

/* Of 57 parts with 290 candidates each the last is beyond the 16384 that a step may have. */
static void a_part_with_more_candidates_than_there_is_room_for_is_void(void **state)
{
    const struct simcluster_config config = {
        .model = synth.model, .rank_count = 2, .batch = 57, .slots = 57, .ctx = CTX, .seed = 1, .unit_ns = 1000};
    struct step_entry entry = {.part_count = 57};

    (void)state;
    for (uint16_t i = 0; i < entry.part_count; i++)
        entry.part[i] = (struct step_part){.request = i + 1u, .count = 1, .is_sampled = true};
    assert_int_equal(parts_begun(&config, 1, &entry), 56);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequencer_that_lies_does_no_harm),
        cmocka_unit_test(a_peer_that_lies_to_the_sequencer_does_no_harm),
        cmocka_unit_test(parts_that_do_not_follow_what_is_done_are_void),
        cmocka_unit_test(a_part_at_a_position_that_is_not_next_is_void),
        cmocka_unit_test(a_part_with_more_candidates_than_there_is_room_for_is_void),
    };

    return cmocka_run_group_tests(tests, open_model, close_model);
}
