#include "trigram.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { ID_BITS = 21, LEVELS = 3 };

struct context {
    uint64_t key;
    double count;        /* of all that follows */
    double lower_weight; /* of the level below */
};

/* An n-gram's key is that of its context and, in the lowest ID_BITS, its last token. */
struct level {
    uint64_t *grams;  /* (gram_count) ascending */
    uint32_t *counts; /* (gram_count) */
    size_t gram_count;
    struct context *contexts; /* (context_count) ascending */
    size_t context_count;
    double discounts[TRIGRAM_DISCOUNTS];
};

struct trigram {
    uint32_t vocabulary;
    uint32_t bos;
    struct level levels[LEVELS]; /* [0] without context, [1] after one token, [2] after two */
};

static void *allocate(size_t count, size_t size)
{
    void *memory = malloc(count * size + 1);

    assert(memory != NULL);
    return memory;
}

static uint64_t append(uint64_t context, uint32_t id)
{
    return context << ID_BITS | id;
}

static uint32_t last_of(uint64_t gram)
{
    return (uint32_t)(gram & (((uint64_t)1 << ID_BITS) - 1));
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* ---- training ---- */

void trigram_discounts(const uint64_t occurring[4], double discounts[TRIGRAM_DISCOUNTS])
{
    const double once = (double)occurring[0];
    const double y = once / (once + 2 * (double)occurring[1]);
    bool is_usable = occurring[0] > 0 && occurring[1] > 0 && occurring[2] > 0 && occurring[3] > 0;

    for (int i = 0; i < TRIGRAM_DISCOUNTS && is_usable; i++) {
        discounts[i] = i + 1 - (i + 2) * y * (double)occurring[i + 1] / (double)occurring[i];
        is_usable = discounts[i] > 0 && discounts[i] < i + 1;
    }
    for (int i = 0; i < TRIGRAM_DISCOUNTS && !is_usable; i++)
        discounts[i] = 0.5 * (i + 1);
}

static double discount(const struct level *level, uint32_t count)
{
    return level->discounts[count < TRIGRAM_DISCOUNTS ? count - 1 : TRIGRAM_DISCOUNTS - 1];
}

static void find_discounts(struct level *level)
{
    uint64_t occurring[4] = {0};

    for (size_t i = 0; i < level->gram_count; i++)
        if (level->counts[i] <= 4)
            occurring[level->counts[i] - 1]++;
    trigram_discounts(occurring, level->discounts);
}

/* What discounts take from seen n-grams goes to the level below. */
static void find_contexts(struct level *level)
{
    level->contexts = allocate(level->gram_count, sizeof *level->contexts);
    for (size_t i = 0; i < level->gram_count; i++) {
        const uint64_t key = level->grams[i] >> ID_BITS;
        struct context *context;

        if (level->context_count == 0 || level->contexts[level->context_count - 1].key != key)
            level->contexts[level->context_count++] = (struct context){.key = key};
        context = &level->contexts[level->context_count - 1];
        context->count += level->counts[i];
        context->lower_weight += discount(level, level->counts[i]);
    }
    for (size_t i = 0; i < level->context_count; i++)
        level->contexts[i].lower_weight /= level->contexts[i].count;
}

/* Takes occurrences, one key each, and counts equal keys. */
static void build_level(struct level *level, uint64_t *occurrences, size_t count)
{
    level->grams = occurrences;
    level->counts = allocate(count, sizeof *level->counts);
    qsort(occurrences, count, sizeof *occurrences, compare_keys);
    for (size_t i = 0; i < count; i++) {
        if (level->gram_count > 0 && level->grams[level->gram_count - 1] == occurrences[i]) {
            level->counts[level->gram_count - 1]++;
        } else {
            level->grams[level->gram_count] = occurrences[i];
            level->counts[level->gram_count++] = 1;
        }
    }
    find_discounts(level);
    find_contexts(level);
}

/* Every trigram of the training documents to `three`, and the bigrams that begin with BOS, which nothing precedes, to `two`. */
static void collect(struct trigram *trigram, const struct corpus *corpus, uint64_t *three, size_t *three_count, uint64_t *two,
                    size_t *two_count)
{
    *three_count = *two_count = 0;
    for (uint32_t document = 0; document < corpus->document_count; document++) {
        const uint32_t *ids = corpus->ids + corpus->starts[document];
        const size_t count = corpus->starts[document + 1] - corpus->starts[document];

        if (corpus_is_held_out(corpus, document))
            continue;
        assert(count >= 2 && ids[0] == trigram->bos && ids[1] < trigram->vocabulary);
        two[(*two_count)++] = append(ids[0], ids[1]);
        for (size_t i = 2; i < count; i++) {
            assert(ids[i] < trigram->vocabulary);
            three[(*three_count)++] = append(append(ids[i - 2], ids[i - 1]), ids[i]);
        }
    }
}

struct trigram *trigram_train(const struct corpus *corpus, uint32_t vocabulary)
{
    struct trigram *trigram = calloc(1, sizeof *trigram);
    uint64_t *three = allocate(corpus->token_count, sizeof *three), *two = allocate(corpus->token_count, sizeof *two), *one;
    size_t three_count, two_count;
    const struct level *trigrams, *bigrams;

    assert(trigram != NULL && vocabulary > 0 && vocabulary < 1u << ID_BITS);
    trigram->vocabulary = vocabulary;
    trigram->bos = corpus->ids[0];
    trigrams = &trigram->levels[2];
    bigrams = &trigram->levels[1];
    collect(trigram, corpus, three, &three_count, two, &two_count);
    build_level(&trigram->levels[2], three, three_count);
    for (size_t i = 0; i < trigrams->gram_count; i++)
        two[two_count++] = append(last_of(trigrams->grams[i] >> ID_BITS), last_of(trigrams->grams[i]));
    build_level(&trigram->levels[1], two, two_count);
    one = allocate(bigrams->gram_count, sizeof *one);
    for (size_t i = 0; i < bigrams->gram_count; i++)
        one[i] = last_of(bigrams->grams[i]);
    build_level(&trigram->levels[0], one, bigrams->gram_count);
    return trigram;
}

void trigram_free(struct trigram *trigram)
{
    for (int i = 0; i < LEVELS; i++) {
        free(trigram->levels[i].grams);
        free(trigram->levels[i].counts);
        free(trigram->levels[i].contexts);
    }
    free(trigram);
}

/* ---- probabilities ---- */

static double interpolate(const struct level *level, uint64_t context_key, uint32_t next, double lower)
{
    const uint64_t gram = append(context_key, next);
    const struct context *context =
        bsearch(&context_key, level->contexts, level->context_count, sizeof *level->contexts, compare_keys); /* the key comes first */
    const uint64_t *found;
    double seen = 0;

    if (context == NULL)
        return lower;
    found = bsearch(&gram, level->grams, level->gram_count, sizeof *level->grams, compare_keys);
    if (found != NULL) {
        const uint32_t count = level->counts[found - level->grams];

        seen = ((double)count - discount(level, count)) / context->count;
    }
    return seen + context->lower_weight * lower;
}

double trigram_probability(const struct trigram *trigram, uint32_t before, uint32_t last, uint32_t next)
{
    double probability = 1.0 / trigram->vocabulary;

    probability = interpolate(&trigram->levels[0], 0, next, probability);
    probability = interpolate(&trigram->levels[1], last, next, probability);
    return last == trigram->bos ? probability : interpolate(&trigram->levels[2], append(before, last), next, probability);
}

double trigram_held_out_loss(const struct trigram *trigram, const struct corpus *corpus)
{
    double sum = 0;
    size_t tokens = 0;

    for (uint32_t document = 0; document < corpus->document_count; document++) {
        if (!corpus_is_held_out(corpus, document))
            continue;
        for (size_t i = corpus->starts[document] + 1; i < corpus->starts[document + 1]; i++, tokens++) {
            const uint32_t last = corpus->ids[i - 1];

            sum -= log(trigram_probability(trigram, last == trigram->bos ? 0 : corpus->ids[i - 2], last, corpus->ids[i]));
        }
    }
    assert(tokens > 0);
    return sum / (double)tokens;
}
