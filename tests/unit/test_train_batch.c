#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/train/train_batch.h"
#include "node/train/train_pass.h"

enum { CTX = 20 };

/* Documents of 5, 9, 40 and 2 tokens; a token encodes its document and its place. */
static const size_t start[] = {0, 5, 14, 54, 56};
static uint32_t ids[56];

static struct train_text text_of(const uint32_t *documents, size_t count)
{
    for (uint32_t d = 0; d < 4; d++)
        for (size_t i = start[d]; i < start[d + 1]; i++)
            ids[i] = d * 100 + (uint32_t)(i - start[d]);
    return (struct train_text){ids, start, documents, count};
}

static void a_target_is_the_token_after(void **state)
{
    static const uint32_t all[] = {0, 1, 2, 3};
    const struct train_text text = text_of(all, 4);
    uint32_t id[3 * CTX], target[3 * CTX];

    (void)state;
    for (uint64_t step = 1; step < 50; step++) {
        train_batch_draw(&text, 7, step, 3, CTX, id, target);
        for (size_t i = 0; i < 3 * CTX; i++)
            assert_int_equal(target[i], id[i] + 1);
        for (size_t row = 0; row < 3; row++)
            if (id[row * CTX] / 100 != 2)
                assert_int_equal(id[row * CTX] % 100, 0); /* only documents longer than a row begin elsewhere */
    }
}

static void rows_are_a_function_of_seed_and_step(void **state)
{
    static const uint32_t all[] = {0, 1, 2, 3};
    const struct train_text text = text_of(all, 4);
    uint32_t id[2][2 * CTX], target[2][2 * CTX];

    (void)state;
    train_batch_draw(&text, 7, 3, 2, CTX, id[0], target[0]);
    train_batch_draw(&text, 7, 4, 2, CTX, id[1], target[1]);
    assert_memory_not_equal(id[0], id[1], sizeof *id);
    train_batch_draw(&text, 7, 3, 2, CTX, id[1], target[1]);
    assert_memory_equal(id[0], id[1], sizeof *id);
    train_batch_draw(&text, 8, 3, 2, CTX, id[1], target[1]);
    assert_memory_not_equal(id[0], id[1], sizeof *id);
}

static void every_place_of_a_long_document_is_drawn(void **state)
{
    static const uint32_t long_one[] = {2};
    const struct train_text text = text_of(long_one, 1);
    uint32_t id[CTX], target[CTX];
    bool seen[40] = {false};

    (void)state;
    for (uint64_t step = 1; step < 500; step++) {
        train_batch_draw(&text, 1, step, 1, CTX, id, target);
        seen[id[0] % 100] = true;
        assert_true(target[CTX - 1] % 100 <= 39);
    }
    for (size_t first = 0; first <= 39 - CTX; first++)
        assert_true(seen[first]);
}

static void held_out_text_comes_once_and_whole(void **state)
{
    static const uint32_t all[] = {0, 1, 2, 3};
    const struct train_text text = text_of(all, 4);
    struct train_cursor cursor = {0};
    uint32_t id[2 * CTX], target[2 * CTX];
    unsigned seen[400] = {0};
    size_t total = 0, pairs;

    (void)state;
    while ((pairs = train_batch_next(&text, &cursor, 2, CTX, id, target)) > 0) {
        size_t here = 0;

        for (size_t i = 0; i < 2 * CTX; i++) {
            if (target[i] == TRAIN_IGNORED)
                continue;
            assert_int_equal(target[i], id[i] + 1);
            seen[id[i]]++;
            here++;
        }
        assert_int_equal(here, pairs);
        total += pairs;
    }
    assert_int_equal(total, 4 + 8 + 39 + 1);
    for (uint32_t d = 0; d < 4; d++)
        for (size_t i = start[d]; i + 1 < start[d + 1]; i++)
            assert_int_equal(seen[ids[i]], 1);
}

static void a_short_document_is_not_cut_when_held_out(void **state)
{
    static const uint32_t three[] = {1, 1, 1}; /* 8 pairs each: two fit a row of 20 */
    const struct train_text text = text_of(three, 3);
    struct train_cursor cursor = {0};
    uint32_t id[CTX], target[CTX];

    (void)state;
    assert_int_equal(train_batch_next(&text, &cursor, 1, CTX, id, target), 16);
    assert_int_equal(target[16], TRAIN_IGNORED);
    assert_int_equal(train_batch_next(&text, &cursor, 1, CTX, id, target), 8);
    assert_int_equal(train_batch_next(&text, &cursor, 1, CTX, id, target), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_the_token_after),
        cmocka_unit_test(rows_are_a_function_of_seed_and_step),
        cmocka_unit_test(every_place_of_a_long_document_is_drawn),
        cmocka_unit_test(held_out_text_comes_once_and_whole),
        cmocka_unit_test(a_short_document_is_not_cut_when_held_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
