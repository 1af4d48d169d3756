/* Choosing the next token. Candidates are ordered by (logit descending, id ascending), a total order, and nothing below depends on the
 * order of arrival: sums are of integers, maxima have a tie rule, random numbers belong to an id.
 *
 * The chain is penalties, top-k, top-p, min-p, temperature, draw. Logits are finite (the caller has checked). */
#include "sampler.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "node/common/canon.h"
#include "node/common/hash.h"

enum { SCAN_STEP = 32, RADIX_BITS = 11, RADIX_SIZE = 1 << RADIX_BITS, CANDIDATES_MAX = 1 << 23 };

/* The rows of this node that penalties change, by ascending id; they are few, so they are kept separately. */
struct penalised {
    struct candidate list[SAMPLER_PENALTY_WINDOW];
    size_t count;
};

/* Also for values that no option allows, negative or NaN: a sequencer can send any, and there must be a candidate in any case. */
static bool is_greedy(const struct sampling *s)
{
    return !(s->temperature > 0);
}

static bool draws_all(const struct sampling *s)
{
    return s->temperature > 0 && s->top_k == 0 && (s->top_p < 1 || s->min_p > 0);
}

static bool draws_plain(const struct sampling *s)
{
    return s->temperature > 0 && s->top_k == 0 && !draws_all(s);
}

static bool comes_before(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* Restore the heap, in which only the element at `at` may be out of place. With worst_first the root is the last in order, else the
 * first. */
static void sift_down(struct candidate *heap, size_t count, size_t at, bool worst_first)
{
    struct candidate moving = heap[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && comes_before(heap[child + 1], heap[child]) != worst_first)
            child++;
        if (comes_before(heap[child], moving) == worst_first)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static void make_heap(struct candidate *heap, size_t count, bool worst_first)
{
    for (size_t at = count / 2; at-- > 0;)
        sift_down(heap, count, at, worst_first);
}

/* Gumbel noise -log(-log(u)) of (seed, position, id), from -3.7 to 36.8. With w = 1 - u, an odd multiple of 2^-53, -log(u) is taken from a
 * series for small w, so that rare large values keep full precision: -log(1 - w) = 2 atanh(w / (2 - w)). */
static float gumbel(uint64_t hash)
{
    double w = ((double)(hash >> 12) + 0.5) * 0x1p-52;
    double exponential;

    if (w <= 0.5) {
        double s = w / (2 - w), square = s * s, sum = 0;

        for (int power = 15; power >= 1; power -= 2)
            sum = sum * square + 1.0 / power;
        exponential = 2 * s * sum;
    } else {
        exponential = -(double)canon_logf((float)(1 - w));
    }
    return -canon_logf((float)exponential);
}

/* At least gumbel(hash), at the cost of counting bits: -log(u) ≥ w, and w is more than 2^-(zeros + 1) less a rounding. */
static double gumbel_limit(uint64_t hash)
{
    return 0.6931472 * (__builtin_clzll((hash >> 12) << 12 | 1u << 11) + 1) + 0.001;
}

/* The best by perturbed score; a running maximum, so that logits need not be stored as candidates. */
struct winner {
    double score;
    struct candidate candidate;
    bool any;
};

static void compete(struct winner *winner, const struct sampling *s, uint64_t position, struct candidate candidate)
{
    uint64_t hash = hash_words3(s->seed, position, candidate.id);
    double scaled = (double)candidate.logit / (double)s->temperature;
    double score;

    if (winner->any && scaled + gumbel_limit(hash) < winner->score)
        return;
    score = scaled + (double)gumbel(hash);
    if (winner->any && (score < winner->score || (score == winner->score && candidate.id > winner->candidate.id)))
        return;
    *winner = (struct winner){.score = score, .candidate = candidate, .any = true};
}

static float penalise(const struct sampling *s, float logit, uint32_t times)
{
    float changed = logit <= 0 ? logit * s->repeat_penalty : logit / s->repeat_penalty;

    changed -= (float)times * s->frequency_penalty;
    changed -= s->presence_penalty;
    /* NaN, infinite less infinite, has no place in an order: it becomes the least, too. */
    return changed > FLT_MAX ? FLT_MAX : changed >= -FLT_MAX ? changed : -FLT_MAX;
}

/* Index of the id in the list, or where it belongs. */
static size_t find_place(const struct penalised *p, uint32_t id)
{
    size_t at = 0;

    while (at < p->count && p->list[at].id < id)
        at++;
    return at;
}

static bool is_penalised(const struct penalised *p, uint32_t id)
{
    size_t at = find_place(p, id);

    return at < p->count && p->list[at].id == id;
}

static void find_penalised(struct penalised *p, const struct sampling *s, const uint32_t *history, size_t history_count,
                           const float *logits, uint32_t id_first, uint32_t rows)
{
    size_t window = history_count < SAMPLER_PENALTY_WINDOW ? history_count : SAMPLER_PENALTY_WINDOW;
    uint32_t times[SAMPLER_PENALTY_WINDOW];

    p->count = 0;
    if (s->repeat_penalty == 1 && s->presence_penalty == 0 && s->frequency_penalty == 0)
        return;
    for (size_t i = history_count - window; i < history_count; i++) {
        size_t at = find_place(p, history[i]);

        if (history[i] < id_first || history[i] - id_first >= rows)
            continue;
        if (at == p->count || p->list[at].id != history[i]) {
            memmove(&p->list[at + 1], &p->list[at], (p->count - at) * sizeof p->list[0]);
            memmove(&times[at + 1], &times[at], (p->count - at) * sizeof times[0]);
            p->list[at] = (struct candidate){.id = history[i]};
            times[at] = 0;
            p->count++;
        }
        times[at]++;
    }
    for (size_t i = 0; i < p->count; i++)
        p->list[i].logit = penalise(s, logits[p->list[i].id - id_first], times[i]);
}

/* The heap holds the best so far, with the worst of them at the root. */
static void keep_best(struct candidate *heap, uint32_t *count, uint32_t room, struct candidate candidate)
{
    if (*count < room) {
        heap[(*count)++] = candidate;
        if (*count == room)
            make_heap(heap, room, true);
    } else if (comes_before(candidate, heap[0])) {
        heap[0] = candidate;
        sift_down(heap, room, 0, true);
    }
}

static void sort_best(struct candidate *heap, uint32_t count)
{
    while (count > 1) {
        struct candidate last = heap[--count];

        heap[count] = heap[0];
        heap[0] = last;
        sift_down(heap, count, 0, true);
    }
}

static bool any_from(const float *logits, float threshold)
{
    int found = 0;

    for (int i = 0; i < SCAN_STEP; i++)
        found |= logits[i] >= threshold;
    return found != 0;
}

/* Most rows are below the worst one kept, so whole blocks are skipped with one comparison per row. */
static void select_best(const struct penalised *p, const float *logits, uint32_t id_first, uint32_t rows, struct candidate *out,
                        uint32_t room)
{
    uint32_t count = 0;

    for (size_t i = 0; i < p->count; i++)
        keep_best(out, &count, room, p->list[i]);
    for (uint32_t row = 0; row < rows;) {
        uint32_t end = rows - row < SCAN_STEP ? rows : row + SCAN_STEP;

        if (count == room && end - row == SCAN_STEP && !any_from(logits + row, out[0].logit)) {
            row = end;
            continue;
        }
        for (; row < end; row++) {
            struct candidate candidate = {.id = id_first + row, .logit = logits[row]};

            if ((count < room || comes_before(candidate, out[0])) && !is_penalised(p, candidate.id))
                keep_best(out, &count, room, candidate);
        }
    }
    assert(count == room);
    sort_best(out, count);
}

static void select_winner(const struct sampling *s, uint64_t position, const struct penalised *p, const float *logits, uint32_t id_first,
                          uint32_t rows, struct candidate *out)
{
    struct winner winner = {.any = false};
    size_t next = 0;

    for (uint32_t row = 0; row < rows; row++) {
        struct candidate candidate = {.id = id_first + row, .logit = logits[row]};

        if (next < p->count && p->list[next].id == candidate.id)
            candidate = p->list[next++];
        compete(&winner, s, position, candidate);
    }
    *out = winner.candidate;
}

/* Larger logits have smaller keys; both zeros have the same key. */
static uint32_t descending_key(float logit)
{
    uint32_t bits = canon_bits(logit + 0.0f);

    return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}

/* One stable pass over RADIX_BITS bits of the key. */
static void radix_pass(const struct candidate *from, struct candidate *to, uint32_t count, unsigned shift)
{
    uint32_t starts[RADIX_SIZE] = {0};
    uint32_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        starts[descending_key(from[i].logit) >> shift & (RADIX_SIZE - 1)]++;
    for (uint32_t digit = 0; digit < RADIX_SIZE; digit++) {
        uint32_t size = starts[digit];

        starts[digit] = sum;
        sum += size;
    }
    for (uint32_t i = 0; i < count; i++)
        to[starts[descending_key(from[i].logit) >> shift & (RADIX_SIZE - 1)]++] = from[i];
}

static void select_all(const struct penalised *p, const float *logits, uint32_t id_first, uint32_t rows, struct candidate *scratch,
                       struct candidate *out)
{
    for (uint32_t row = 0; row < rows; row++)
        scratch[row] = (struct candidate){.id = id_first + row, .logit = logits[row]};
    for (size_t i = 0; i < p->count; i++)
        scratch[p->list[i].id - id_first] = p->list[i];
    radix_pass(scratch, out, rows, 0);
    radix_pass(out, scratch, rows, RADIX_BITS);
    radix_pass(scratch, out, rows, 2 * RADIX_BITS);
}

uint32_t sampler_candidate_count(const struct sampling *sampling, uint32_t rows)
{
    uint32_t wanted = draws_all(sampling) ? rows : draws_plain(sampling) || is_greedy(sampling) ? 1 : sampling->top_k;

    return wanted < rows ? wanted : rows;
}

void sampler_select(const struct sampling *sampling, uint64_t position, const uint32_t *history, size_t history_count, const float *logits,
                    uint32_t id_first, uint32_t rows, struct candidate *scratch, struct candidate *out)
{
    struct penalised penalised;

    if (rows == 0)
        return;
    find_penalised(&penalised, sampling, history, history_count, logits, id_first, rows);
    if (draws_all(sampling))
        select_all(&penalised, logits, id_first, rows, scratch, out);
    else if (draws_plain(sampling))
        select_winner(sampling, position, &penalised, logits, id_first, rows, out);
    else
        select_best(&penalised, logits, id_first, rows, out, sampler_candidate_count(sampling, rows));
}

static struct candidate best_of(const struct candidate *candidates, size_t count)
{
    struct candidate best = candidates[0];

    for (size_t i = 1; i < count; i++)
        if (comes_before(candidates[i], best))
            best = candidates[i];
    return best;
}

/* Probability relative to the best candidate's, in units of 2^-40. As an integer, so that sums have no order. */
static uint64_t weight(float logit, float logit_max)
{
    float below = logit - logit_max;

    /* Penalties can make a logit infinite, and a peer can send anything: the weight must be from 0 to 1. */
    if (!(below >= -28.0f))
        return 0;
    return (uint64_t)(canon_expf(below < 0 ? below : 0) * 0x1p40f);
}

/* Moves the first `wanted` in order, or fewer if the weights of these reach `enough`, to the end of the array, the first last. Returns
 * their number. candidates: a heap, the first in order at its root. */
static size_t take_first(struct candidate *candidates, size_t count, size_t wanted, double enough)
{
    float logit_max = candidates[0].logit;
    uint64_t sum = 0;
    size_t taken = 0;

    while (taken < wanted && (taken == 0 || (double)sum < enough)) {
        struct candidate first = candidates[0];
        size_t left = count - ++taken;

        candidates[0] = candidates[left];
        if (left > 0)
            sift_down(candidates, left, 0, false);
        candidates[left] = first;
        sum += weight(first.logit, logit_max);
    }
    return taken;
}

static size_t apply_top_k(const struct sampling *s, struct candidate **candidates, size_t count)
{
    size_t taken;

    if (s->top_k == 0 || s->top_k >= count)
        return count;
    make_heap(*candidates, count, false);
    taken = take_first(*candidates, count, s->top_k, INFINITY);
    *candidates += count - taken;
    return taken;
}

static size_t apply_top_p(const struct sampling *s, struct candidate **candidates, size_t count)
{
    float logit_max;
    uint64_t sum = 0;
    size_t taken;

    if (s->top_p >= 1)
        return count;
    logit_max = best_of(*candidates, count).logit;
    for (size_t i = 0; i < count; i++)
        sum += weight((*candidates)[i].logit, logit_max);
    make_heap(*candidates, count, false);
    taken = take_first(*candidates, count, count, (double)s->top_p * (double)sum);
    *candidates += count - taken;
    return taken;
}

static uint32_t draw_perturbed(const struct sampling *s, uint64_t position, const struct candidate *candidates, size_t count)
{
    float threshold = -INFINITY;
    struct winner winner = {.any = false};

    if (s->min_p > 0)
        threshold = best_of(candidates, count).logit + canon_logf(s->min_p);
    for (size_t i = 0; i < count; i++)
        if (candidates[i].logit >= threshold)
            compete(&winner, s, position, candidates[i]);
    return winner.candidate.id;
}

uint32_t sampler_draw(const struct sampling *sampling, uint64_t position, struct candidate *candidates, size_t count)
{
    assert(count >= 1 && count <= CANDIDATES_MAX); /* so that sums of weights fit */
    if (is_greedy(sampling))
        return best_of(candidates, count).id;
    count = apply_top_k(sampling, &candidates, count);
    count = apply_top_p(sampling, &candidates, count);
    return draw_perturbed(sampling, position, candidates, count);
}

uint64_t sampler_digest(uint64_t position, const float *logits, uint32_t id_first, uint32_t rows)
{
    uint64_t sum = 0;

    for (uint32_t row = 0; row < rows; row++)
        sum += hash_words3(position, id_first + row, canon_bits(logits[row]));
    return sum;
}

int sampler_check(const struct sampling *sampling, struct fail *fail)
{
    if (!isfinite(sampling->temperature) || sampling->temperature < 0)
        return fail_set(fail, EXIT_USAGE, "--temp: %g is not possible: give 0 (always the most likely token) or more",
                        (double)sampling->temperature);
    if (!(sampling->top_p > 0 && sampling->top_p <= 1))
        return fail_set(fail, EXIT_USAGE, "--top-p: %g is not possible: give more than 0, up to 1 (off)", (double)sampling->top_p);
    if (!(sampling->min_p >= 0 && sampling->min_p < 1))
        return fail_set(fail, EXIT_USAGE, "--min-p: %g is not possible: give 0 (off) or more, less than 1", (double)sampling->min_p);
    if (!(sampling->repeat_penalty > 0 && isfinite(sampling->repeat_penalty)))
        return fail_set(fail, EXIT_USAGE, "--repeat-penalty: %g is not possible: give more than 0; 1 is off",
                        (double)sampling->repeat_penalty);
    if (!isfinite(sampling->presence_penalty))
        return fail_set(fail, EXIT_USAGE, "--presence-penalty: %g is not a number: give one; 0 is off", (double)sampling->presence_penalty);
    if (!isfinite(sampling->frequency_penalty))
        return fail_set(fail, EXIT_USAGE, "--frequency-penalty: %g is not a number: give one; 0 is off",
                        (double)sampling->frequency_penalty);
    return 0;
}
