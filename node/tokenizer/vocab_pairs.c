#include "vocab_pairs.h"

#include <assert.h>
#include <stdlib.h>

#include "node/common/hash.h"

#define NONE UINT32_MAX

/* One character of the sequence, or a gap. The first and the last of a symbol's places have its piece, so that both neighbours find it; the
 * first one also represents the pair of this symbol and the next. */
struct place {
    uint32_t piece; /* NONE: a gap */
    uint32_t weight;
    uint32_t pair;          /* index, or NONE */
    uint32_t before, after; /* other places of the same pair, in no order */
};

struct pair {
    uint32_t left, right;
    uint32_t count;
    uint32_t first; /* place, or NONE */
};

/* A pair and its count when it was pushed; the count may have fallen since. */
struct candidate {
    uint32_t count;
    uint32_t pair;
};

struct vocab_pairs {
    struct place *places; /* (place_count), the first and the last are gaps */
    uint32_t place_count, place_room;
    uint32_t *characters; /* (piece_count) of each piece: places of its symbols */
    uint32_t piece_count;
    struct pair *pairs; /* (pair_count) */
    uint32_t pair_count, pair_room;
    uint64_t seed;   /* of the table */
    uint32_t *slots; /* (slot_mask + 1) index of the pair + 1, 0 is free; at most half are taken */
    uint32_t slot_mask;
    struct candidate *heap; /* (heap_count) the best first; room as for pairs, each is in it once at most */
    uint32_t heap_count;
    uint32_t *found; /* (found_room) places of the pair being merged */
    uint32_t found_room;
    bool is_out_of_memory;
};

static int fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "vocabulary: out of memory for the words of the text: give a shorter one");
}

struct vocab_pairs *vocab_pairs_open(uint32_t place_count, uint32_t piece_count, struct fail *fail)
{
    struct vocab_pairs *pairs = calloc(1, sizeof *pairs);

    assert(place_count <= UINT32_MAX - 2 && piece_count < NONE);
    if (pairs != NULL) {
        pairs->seed = hash_random_seed();
        pairs->place_room = place_count + 2;
        pairs->places = malloc(pairs->place_room * sizeof *pairs->places);
        pairs->piece_count = piece_count;
        pairs->characters = malloc((piece_count + 1) * sizeof *pairs->characters);
    }
    if (pairs == NULL || pairs->places == NULL || pairs->characters == NULL) {
        vocab_pairs_close(pairs);
        fail_memory(fail);
        return NULL;
    }
    for (uint32_t piece = 0; piece < piece_count; piece++)
        pairs->characters[piece] = 1;
    vocab_pairs_append_gap(pairs);
    return pairs;
}

void vocab_pairs_close(struct vocab_pairs *pairs)
{
    if (pairs == NULL)
        return;
    free(pairs->places);
    free(pairs->characters);
    free(pairs->pairs);
    free(pairs->slots);
    free(pairs->heap);
    free(pairs->found);
    free(pairs);
}

void vocab_pairs_append(struct vocab_pairs *pairs, uint32_t piece, uint32_t weight)
{
    assert(pairs->place_count < pairs->place_room && (piece == NONE || piece < pairs->piece_count));
    pairs->places[pairs->place_count++] = (struct place){.piece = piece, .weight = weight, .pair = NONE};
}

void vocab_pairs_append_gap(struct vocab_pairs *pairs)
{
    vocab_pairs_append(pairs, NONE, 0);
}

/* ---- the table of pairs ---- */

static uint32_t *slot_of(const struct vocab_pairs *pairs, uint32_t left, uint32_t right)
{
    uint32_t at = (uint32_t)hash_mix64(pairs->seed ^ ((uint64_t)left << 32 | right)) & pairs->slot_mask;

    for (;; at = (at + 1) & pairs->slot_mask) {
        const uint32_t slot = pairs->slots[at];

        if (slot == 0 || (pairs->pairs[slot - 1].left == left && pairs->pairs[slot - 1].right == right))
            return &pairs->slots[at];
    }
}

static bool grow_pairs(struct vocab_pairs *pairs)
{
    const uint32_t room = pairs->pair_room != 0 ? 2 * pairs->pair_room : 1024;
    struct pair *grown = realloc(pairs->pairs, room * sizeof *grown);
    struct candidate *heap = grown != NULL ? realloc(pairs->heap, room * sizeof *heap) : NULL;
    uint32_t *slots = heap != NULL ? calloc(2 * (size_t)room, sizeof *slots) : NULL;

    if (grown != NULL)
        pairs->pairs = grown;
    if (heap != NULL)
        pairs->heap = heap;
    if (slots == NULL) {
        pairs->is_out_of_memory = true;
        return false;
    }
    free(pairs->slots);
    pairs->slots = slots;
    pairs->slot_mask = 2 * room - 1;
    pairs->pair_room = room;
    for (uint32_t i = 0; i < pairs->pair_count; i++)
        *slot_of(pairs, grown[i].left, grown[i].right) = i + 1;
    return true;
}

/* The index of a pair, a new one with a count of 0; NONE without memory, which is remembered. */
static uint32_t find_pair(struct vocab_pairs *pairs, uint32_t left, uint32_t right)
{
    if (pairs->pair_count == pairs->pair_room && !grow_pairs(pairs))
        return NONE;

    uint32_t *slot = slot_of(pairs, left, right);

    if (*slot == 0) {
        pairs->pairs[pairs->pair_count] = (struct pair){.left = left, .right = right, .first = NONE};
        *slot = ++pairs->pair_count;
    }
    return *slot - 1;
}

/* ---- where pairs are ---- */

static void add_place(struct vocab_pairs *pairs, uint32_t at, uint32_t left, uint32_t right)
{
    struct place *place = &pairs->places[at];
    const uint32_t index = find_pair(pairs, left, right);

    assert(place->pair == NONE);
    if (index == NONE)
        return;

    struct pair *pair = &pairs->pairs[index];

    place->pair = index;
    place->before = NONE;
    place->after = pair->first;
    if (pair->first != NONE)
        pairs->places[pair->first].before = at;
    pair->first = at;
    pair->count += place->weight;
}

static void remove_place(struct vocab_pairs *pairs, uint32_t at)
{
    struct place *place = &pairs->places[at];

    if (place->pair == NONE)
        return;

    struct pair *pair = &pairs->pairs[place->pair];

    if (place->before != NONE)
        pairs->places[place->before].after = place->after;
    else
        pair->first = place->after;
    if (place->after != NONE)
        pairs->places[place->after].before = place->before;
    assert(pair->count >= place->weight);
    pair->count -= place->weight;
    place->pair = NONE;
}

/* ---- the most frequent one ---- */

static bool comes_first(const struct vocab_pairs *pairs, const struct candidate *a, const struct candidate *b)
{
    const struct pair *pair_a = &pairs->pairs[a->pair], *pair_b = &pairs->pairs[b->pair];

    if (a->count != b->count)
        return a->count > b->count;
    return pair_a->left != pair_b->left ? pair_a->left < pair_b->left : pair_a->right < pair_b->right;
}

static void push(struct vocab_pairs *pairs, uint32_t index)
{
    const struct candidate candidate = {.count = pairs->pairs[index].count, .pair = index};
    uint32_t at;

    if (candidate.count < VOCAB_PAIRS_COUNT_MIN)
        return;
    assert(pairs->heap_count < pairs->pair_room);
    for (at = pairs->heap_count++; at > 0 && comes_first(pairs, &candidate, &pairs->heap[(at - 1) / 2]); at = (at - 1) / 2)
        pairs->heap[at] = pairs->heap[(at - 1) / 2];
    pairs->heap[at] = candidate;
}

static struct candidate pop(struct vocab_pairs *pairs)
{
    const struct candidate best = pairs->heap[0];
    const struct candidate last = pairs->heap[--pairs->heap_count];
    uint32_t at = 0;

    for (uint32_t child = 1; child < pairs->heap_count; child = 2 * at + 1) {
        if (child + 1 < pairs->heap_count && comes_first(pairs, &pairs->heap[child + 1], &pairs->heap[child]))
            child++;
        if (!comes_first(pairs, &pairs->heap[child], &last))
            break;
        pairs->heap[at] = pairs->heap[child];
        at = child;
    }
    pairs->heap[at] = last;
    return best;
}

int vocab_pairs_count(struct vocab_pairs *pairs, struct fail *fail)
{
    vocab_pairs_append_gap(pairs);
    for (uint32_t at = 0; at + 1 < pairs->place_count; at++)
        if (pairs->places[at].piece != NONE && pairs->places[at + 1].piece != NONE)
            add_place(pairs, at, pairs->places[at].piece, pairs->places[at + 1].piece);
    for (uint32_t i = 0; i < pairs->pair_count; i++)
        push(pairs, i);
    return pairs->is_out_of_memory ? fail_memory(fail) : 0;
}

/* A count only falls once its pair is in the heap: all occurrences of a pair arise when the newer of its two pieces does. */
bool vocab_pairs_next(struct vocab_pairs *pairs, struct vocab_pair *best)
{
    while (pairs->heap_count > 0) {
        const struct candidate candidate = pop(pairs);
        const struct pair *pair = &pairs->pairs[candidate.pair];

        if (candidate.count != pair->count) {
            push(pairs, candidate.pair);
            continue;
        }
        *best = (struct vocab_pair){.index = candidate.pair,
                                    .left = pair->left,
                                    .right = pair->right,
                                    .count = pair->count,
                                    .characters = pairs->characters[pair->left] + pairs->characters[pair->right]};
        return true;
    }
    return false;
}

/* ---- merging ---- */

static int compare_places(const void *a, const void *b)
{
    const uint32_t place_a = *(const uint32_t *)a, place_b = *(const uint32_t *)b;

    return place_a < place_b ? -1 : place_a > place_b;
}

/* The places of a pair, from left to right; *count of them. */
static int find_places(struct vocab_pairs *pairs, const struct pair *pair, uint32_t *count, struct fail *fail)
{
    *count = 0;
    for (uint32_t at = pair->first; at != NONE; at = pairs->places[at].after) {
        if (*count == pairs->found_room) {
            const uint32_t room = 2 * pairs->found_room + 1024;
            uint32_t *found = realloc(pairs->found, room * sizeof *found);

            if (found == NULL)
                return fail_memory(fail);
            pairs->found = found;
            pairs->found_room = room;
        }
        pairs->found[(*count)++] = at;
    }
    if (pair->left == pair->right) /* other pairs cannot overlap, so their order does not matter */
        qsort(pairs->found, *count, sizeof *pairs->found, compare_places);
    return 0;
}

static void join(struct vocab_pairs *pairs, uint32_t at, const struct vocab_pair *pair, uint32_t piece)
{
    struct place *places = pairs->places;
    const uint32_t right_at = at + pairs->characters[pair->left];
    const uint32_t after = at + pair->characters;
    const uint32_t piece_before = places[at - 1].piece, piece_after = places[after].piece;
    const uint32_t before = piece_before != NONE ? at - pairs->characters[piece_before] : NONE;

    remove_place(pairs, at);
    remove_place(pairs, right_at);
    places[at].piece = piece;
    places[after - 1].piece = piece;
    if (before != NONE) {
        remove_place(pairs, before);
        add_place(pairs, before, piece_before, piece);
    }
    if (piece_after != NONE)
        add_place(pairs, at, piece, piece_after);
}

int vocab_pairs_merge(struct vocab_pairs *pairs, const struct vocab_pair *pair, uint32_t piece, struct fail *fail)
{
    const uint32_t first_new = pairs->pair_count;
    uint32_t count;

    assert(piece < pairs->piece_count && piece > pair->left && piece > pair->right);
    if (find_places(pairs, &pairs->pairs[pair->index], &count, fail) < 0)
        return -1;
    pairs->characters[piece] = pair->characters;
    for (uint32_t i = 0; i < count; i++)
        if (pairs->places[pairs->found[i]].pair == pair->index) /* not overlapped by the previous one */
            join(pairs, pairs->found[i], pair, piece);
    for (uint32_t i = first_new; i < pairs->pair_count; i++)
        push(pairs, i);
    return pairs->is_out_of_memory ? fail_memory(fail) : 0;
}
