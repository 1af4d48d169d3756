/* What is kept of requests between epochs: which of two copies stays, for how long, and of how many requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/saved_kv.h"
#include "node/kernel/kernel_kv.h"

enum { LAYERS = 2, HEAD_DIM = 32, HEADS = 2 };

static const struct saved_kv_shape shape = {.layers = LAYERS, .head_dim = HEAD_DIM, .type = KV_F16};
static struct saved_kv saved, other;

static int open_both(void **state)
{
    (void)state;
    saved = (struct saved_kv){.shape = shape};
    other = (struct saved_kv){.shape = shape};
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    saved_kv_release(&saved);
    saved_kv_release(&other);
    return 0;
}

/* All of its bytes have this value. */
static void keep(struct saved_kv *into, uint64_t request, uint32_t head, uint32_t positions, uint8_t value)
{
    struct saved_kv_head *kept;

    assert_true(saved_kv_note(into, request, positions));
    kept = saved_kv_add(into, request, head, positions);
    assert_non_null(kept);
    memset(kept->bytes, value, saved_kv_bytes(&shape, positions));
}

static void assert_kept(uint64_t request, uint32_t head, uint32_t positions, uint8_t value)
{
    const struct saved_kv_head *kept = saved_kv_find(&saved, request, head);

    assert_non_null(kept);
    assert_int_equal(kept->request, request);
    assert_int_equal(kept->head, head);
    assert_int_equal(kept->positions, positions);
    assert_int_equal(kept->bytes[0], value);
    assert_int_equal(kept->bytes[saved_kv_bytes(&shape, positions) - 1], value);
}

static void the_longer_of_two_copies_stays(void **state)
{
    (void)state;
    keep(&saved, 1, 0, 20, 'a');
    assert_null(saved_kv_add(&saved, 1, 0, 20));
    assert_null(saved_kv_add(&saved, 1, 0, 19));
    assert_kept(1, 0, 20, 'a');
    keep(&saved, 1, 0, 21, 'b');
    assert_kept(1, 0, 21, 'b');
    assert_int_equal(saved.count, 1);
    assert_int_equal(saved_kv_request(&saved, 1)->positions, 21);
    assert_true(saved_kv_note(&saved, 1, 5)); /* less than was computed before */
    assert_int_equal(saved_kv_request(&saved, 1)->positions, 21);
}

static void a_request_has_the_positions_that_all_of_its_heads_have(void **state)
{
    (void)state;
    keep(&saved, 1, 3, 20, 'a');
    keep(&saved, 1, 4, 17, 'b');
    keep(&saved, 1, 5, 40, 'c');
    keep(&saved, 2, 6, 50, 'd');
    assert_int_equal(saved_kv_positions(&saved, 1, 3, 3), 17);
    assert_int_equal(saved_kv_positions(&saved, 1, 5, 1), 40);
    assert_int_equal(saved_kv_positions(&saved, 1, 5, 2), 0);
    assert_int_equal(saved_kv_positions(&saved, 1, 2, 2), 0);
    assert_int_equal(saved_kv_positions(&saved, 2, 3, 1), 0);
    assert_int_equal(saved_kv_positions(&saved, 3, 0, 0), UINT32_MAX);
}

static void what_is_merged_moves_and_the_longer_copy_stays(void **state)
{
    (void)state;
    keep(&saved, 1, 0, 20, 'a');
    keep(&saved, 1, 1, 20, 'b');
    keep(&other, 1, 0, 32, 'c');
    keep(&other, 1, 1, 16, 'd');
    for (uint64_t request = 2; request < 40; request++) /* more than there is room for at first */
        keep(&other, request, 7, 16, (uint8_t)request);
    saved_kv_merge(&saved, &other);
    assert_kept(1, 0, 32, 'c');
    assert_kept(1, 1, 20, 'b');
    for (uint64_t request = 2; request < 40; request++)
        assert_kept(request, 7, 16, (uint8_t)request);
    assert_int_equal(saved.count, 40);
    assert_int_equal(saved.request_count, 39);
    assert_int_equal(saved_kv_request(&saved, 1)->positions, 32);
    assert_int_equal(other.count, 0);
    assert_int_equal(other.request_count, 0);
    assert_null(other.head);
    assert_memory_equal(&other.shape, &shape, sizeof shape);
}

static void what_is_dropped_leaves_all_the_rest(void **state)
{
    (void)state;
    for (uint64_t request = 1; request <= 5; request++)
        for (uint32_t head = 0; head < HEADS; head++)
            keep(&saved, request, head, 16, (uint8_t)(10 * request + head));
    saved_kv_drop(&saved, 5);
    saved_kv_drop(&saved, 2);
    saved_kv_drop(&saved, 7); /* not there */
    assert_int_equal(saved.request_count, 3);
    assert_int_equal(saved.count, 3 * HEADS);
    for (uint64_t request = 1; request <= 5; request++) {
        const bool is_kept = request != 2 && request != 5;

        assert_int_equal(saved_kv_request(&saved, request) != NULL, is_kept);
        for (uint32_t head = 0; head < HEADS; head++)
            if (is_kept)
                assert_kept(request, head, 16, (uint8_t)(10 * request + head));
            else
                assert_null(saved_kv_find(&saved, request, head));
    }
}

/* An epoch may end before the request has begun in it. */
static void what_two_epochs_did_not_need_is_dropped(void **state)
{
    (void)state;
    keep(&saved, 1, 0, 16, 'a');
    keep(&saved, 2, 0, 16, 'b');
    keep(&saved, 3, 0, 16, 'c');
    saved_kv_age(&saved);
    saved_kv_age(&saved);
    assert_int_equal(saved.request_count, 3);
    assert_true(saved_kv_note(&saved, 2, 16)); /* it was resumed, and computed by the last engine */
    saved_kv_age(&saved);
    assert_int_equal(saved.request_count, 1);
    assert_int_equal(saved.count, 1);
    assert_kept(2, 0, 16, 'b');
    saved_kv_age(&saved);
    assert_int_equal(saved.count, 1);
    saved_kv_age(&saved);
    assert_int_equal(saved.count, 0);
}

static void a_merged_request_is_as_old_as_the_younger_copy(void **state)
{
    (void)state;
    keep(&saved, 1, 0, 16, 'a');
    keep(&other, 2, 0, 16, 'b');
    saved_kv_age(&saved);
    saved_kv_age(&other);
    keep(&saved, 2, 1, 16, 'c');
    keep(&other, 1, 1, 16, 'd');
    saved_kv_age(&other);
    keep(&other, 3, 0, 16, 'e');
    saved_kv_age(&other);
    assert_int_equal(saved_kv_request(&other, 1)->epochs, 2);
    saved_kv_merge(&saved, &other);
    assert_int_equal(saved_kv_request(&saved, 1)->epochs, 1);
    assert_int_equal(saved_kv_request(&saved, 2)->epochs, 0);
    assert_int_equal(saved_kv_request(&saved, 3)->epochs, 1);
}

/* Nothing would ever drop them. */
static void no_heads_are_kept_of_requests_that_are_too_many(void **state)
{
    (void)state;
    for (uint64_t request = 1; request < SAVED_KV_REQUESTS_MAX; request++)
        assert_true(saved_kv_note(&saved, request, 16));
    keep(&other, 1, 0, 32, 'a');
    keep(&other, 200, 0, 16, 'b');
    keep(&other, 201, 0, 16, 'c');
    saved_kv_merge(&saved, &other);
    assert_int_equal(saved.request_count, SAVED_KV_REQUESTS_MAX);
    assert_kept(1, 0, 32, 'a');
    assert_kept(200, 0, 16, 'b');
    assert_null(saved_kv_request(&saved, 201));
    assert_null(saved_kv_find(&saved, 201, 0));
    assert_false(saved_kv_note(&saved, 201, 16));
    assert_true(saved_kv_note(&saved, 200, 16)); /* known ones are */
}

/* Pieces of `positions`: a value for each layer's K, and the next one for its V. */
static void fill(uint8_t *bytes, uint32_t positions, uint8_t value)
{
    const size_t k = saved_kv_k_bytes(&shape, positions), v = saved_kv_v_bytes(&shape, positions);

    for (unsigned layer = 0; layer < LAYERS; layer++, bytes += k + v) {
        memset(bytes, value + 2 * (int)layer, k);
        memset(bytes + k, value + 2 * (int)layer + 1, v);
    }
}

static const uint8_t *assert_filled(const uint8_t *bytes, size_t size, int value)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], value);
    return bytes + size;
}

static void a_head_is_extended_from_where_it_ends_and_nowhere_else(void **state)
{
    const size_t all = saved_kv_bytes(&shape, 48);
    const size_t k = saved_kv_k_bytes(&shape, 16), v = saved_kv_v_bytes(&shape, 16);
    uint8_t *bytes = malloc(all);

    (void)state;
    assert_non_null(bytes);
    fill(bytes, 16, 'a');
    assert_false(saved_kv_extend(&saved, 1, 0, 16, 32, bytes));
    assert_true(saved_kv_extend(&saved, 1, 0, 0, 16, bytes));
    fill(bytes, 32, 'k');
    assert_false(saved_kv_extend(&saved, 1, 0, 0, 32, bytes));
    assert_false(saved_kv_extend(&saved, 1, 0, 32, 48, bytes));
    assert_false(saved_kv_extend(&saved, 1, 0, 16, 16, bytes)); /* by nothing */
    assert_true(saved_kv_extend(&saved, 1, 0, 16, 48, bytes));
    free(bytes);
    assert_int_equal(saved.count, 1);
    const uint8_t *at = saved_kv_find(&saved, 1, 0)->bytes;
    for (int layer = 0; layer < LAYERS; layer++) {
        at = assert_filled(at, k, 'a' + 2 * layer);
        at = assert_filled(at, 2 * k, 'k' + 2 * layer);
        at = assert_filled(at, v, 'a' + 2 * layer + 1);
        at = assert_filled(at, 2 * v, 'k' + 2 * layer + 1);
    }
}

static void keys_fill_whole_tiles_and_values_do_not(void **state)
{
    const size_t tile = saved_kv_k_bytes(&shape, 1), row = saved_kv_v_bytes(&shape, 1);

    (void)state;
    assert_int_equal(tile, kv_k_tile_bytes(KV_F16, HEAD_DIM));
    assert_int_equal(row, kv_v_row_bytes(KV_F16, HEAD_DIM));
    assert_int_equal(saved_kv_k_bytes(&shape, 0), 0);
    for (uint32_t positions = 1; positions <= 3 * KV_TILE_POSITIONS; positions++) {
        assert_int_equal(saved_kv_k_bytes(&shape, positions), tile * ((positions + 15) / 16));
        assert_int_equal(saved_kv_v_bytes(&shape, positions), row * positions);
        assert_int_equal(saved_kv_bytes(&shape, positions), LAYERS * (tile * ((positions + 15) / 16) + row * positions));
    }
}

#define SAVED_TEST(test) cmocka_unit_test_setup_teardown(test, open_both, close_both)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAVED_TEST(the_longer_of_two_copies_stays),
        SAVED_TEST(a_request_has_the_positions_that_all_of_its_heads_have),
        SAVED_TEST(what_is_merged_moves_and_the_longer_copy_stays),
        SAVED_TEST(what_is_dropped_leaves_all_the_rest),
        SAVED_TEST(what_two_epochs_did_not_need_is_dropped),
        SAVED_TEST(a_merged_request_is_as_old_as_the_younger_copy),
        SAVED_TEST(no_heads_are_kept_of_requests_that_are_too_many),
        SAVED_TEST(keys_fill_whole_tiles_and_values_do_not),
        SAVED_TEST(a_head_is_extended_from_where_it_ends_and_nowhere_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
