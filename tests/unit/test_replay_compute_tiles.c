/* Recorded tiles beside the computed blocks: which are compared, and which place is the first that differs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replay/compute_tiles.h"

/* A gather of two tokens of five blocks, the last one shorter. */
enum {
    STEP = 7,
    PHASES = 3,
    PHASE = 1,
    TOKENS = 2,
    BLOCKS = 5,
    BLOCK_BYTES = 4,
    LAST_BYTES = 3,
    TOKEN_BYTES = 4 * BLOCK_BYTES + LAST_BYTES
};

static struct compute_tiles tiles;
static uint8_t computed[TOKENS * TOKEN_BYTES];

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(compute_tiles_open(&tiles, PHASES), 0);
    for (size_t i = 0; i < sizeof computed; i++)
        computed[i] = (uint8_t)(i + 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    compute_tiles_close(&tiles);
    return 0;
}

static struct mesh_tape_entry published(uint64_t step, uint16_t phase, uint16_t block_first, uint16_t block_count, const uint8_t *data,
                                        uint32_t bytes)
{
    struct mesh_tape_entry entry = {0};

    entry.publish.kind = MESH_TAPE_PUBLISH;
    entry.publish.payload = MESH_TAPE_WHOLE;
    entry.publish.payload_bytes = bytes;
    entry.publish.step = step;
    entry.publish.phase = phase;
    entry.publish.token_count = TOKENS;
    entry.publish.block_first = block_first;
    entry.publish.block_count = block_count;
    entry.payload = data;
    return entry;
}

static void take(const struct mesh_tape_entry *entry, uint64_t call)
{
    assert_int_equal(compute_tiles_take(&tiles, entry, 0, 0, call), 0);
}

static void compare(uint16_t phase)
{
    const struct recompute_blocks blocks = {.phase = phase,
                                            .token_count = TOKENS,
                                            .block_count = BLOCKS,
                                            .blocks = BLOCKS,
                                            .block_bytes = BLOCK_BYTES,
                                            .last_block_bytes = LAST_BYTES,
                                            .data = computed,
                                            .token_stride = TOKEN_BYTES,
                                            .rows = TOKENS};

    compute_tiles_begin(&tiles, STEP);
    compute_tiles_compare(&tiles, &blocks);
    compute_tiles_end(&tiles);
}

/* Up to its last byte, also of the last block. */
static void a_tile_with_the_same_bytes_differs_nowhere(void **state)
{
    struct mesh_tape_entry entry = published(STEP, PHASE, 0, BLOCKS, computed, sizeof computed);

    (void)state;
    take(&entry, 1);
    compare(PHASE);
    assert_false(tiles.difference.is_set);
    assert_int_equal(tiles.tiles, 1);
    assert_int_equal(tiles.blocks, TOKENS * BLOCKS);
    assert_int_equal(tiles.not_computed + tiles.too_late, 0);
}

static void the_last_byte_of_a_token_counts(void **state)
{
    uint8_t recorded[sizeof computed];
    struct mesh_tape_entry entry = published(STEP, PHASE, 0, BLOCKS, recorded, sizeof recorded);

    (void)state;
    memcpy(recorded, computed, sizeof recorded);
    recorded[TOKEN_BYTES - 1]++;
    take(&entry, 1);
    compare(PHASE);
    assert_true(tiles.difference.is_set && !tiles.difference.is_shape);
    assert_int_equal(tiles.difference.token, 0);
    assert_int_equal(tiles.difference.block, BLOCKS - 1);
    assert_int_equal(tiles.difference.block_bytes, LAST_BYTES);
    assert_int_equal(tiles.difference.expected[LAST_BYTES - 1], computed[TOKEN_BYTES - 1] + 1);
    assert_int_equal(tiles.difference.actual[LAST_BYTES - 1], computed[TOKEN_BYTES - 1]);
}

/* Tokens before blocks: what the first token has at a later block comes before an earlier block of the second one. */
static void the_lowest_place_is_kept_in_any_order(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        uint8_t low[2 * 2 * BLOCK_BYTES], high[TOKENS * (BLOCK_BYTES + LAST_BYTES)]; /* blocks 0 and 1; 3 and 4; of both tokens */
        struct mesh_tape_entry entries[] = {published(STEP, PHASE, 0, 2, low, sizeof low), published(STEP, PHASE, 3, 2, high, sizeof high)};

        for (unsigned token = 0; token < TOKENS; token++) {
            memcpy(low + token * 2 * BLOCK_BYTES, computed + token * TOKEN_BYTES, 2 * BLOCK_BYTES);
            memcpy(high + token * (BLOCK_BYTES + LAST_BYTES), computed + token * TOKEN_BYTES + 3 * BLOCK_BYTES, BLOCK_BYTES + LAST_BYTES);
        }
        low[2 * BLOCK_BYTES] ^= 1; /* token 1, block 0 */
        high[BLOCK_BYTES] ^= 1;    /* token 0, block 4 */
        take(&entries[turn], 1 + turn);
        take(&entries[1 - turn], 2 - turn);
        compare(PHASE);
        assert_true(tiles.difference.is_set);
        assert_int_equal(tiles.difference.token, 0);
        assert_int_equal(tiles.difference.block, 4);
        assert_int_equal(tiles.difference.call, 2);
        compute_tiles_close(&tiles);
        assert_int_equal(compute_tiles_open(&tiles, PHASES), 0);
    }
}

static void a_tile_of_another_size_is_a_difference_of_its_shape(void **state)
{
    struct mesh_tape_entry entry = published(STEP, PHASE, 2, 3, computed, TOKENS * 3 * BLOCK_BYTES); /* as if all blocks were long */

    (void)state;
    take(&entry, 1);
    compare(PHASE);
    assert_true(tiles.difference.is_set && tiles.difference.is_shape);
    assert_int_equal(tiles.difference.block, 2);
}

static void what_is_not_compared_is_counted(void **state)
{
    struct mesh_tape_entry other = published(STEP, PHASE + 1, 0, BLOCKS, computed, sizeof computed);
    struct mesh_tape_entry refused = published(STEP, PHASE, 0, BLOCKS, computed, 1);
    struct mesh_tape_entry late = published(STEP, PHASE, 0, BLOCKS, computed, sizeof computed);

    (void)state;
    refused.call.error = 1; /* the endpoint did not take it: it is no tile of this gather */
    take(&other, 1);
    take(&refused, 2);
    compare(PHASE);
    take(&late, 3);
    assert_false(tiles.difference.is_set);
    assert_int_equal(tiles.tiles, 0);
    assert_int_equal(tiles.not_computed, 1);
    assert_int_equal(tiles.too_late, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_tile_with_the_same_bytes_differs_nowhere),
        CASE(the_last_byte_of_a_token_counts),
        CASE(the_lowest_place_is_kept_in_any_order),
        CASE(a_tile_of_another_size_is_a_difference_of_its_shape),
        CASE(what_is_not_compared_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
