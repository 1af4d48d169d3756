/* The sampler: its choices, that the split into nodes never matters, and that draws follow the right distribution. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>

#include "node/common/hash.h"
#include "node/engine/sampler.h"

enum { VOCAB = 1000, NODES_MAX = 16 };

static const struct sampling off = {.temperature = 1, .top_p = 1, .repeat_penalty = 1};

static float random_float(uint64_t seed, uint64_t index) /* 0 to 1 */
{
    return (float)(hash_words3(seed, index, 77) >> 40) * 0x1p-24f;
}

/* Coarse steps, so that there are ties, also between positive and negative zero. */
static void fill_logits(float *logits, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count; i++) {
        logits[i] = rintf(random_float(seed, i) * 80.0f - 40.0f) * 0.25f;
        if (logits[i] == 0 && i % 2)
            logits[i] = -0.0f;
    }
}

static uint32_t choose_split(const struct sampling *s, uint64_t position, const uint32_t *history, size_t history_count,
                             const float *logits, uint32_t count, const uint32_t *ends, size_t nodes)
{
    struct candidate *scratch = calloc(count, sizeof *scratch), *all = calloc(count, sizeof *all);
    size_t total = 0;
    uint32_t first = 0, chosen;

    for (size_t node = 0; node < nodes; node++) {
        uint32_t rows = ends[node] - first;
        struct candidate *out = all + total;

        sampler_select(s, position, history, history_count, logits + first, first, rows, scratch, out);
        for (uint32_t i = 1; i < sampler_candidate_count(s, rows); i++)
            assert_true(out[i - 1].logit > out[i].logit || (out[i - 1].logit == out[i].logit && out[i - 1].id < out[i].id));
        total += sampler_candidate_count(s, rows);
        first = ends[node];
    }
    /* Nodes answer in any order. */
    for (size_t i = total; i > 1; i--) {
        size_t j = hash_words3(position, i, nodes) % i;
        struct candidate swapped = all[i - 1];

        all[i - 1] = all[j];
        all[j] = swapped;
    }
    chosen = sampler_draw(s, position, all, total);
    free(scratch);
    free(all);
    return chosen;
}

static uint32_t choose(const struct sampling *s, uint64_t position, const float *logits, uint32_t count)
{
    return choose_split(s, position, NULL, 0, logits, count, &count, 1);
}

static int compare_ends(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Bounds drawn at random: nodes may own nothing. */
static void random_split(uint32_t *ends, size_t nodes, uint32_t count, uint64_t seed)
{
    for (size_t i = 0; i + 1 < nodes; i++)
        ends[i] = (uint32_t)(hash_words3(seed, i, nodes) % (count + 1));
    qsort(ends, nodes - 1, sizeof ends[0], compare_ends);
    ends[nodes - 1] = count;
}

static void any_split_of_the_vocabulary_gives_the_same_token(void **state)
{
    static const struct sampling modes[] = {
        {.temperature = 0, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 0.8f, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1},
        {.temperature = 1.5f, .top_k = 1, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 1.5f, .top_k = 700, .top_p = 0.999f, .repeat_penalty = 1},
        {.temperature = 3, .top_k = 5000, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 2, .top_p = 0.9f, .repeat_penalty = 1},
        {.temperature = 2, .top_p = 1, .min_p = 0.1f, .repeat_penalty = 1},
        {.temperature = 2, .top_p = 0.5f, .min_p = 0.1f, .repeat_penalty = 1},
        {.temperature = 9, .top_k = 40, .top_p = 1, .min_p = 0.3f, .repeat_penalty = 1},
    };
    float logits[VOCAB];
    uint32_t history[100], ends[NODES_MAX], whole = VOCAB;

    (void)state;
    for (size_t round = 0; round < 20 * sizeof modes / sizeof modes[0]; round++) {
        struct sampling s = modes[round % (sizeof modes / sizeof modes[0])];
        uint32_t expected;

        s.seed = round;
        if (round % 3 == 0) {
            s.repeat_penalty = 1.3f;
            s.presence_penalty = -3.5f;
            s.frequency_penalty = 1.25f;
        }
        fill_logits(logits, VOCAB, round);
        for (size_t i = 0; i < 100; i++)
            history[i] = (uint32_t)(hash_words3(round, i, 5) % 60 + round * 4);
        expected = choose_split(&s, round, history, 100, logits, VOCAB, &whole, 1);
        for (size_t nodes = 2; nodes <= NODES_MAX; nodes++) {
            random_split(ends, nodes, VOCAB, round);
            assert_int_equal(choose_split(&s, round, history, 100, logits, VOCAB, ends, nodes), expected);
        }
    }
}

static void greedy_takes_the_best_and_of_equals_the_first(void **state)
{
    const float logits[] = {-1, 2, 7.5f, 7.5f, 7.25f};
    struct sampling s = off;

    (void)state;
    s.temperature = 0;
    assert_int_equal(choose(&s, 3, logits, 5), 2);
    assert_int_equal(sampler_candidate_count(&s, 5), 1);
}

static void a_node_sends_as_many_candidates_as_the_draw_needs(void **state)
{
    struct sampling s = off;

    (void)state;
    assert_int_equal(sampler_candidate_count(&s, 500), 1);
    assert_int_equal(sampler_candidate_count(&s, 0), 0);
    s.top_k = 40;
    assert_int_equal(sampler_candidate_count(&s, 500), 40);
    assert_int_equal(sampler_candidate_count(&s, 7), 7);
    s.top_p = 0.9f;
    assert_int_equal(sampler_candidate_count(&s, 500), 40);
    s.top_k = 0;
    assert_int_equal(sampler_candidate_count(&s, 500), 500);
    s.top_p = 1;
    s.min_p = 0.1f;
    assert_int_equal(sampler_candidate_count(&s, 500), 500);
    s.temperature = 0;
    assert_int_equal(sampler_candidate_count(&s, 500), 1);
}

static void top_k_sends_the_best_in_order(void **state)
{
    const float logits[] = {1, 5, 3, 5, -2, 4, 0};
    struct sampling s = off;
    struct candidate scratch[7], out[4];

    (void)state;
    s.top_k = 4;
    sampler_select(&s, 0, NULL, 0, logits, 100, 7, scratch, out);
    assert_int_equal(out[0].id, 101);
    assert_int_equal(out[1].id, 103);
    assert_int_equal(out[2].id, 105);
    assert_int_equal(out[3].id, 102);
    assert_true(out[3].logit == 3);
}

static void selecting_agrees_with_sorting_everything(void **state)
{
    static float logits[VOCAB];
    static struct candidate scratch[VOCAB], sorted[VOCAB], out[VOCAB];
    struct sampling s = off, all = off;

    (void)state;
    all.top_p = 0.5f;
    for (uint32_t k = 1; k <= VOCAB; k = k * 3 + 1) {
        s.top_k = k;
        fill_logits(logits, VOCAB, k);
        sampler_select(&all, 0, NULL, 0, logits, 0, VOCAB, scratch, sorted);
        sampler_select(&s, 0, NULL, 0, logits, 0, VOCAB, scratch, out);
        for (uint32_t i = 0; i < k; i++) {
            assert_int_equal(out[i].id, sorted[i].id);
            assert_memory_equal(&out[i].logit, &logits[out[i].id], sizeof(float));
        }
    }
}

/* Penalties as in the reference chain: divide or multiply by the repeat penalty, then subtract count × frequency and presence. */
static void penalties_have_the_values_worked_out_by_hand(void **state)
{
    const float logits[] = {3, -2, 1.5f, 0.5f, 8};
    const uint32_t history[] = {10, 11, 10, 12, 99, 10};
    struct sampling s = {
        .temperature = 1, .top_k = 5, .top_p = 1, .repeat_penalty = 2, .presence_penalty = 0.25f, .frequency_penalty = 0.5f};
    struct candidate scratch[5], out[5];

    (void)state;
    sampler_select(&s, 0, history, 6, logits, 10, 5, scratch, out);
    assert_int_equal(out[0].id, 14);
    assert_true(out[0].logit == 8);
    assert_int_equal(out[1].id, 13);
    assert_true(out[1].logit == 0.5f);
    assert_int_equal(out[2].id, 12);
    assert_true(out[2].logit == 1.5f / 2 - 0.5f - 0.25f);
    assert_int_equal(out[3].id, 10);
    assert_true(out[3].logit == 3.0f / 2 - 3 * 0.5f - 0.25f);
    assert_int_equal(out[4].id, 11);
    assert_true(out[4].logit == -2.0f * 2 - 0.5f - 0.25f);
}

static void penalties_see_the_last_64_tokens_only(void **state)
{
    const float logits[] = {2, 1};
    uint32_t history[66];
    struct sampling s = {.temperature = 0, .top_p = 1, .repeat_penalty = 1, .presence_penalty = 5};
    uint32_t count = 2;

    (void)state;
    memset(history, 0xff, sizeof history);
    history[1] = 0;
    assert_int_equal(choose_split(&s, 0, history, 65, logits, 2, &count, 1), 1);
    assert_int_equal(choose_split(&s, 0, history, 66, logits, 2, &count, 1), 0);
}

static void extreme_numbers_stay_comparable(void **state)
{
    const float logits[] = {3e38f, -3e38f, 3e38f, 0};
    const uint32_t history[] = {2, 1};
    struct sampling s = {.temperature = 1e-45f, .top_p = 0.5f, .min_p = 0.5f, .repeat_penalty = 1e-30f, .presence_penalty = 3e38f};
    uint32_t count = 4;

    (void)state;
    assert_int_equal(choose_split(&s, 0, history, 2, logits, 4, &count, 1), 2); /* the penalty below 1 lifts it to the limit */
    s.top_p = 1;
    s.min_p = 0;
    assert_int_equal(choose_split(&s, 0, NULL, 0, logits, 1, (const uint32_t[]){1}, 1), 0);
}

/* 1 / 1e-40 is infinite, and so is twice 3e38: their difference is a NaN, and a NaN has no place in an order. */
static void penalties_of_any_size_leave_numbers(void **state)
{
    const float logits[] = {2, 1, 3, -1};
    const uint32_t history[] = {2, 2, 0, 0, 3, 3};
    const struct sampling s = {.top_k = 4, .temperature = 1, .top_p = 1, .repeat_penalty = 1e-40f, .frequency_penalty = 3e38f};
    const struct sampling t = {.top_k = 4, .temperature = 1, .top_p = 1, .repeat_penalty = 3e38f, .frequency_penalty = -3e38f};
    struct candidate scratch[4], out[4];
    struct fail fail;

    (void)state;
    assert_int_equal(sampler_check(&s, &fail), 0);
    sampler_select(&s, 0, history, 6, logits, 0, 4, scratch, out);
    assert_true(out[0].id == 1 && out[1].id == 0 && out[2].id == 2 && out[3].id == 3);
    assert_true(out[1].logit == -FLT_MAX && out[2].logit == -FLT_MAX && out[3].logit == -FLT_MAX);
    assert_int_equal(sampler_check(&t, &fail), 0);
    sampler_select(&t, 0, history, 6, (const float[]){-2, 1, 3, -2}, 0, 4, scratch, out);
    assert_true(out[0].id == 2 && out[0].logit == FLT_MAX && out[1].id == 1 && out[2].id == 0 && out[3].id == 3);
    assert_true(out[2].logit == -FLT_MAX && out[3].logit == -FLT_MAX);
}

/* Pearson's statistic of `draws` draws at successive positions. */
static double chi_square(const struct sampling *s, const float *logits, uint32_t count, const double *expected, uint32_t draws)
{
    uint32_t seen[16] = {0};
    double sum = 0;

    for (uint32_t position = 0; position < draws; position++)
        seen[choose(s, position, logits, count)]++;
    for (uint32_t i = 0; i < count; i++) {
        if (expected[i] == 0)
            assert_int_equal(seen[i], 0);
        else
            sum += pow(seen[i] - expected[i] * draws, 2) / (expected[i] * draws);
    }
    return sum;
}

/* exp(logit / temperature) of the kept tokens, normalised. */
static void softmax(const float *logits, uint32_t count, double temperature, const bool *kept, double *out)
{
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += out[i] = kept[i] ? exp((double)logits[i] / temperature) : 0;
    for (uint32_t i = 0; i < count; i++)
        out[i] /= sum;
}

/* 8 outcomes: the statistic exceeds 24.3 once in a thousand times; the draws are fixed, so the test is deterministic. */
static void draws_follow_the_softmax_with_temperature(void **state)
{
    const float logits[8] = {0, 1, 2, -1, 0.5f, -6, 2.5f, 1};
    const bool kept[8] = {true, true, true, true, true, true, true, true};
    double expected[8];

    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct sampling s = off;

        s.seed = seed;
        s.temperature = 0.5f * (float)seed;
        softmax(logits, 8, (double)s.temperature, kept, expected);
        assert_true(chi_square(&s, logits, 8, expected, 20000) < 24.3);
    }
}

/* Probabilities at temperature 1: .4 .3 .15 .1 .05. */
static void cuts_keep_what_they_should(void **state)
{
    float logits[5];
    const double probabilities[5] = {0.4, 0.05, 0.3, 0.1, 0.15};
    const struct {
        struct sampling s;
        bool kept[5];
    } cases[] = {
        {{.temperature = 1, .top_k = 2, .top_p = 1, .repeat_penalty = 1}, {true, false, true, false, false}},
        {{.temperature = 1, .top_p = 0.69f, .repeat_penalty = 1}, {true, false, true, false, false}},
        {{.temperature = 1, .top_p = 0.71f, .repeat_penalty = 1}, {true, false, true, false, true}},
        {{.temperature = 1, .top_p = 0.01f, .repeat_penalty = 1}, {true, false, false, false, false}},
        {{.temperature = 1, .top_p = 1, .min_p = 0.2f, .repeat_penalty = 1}, {true, false, true, true, true}},
        {{.temperature = 1, .top_k = 3, .top_p = 0.8f, .repeat_penalty = 1}, {true, false, true, false, false}}, /* of the .85 kept */
        {{.temperature = 4, .top_p = 0.71f, .repeat_penalty = 1}, {true, false, true, false, true}}, /* temperature comes last */
    };
    double expected[5];

    (void)state;
    for (size_t i = 0; i < 5; i++)
        logits[i] = (float)log(probabilities[i]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        softmax(logits, 5, (double)cases[i].s.temperature, cases[i].kept, expected);
        assert_true(chi_square(&cases[i].s, logits, 5, expected, 10000) < 20);
    }
}

/* A hundred thousand equal tokens: the noise must have enough distinct values for all of them, or the first ones would be preferred. */
/* Half of the probability is the first of two equals: exactly, so the second is cut. */
static void top_p_ends_with_the_token_that_reaches_it(void **state)
{
    static const float equals[] = {3, 3};
    struct sampling half = off, more = off;
    unsigned second = 0;

    (void)state;
    half.top_p = 0.5f;
    more.top_p = 0.50001f;
    for (uint64_t position = 0; position < 100; position++) {
        assert_int_equal(choose(&half, position, equals, 2), 0);
        second += choose(&more, position, equals, 2);
    }
    assert_in_range(second, 25, 75);
}

static void a_large_flat_vocabulary_is_drawn_from_evenly(void **state)
{
    enum { COUNT = 100000, DRAWS = 400 };
    float *logits = calloc(COUNT, sizeof *logits);
    uint32_t lower_half = 0;

    (void)state;
    for (uint64_t position = 0; position < DRAWS; position++)
        lower_half += choose(&off, position, logits, COUNT) < COUNT / 2;
    free(logits);
    assert_in_range(lower_half, DRAWS / 2 - 40, DRAWS / 2 + 40);
}

static void seed_and_position_change_the_draw(void **state)
{
    float logits[VOCAB] = {0};
    struct sampling s = off, other = off;

    (void)state;
    other.seed = 1;
    assert_int_not_equal(choose(&s, 0, logits, VOCAB), choose(&s, 1, logits, VOCAB));
    assert_int_not_equal(choose(&s, 0, logits, VOCAB), choose(&other, 0, logits, VOCAB));
    assert_int_equal(choose(&s, 5, logits, VOCAB), choose(&s, 5, logits, VOCAB));
}

static void parts_of_the_digest_add_up(void **state)
{
    float logits[VOCAB];
    uint32_t ends[NODES_MAX];
    uint64_t whole;

    (void)state;
    fill_logits(logits, VOCAB, 1);
    whole = sampler_digest(9, logits, 0, VOCAB);
    for (size_t nodes = 1; nodes <= NODES_MAX; nodes++) {
        uint64_t sum = 0;
        uint32_t first = 0;

        random_split(ends, nodes, VOCAB, nodes);
        for (size_t node = 0; node < nodes; node++) {
            sum += sampler_digest(9, logits + first, first, ends[node] - first);
            first = ends[node];
        }
        assert_true(sum == whole);
    }
    assert_true(sampler_digest(8, logits, 0, VOCAB) != whole);
    logits[500] = logits[500] == 0 ? -logits[500] : nextafterf(logits[500], 0);
    assert_true(sampler_digest(9, logits, 0, VOCAB) != whole);
}

static void options_out_of_range_are_refused_by_name(void **state)
{
    const struct {
        struct sampling s;
        const char *text;
    } cases[] = {
        {{.temperature = -1, .top_p = 1, .repeat_penalty = 1}, "--temp: -1 is not possible: give 0 (always the most likely token) or more"},
        {{.temperature = INFINITY, .top_p = 1, .repeat_penalty = 1},
         "--temp: inf is not possible: give 0 (always the most likely token) or more"},
        {{.top_p = 0, .repeat_penalty = 1}, "--top-p: 0 is not possible: give more than 0, up to 1 (off)"},
        {{.top_p = 1.5f, .repeat_penalty = 1}, "--top-p: 1.5 is not possible: give more than 0, up to 1 (off)"},
        {{.top_p = NAN, .repeat_penalty = 1}, "--top-p: nan is not possible: give more than 0, up to 1 (off)"},
        {{.top_p = 1, .min_p = 1, .repeat_penalty = 1}, "--min-p: 1 is not possible: give 0 (off) or more, less than 1"},
        {{.top_p = 1, .min_p = -0.5f, .repeat_penalty = 1}, "--min-p: -0.5 is not possible: give 0 (off) or more, less than 1"},
        {{.top_p = 1, .repeat_penalty = 0}, "--repeat-penalty: 0 is not possible: give more than 0; 1 is off"},
        {{.top_p = 1, .repeat_penalty = 1, .presence_penalty = INFINITY}, "--presence-penalty: inf is not a number: give one; 0 is off"},
        {{.top_p = 1, .repeat_penalty = 1, .frequency_penalty = INFINITY}, "--frequency-penalty: inf is not a number: give one; 0 is off"},
    };
    struct fail fail;

    (void)state;
    assert_int_equal(sampler_check(&off, &fail), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sampler_check(&cases[i].s, &fail), -1);
        assert_string_equal(fail.text, cases[i].text);
        assert_int_equal(fail.exit_code, EXIT_USAGE);
    }
}

/* A lying sequencer may send such numbers to all nodes. Each node that has rows offers a candidate, and one of them is chosen. */
static void numbers_that_no_option_allows_choose_some_token(void **state)
{
    static const float odd[] = {0, -1, 1, 2, NAN, INFINITY, -INFINITY, 1e-45f};
    enum { ODD = sizeof odd / sizeof odd[0], ROWS = 40 };
    struct candidate scratch[ROWS], out[2 * ROWS];
    const uint32_t history[] = {3, 39, 50};
    float logits[2 * ROWS];

    (void)state;
    fill_logits(logits, 2 * ROWS, 5);
    for (unsigned i = 0; i < ODD * ODD * ODD * ODD; i++) {
        const struct sampling s = {.temperature = odd[i % ODD],
                                   .top_k = i % 3,
                                   .top_p = odd[i / ODD % ODD],
                                   .min_p = odd[i / (ODD * ODD) % ODD],
                                   .repeat_penalty = odd[i / (ODD * ODD * ODD)],
                                   .presence_penalty = odd[(i + 3) % ODD]};
        const uint32_t count = sampler_candidate_count(&s, ROWS);

        assert_in_range(count, 1, ROWS);
        sampler_select(&s, 7, history, 3, logits, 0, ROWS, scratch, out);
        sampler_select(&s, 7, history, 3, logits + ROWS, ROWS, ROWS, scratch, out + count);
        for (uint32_t k = 0; k < 2 * count; k++)
            assert_in_range(out[k].id, k < count ? 0 : ROWS, k < count ? ROWS - 1 : 2 * ROWS - 1);
        assert_in_range(sampler_draw(&s, 7, out, 2 * (size_t)count), 0, 2 * ROWS - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_of_the_vocabulary_gives_the_same_token),
        cmocka_unit_test(greedy_takes_the_best_and_of_equals_the_first),
        cmocka_unit_test(a_node_sends_as_many_candidates_as_the_draw_needs),
        cmocka_unit_test(top_k_sends_the_best_in_order),
        cmocka_unit_test(selecting_agrees_with_sorting_everything),
        cmocka_unit_test(penalties_have_the_values_worked_out_by_hand),
        cmocka_unit_test(penalties_see_the_last_64_tokens_only),
        cmocka_unit_test(extreme_numbers_stay_comparable),
        cmocka_unit_test(penalties_of_any_size_leave_numbers),
        cmocka_unit_test(draws_follow_the_softmax_with_temperature),
        cmocka_unit_test(cuts_keep_what_they_should),
        cmocka_unit_test(top_p_ends_with_the_token_that_reaches_it),
        cmocka_unit_test(a_large_flat_vocabulary_is_drawn_from_evenly),
        cmocka_unit_test(seed_and_position_change_the_draw),
        cmocka_unit_test(parts_of_the_digest_add_up),
        cmocka_unit_test(options_out_of_range_are_refused_by_name),
        cmocka_unit_test(numbers_that_no_option_allows_choose_some_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
