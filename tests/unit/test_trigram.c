#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "tests/unit/trigram.h"

enum { BOS = 0, EOS = 1, A = 2, B = 3, C = 4, D = 5, VOCABULARY = 6 };

static void check_near(double found, double expected)
{
    if (!(fabs(found - expected) < 1e-12))
        fail_msg("%.15g, expected %.15g", found, expected);
}

/* The last of these documents is held out. All counts are small, so that the discounts are 0.5, 1 and 1.5. */
static uint32_t small_ids[] = {BOS, A, B, EOS, BOS, A, B, EOS, BOS, A, C, EOS, BOS, B, D, EOS};
static size_t small_starts[] = {0, 4, 8, 12, 16};
static bool small_held_out[] = {false, false, false, true};
static const struct corpus small = {.ids = small_ids,
                                    .starts = small_starts,
                                    .held_out = small_held_out,
                                    .token_count = 16,
                                    .document_count = 4,
                                    .held_out_token_count = 4,
                                    .held_out_document_count = 1};

/* Without context a token counts by the number of different tokens before it: A 1 (BOS), B 1 (A), C 1 (A), EOS 2 (B, C); five in all. The
 * discounts are 3 * 0.5 + 1, half of the total, for the uniform distribution. */
static double alone(double count, double discount)
{
    return (count - discount) / 5 + 0.5 / VOCABULARY;
}

/* After A, by the different tokens before A (BOS only): B 1, C 1; two in all, and 2 * 0.5 for the level below. */
static double after_a(double count, double discount, double below)
{
    return (count - discount) / 2 + 0.5 * below;
}

/* After BOS A: B twice, C once; three in all, and 1 + 0.5 for the level below. */
static double after_bos_a(double count, double discount, double below)
{
    return (count - discount) / 3 + 0.5 * below;
}

static void probabilities_are_those_worked_out_by_hand(void **state)
{
    struct trigram *trigram = trigram_train(&small, VOCABULARY);
    const double a = alone(1, 0.5), b = alone(1, 0.5), c = alone(1, 0.5), eos = alone(2, 1), unseen = alone(0, 0);

    (void)state;
    check_near(trigram_probability(trigram, BOS, A, B), after_bos_a(2, 1, after_a(1, 0.5, b)));
    check_near(trigram_probability(trigram, BOS, A, C), after_bos_a(1, 0.5, after_a(1, 0.5, c)));
    check_near(trigram_probability(trigram, BOS, A, EOS), after_bos_a(0, 0, after_a(0, 0, eos)));
    check_near(trigram_probability(trigram, BOS, A, D), after_bos_a(0, 0, after_a(0, 0, unseen)));

    /* An unseen context is no evidence: as after A alone, and after D as without a context. */
    check_near(trigram_probability(trigram, C, A, B), after_a(1, 0.5, b));
    check_near(trigram_probability(trigram, A, D, EOS), eos);

    /* After BOS, where nothing comes before, occurrences count: A three times of three, discount 1.5. */
    check_near(trigram_probability(trigram, D, BOS, A), (3 - 1.5) / 3 + 1.5 / 3 * a);
    check_near(trigram_probability(trigram, D, BOS, B), 1.5 / 3 * b);
    trigram_free(trigram);
}

static void the_loss_is_the_mean_over_all_held_out_tokens_but_bos(void **state)
{
    struct trigram *trigram = trigram_train(&small, VOCABULARY);
    const double b = trigram_probability(trigram, BOS, BOS, B), d = trigram_probability(trigram, BOS, B, D),
                 eos = trigram_probability(trigram, B, D, EOS);

    (void)state;
    check_near(trigram_held_out_loss(trigram, &small), -(log(b) + log(d) + log(eos)) / 3);
    trigram_free(trigram);
}

static void discounts_follow_from_how_often_small_counts_occur(void **state)
{
    double found[TRIGRAM_DISCOUNTS];

    (void)state;
    trigram_discounts((const uint64_t[4]){80, 20, 10, 6}, found); /* y = 80/120 */
    check_near(found[0], 1 - 2 * (2.0 / 3) * 20 / 80);
    check_near(found[1], 2 - 3 * (2.0 / 3) * 10 / 20);
    check_near(found[2], 3 - 4 * (2.0 / 3) * 6 / 10);
}

static void odd_counts_give_fixed_discounts(void **state)
{
    static const uint64_t odd[][4] = {{0, 0, 0, 0}, {80, 0, 10, 6}, {80, 20, 10, 0}, {80, 20, 60, 6}, {80, 20, 10, 1000}};
    double found[TRIGRAM_DISCOUNTS];

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        trigram_discounts(odd[i], found);
        check_near(found[0], 0.5);
        check_near(found[1], 1);
        check_near(found[2], 1.5);
    }
}

/* ---- a larger corpus ---- */

enum { DOCUMENTS = 600, LENGTH = 42, IDS = 50 };

/* Each token is one of a few that may follow the previous one, often the first of these; some ids never occur. */
static struct corpus random_corpus(uint64_t seed)
{
    struct corpus corpus = {.document_count = DOCUMENTS, .token_count = DOCUMENTS * LENGTH};

    corpus.ids = malloc(corpus.token_count * sizeof *corpus.ids);
    corpus.starts = malloc((DOCUMENTS + 1) * sizeof *corpus.starts);
    corpus.held_out = calloc(DOCUMENTS, sizeof *corpus.held_out);
    assert_true(corpus.ids != NULL && corpus.starts != NULL && corpus.held_out != NULL);
    for (uint32_t document = 0; document <= DOCUMENTS; document++)
        corpus.starts[document] = document * (size_t)LENGTH;
    for (uint32_t document = 0; document < DOCUMENTS; document++) {
        uint32_t *ids = corpus.ids + corpus.starts[document];

        corpus.held_out[document] = document % 10 == 9;
        ids[0] = BOS;
        for (uint32_t i = 1; i + 1 < LENGTH; i++) {
            const uint64_t drawn = hash_words3(seed, document, i);
            const uint64_t choice = drawn % 16 * (drawn >> 8 & 15) >> 4;

            ids[i] = 2 + (uint32_t)(hash_words3(seed, ids[i - 1], choice) % (IDS - 10));
        }
        ids[LENGTH - 1] = EOS;
    }
    return corpus;
}

static void probabilities_of_any_context_add_up_to_one(void **state)
{
    struct corpus corpus = random_corpus(1);
    struct trigram *trigram = trigram_train(&corpus, IDS);

    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        const uint64_t at = hash_words3(2, 0, i) % (corpus.token_count - 2);
        const bool is_seen = i % 2 == 0;
        const uint32_t before = is_seen ? corpus.ids[at] : (uint32_t)(hash_words3(2, 1, i) % IDS),
                       last = is_seen ? corpus.ids[at + 1] : (uint32_t)(hash_words3(2, 2, i) % IDS);
        double sum = 0;

        for (uint32_t next = 0; next < IDS; next++) {
            const double probability = trigram_probability(trigram, before, last, next);

            assert_true(probability > 0 && probability < 1);
            sum += probability;
        }
        check_near(sum, 1);
    }
    trigram_free(trigram);
    corpus_release(&corpus);
}

/* The process has a known entropy; the model comes near it, and a model without knowledge does not. */
static void the_loss_lies_between_the_entropy_and_that_of_guessing(void **state)
{
    struct corpus corpus = random_corpus(3);
    struct trigram *trigram = trigram_train(&corpus, IDS);
    double counts[15] = {0}, entropy = 0;

    (void)state;
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
            counts[i * j >> 4]++;
    for (int i = 0; i < 15; i++)
        entropy -= counts[i] > 0 ? counts[i] / 256 * log(counts[i] / 256) : 0;
    entropy *= (LENGTH - 2.0) / (LENGTH - 1); /* EOS is certain, but only the position tells */

    const double loss = trigram_held_out_loss(trigram, &corpus);

    assert_true(loss > 0.85 * entropy && loss < 1.2 * entropy && loss < log(IDS) - 1);
    trigram_free(trigram);
    corpus_release(&corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probabilities_are_those_worked_out_by_hand),
        cmocka_unit_test(the_loss_is_the_mean_over_all_held_out_tokens_but_bos),
        cmocka_unit_test(discounts_follow_from_how_often_small_counts_occur),
        cmocka_unit_test(odd_counts_give_fixed_discounts),
        cmocka_unit_test(probabilities_of_any_context_add_up_to_one),
        cmocka_unit_test(the_loss_lies_between_the_entropy_and_that_of_guessing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
