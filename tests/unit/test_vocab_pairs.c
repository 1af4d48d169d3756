#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/tokenizer/vocab_pairs.h"

enum { PIECES = 40, PLACES = 64 };

/* Letters are pieces 0 to 25, a space is a gap; every symbol counts `weight` times. */
static struct vocab_pairs *open_text(const char *text, uint32_t weight)
{
    struct fail fail;
    struct vocab_pairs *pairs = vocab_pairs_open(PLACES, PIECES, &fail);

    assert_non_null(pairs);
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            vocab_pairs_append_gap(pairs);
        else
            vocab_pairs_append(pairs, (uint32_t)(*text - 'a'), weight);
    }
    assert_int_equal(vocab_pairs_count(pairs, &fail), 0);
    return pairs;
}

static struct vocab_pair expect(struct vocab_pairs *pairs, uint32_t left, uint32_t right, uint32_t count)
{
    struct vocab_pair pair;

    assert_true(vocab_pairs_next(pairs, &pair));
    assert_int_equal(pair.left, left);
    assert_int_equal(pair.right, right);
    assert_int_equal(pair.count, count);
    return pair;
}

static void merge(struct vocab_pairs *pairs, const struct vocab_pair *pair, uint32_t piece)
{
    struct fail fail;

    assert_int_equal(vocab_pairs_merge(pairs, pair, piece, &fail), 0);
}

static void expect_end(struct vocab_pairs *pairs)
{
    struct vocab_pair pair;

    assert_false(vocab_pairs_next(pairs, &pair));
    vocab_pairs_close(pairs);
}

static void the_most_frequent_pair_comes_first(void **state)
{
    struct vocab_pairs *pairs = open_text("ab cd cd cd ab cx", 1);

    (void)state;
    expect(pairs, 2, 3, 3);
    expect(pairs, 0, 1, 2);
    expect_end(pairs); /* "cx" occurs once */
}

static void of_equal_pairs_the_lower_left_and_then_the_lower_right_comes_first(void **state)
{
    struct vocab_pairs *pairs = open_text("bz ca bz ca by by", 1);

    (void)state;
    expect(pairs, 1, 24, 2);
    expect(pairs, 1, 25, 2);
    expect(pairs, 2, 0, 2);
    expect_end(pairs);
}

static void nothing_is_joined_across_a_gap(void **state)
{
    struct vocab_pairs *pairs = open_text("a b a b a b", 9);

    (void)state;
    expect_end(pairs);
}

static void weights_count_as_occurrences(void **state)
{
    struct vocab_pairs *pairs = open_text("ab bc bc", 5);

    (void)state;
    expect(pairs, 1, 2, 10);
    expect(pairs, 0, 1, 5);
    expect_end(pairs);
}

static void a_merge_takes_its_neighbours_pairs_away_and_makes_new_ones(void **state)
{
    struct vocab_pairs *pairs = open_text("xaby xaby ab by", 1);
    struct vocab_pair pair;

    (void)state;
    pair = expect(pairs, 0, 1, 3); /* (a b) before (b y), which has three too */
    merge(pairs, &pair, 30);
    pair = expect(pairs, 23, 30, 2); /* (x ab); of (b y) and (x a) there is one and none left */
    assert_int_equal(pair.characters, 3);
    merge(pairs, &pair, 31);
    pair = expect(pairs, 31, 24, 2); /* (xab y); (ab y) is gone */
    merge(pairs, &pair, 32);
    expect_end(pairs);
}

static void of_overlapping_occurrences_the_first_is_merged(void **state)
{
    struct vocab_pairs *pairs = open_text("aaaaa aab", 1);
    struct vocab_pair pair;

    (void)state;
    pair = expect(pairs, 0, 0, 5);
    merge(pairs, &pair, 30); /* aa aa a, aa b */
    expect_end(pairs);
    pairs = open_text("aaaa aaaa", 1);
    pair = expect(pairs, 0, 0, 6);
    merge(pairs, &pair, 30);
    pair = expect(pairs, 30, 30, 2);
    assert_int_equal(pair.characters, 4);
    merge(pairs, &pair, 31);
    expect_end(pairs);
}

static void a_pair_that_was_not_merged_does_not_come_again(void **state)
{
    struct vocab_pairs *pairs = open_text("abc abc", 2);

    (void)state;
    expect(pairs, 0, 1, 4);
    const struct vocab_pair pair = expect(pairs, 1, 2, 4);

    merge(pairs, &pair, 30);
    expect(pairs, 0, 30, 4);
    expect_end(pairs);
}

static void a_sequence_without_symbols_has_no_pairs(void **state)
{
    (void)state;
    expect_end(open_text("", 1));
    expect_end(open_text("a", 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_frequent_pair_comes_first),
        cmocka_unit_test(of_equal_pairs_the_lower_left_and_then_the_lower_right_comes_first),
        cmocka_unit_test(nothing_is_joined_across_a_gap),
        cmocka_unit_test(weights_count_as_occurrences),
        cmocka_unit_test(a_merge_takes_its_neighbours_pairs_away_and_makes_new_ones),
        cmocka_unit_test(of_overlapping_occurrences_the_first_is_merged),
        cmocka_unit_test(a_pair_that_was_not_merged_does_not_come_again),
        cmocka_unit_test(a_sequence_without_symbols_has_no_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
