/* Candidate blocks: how many there are, and what is read from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/bytes.h"
#include "node/engine/head.h"

enum { CANDIDATES_MAX = 100, BLOCKS_MAX = 14 };

/* Writes a message in the layout of head.c: parts with these faults (0: none) and layers of their index, then candidates. */
static void write_message(uint8_t *message, uint32_t parts, const uint32_t *faults, uint32_t candidates)
{
    struct bytes out = bytes_writer(message, BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES);

    for (uint32_t i = 0; i < parts; i++) {
        bytes_put_u64(&out, UINT64_C(0x0123456789abcdef) + i);
        bytes_put_u32(&out, faults[i]);
        bytes_put_u32(&out, 17 + i);
        bytes_put_u32(&out, 4095 + i);
        bytes_put_u32(&out, 0);
        bytes_put_u64(&out, 0);
    }
    for (uint32_t i = 0; i < candidates; i++) {
        bytes_put_u32(&out, 1000 + i);
        bytes_put_f32(&out, -0.5f * (float)i);
    }
    assert_true(bytes_ok(&out));
}

static void the_first_block_of_one_part_holds_four_candidates_and_every_other_eight(void **state)
{
    (void)state;
    assert_int_equal(head_blocks(1, 0, HEAD_FEW_BLOCK_BYTES), 1);
    assert_int_equal(head_blocks(1, 4, HEAD_FEW_BLOCK_BYTES), 1);
    assert_int_equal(head_blocks(1, 5, HEAD_FEW_BLOCK_BYTES), 2);
    assert_int_equal(head_blocks(1, 12, HEAD_FEW_BLOCK_BYTES), 2);
    assert_int_equal(head_blocks(1, 13, HEAD_FEW_BLOCK_BYTES), 3);
    assert_int_equal(head_blocks(1, 40, HEAD_FEW_BLOCK_BYTES), 6);
}

static void blocks_have_room_for_their_candidates_and_none_is_empty(void **state)
{
    static const uint32_t sizes[] = {HEAD_FEW_BLOCK_BYTES, HEAD_MANY_BLOCK_BYTES};

    (void)state;
    for (uint32_t parts = 1; parts <= STEPLOG_SLOTS_MAX; parts += 7) {
        for (uint32_t count = 0; count < MODEL_VOCAB_MAX; count += count / 50 + 1) {
            for (size_t i = 0; i < 2; i++) {
                size_t bytes = 32 * (size_t)parts + 8 * (size_t)count, blocks = head_blocks(parts, count, sizes[i]);

                assert_true(blocks * sizes[i] >= bytes);
                assert_true((blocks - 1) * sizes[i] < bytes);
            }
        }
    }
}

/* Every rank may leave the end of a block empty. */
static void a_gather_can_count_the_blocks_of_any_vocabulary_and_number_of_parts(void **state)
{
    static const uint32_t totals[] = {1, HEAD_FEW_MAX, HEAD_FEW_MAX + 1, MODEL_VOCAB_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
        assert_true(head_blocks(STEPLOG_SLOTS_MAX * MESH_RANKS_MAX, totals[i], head_block_bytes(totals[i])) + MESH_RANKS_MAX < UINT16_MAX);
}

static void candidates_are_read_across_blocks(void **state)
{
    static const uint32_t none[1];
    uint8_t message[BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES] = {0};
    struct candidate candidates[CANDIDATES_MAX];
    struct head_summary summary;

    (void)state;
    write_message(message, 1, none, CANDIDATES_MAX);
    head_read_summary(message, 0, &summary);
    head_read_candidates(message, 1, 0, CANDIDATES_MAX, candidates);
    assert_true(summary.digest == 0x0123456789abcdef);
    assert_false(summary.fault.is_set);
    for (uint32_t i = 0; i < CANDIDATES_MAX; i++) {
        assert_int_equal(candidates[i].id, 1000 + i);
        assert_true(candidates[i].logit == -0.5f * (float)i);
    }
}

static void each_part_has_its_own_candidates(void **state)
{
    static const uint32_t none[3], counts[3] = {5, 0, 40};
    uint8_t message[BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES] = {0};
    struct candidate candidates[CANDIDATES_MAX];
    uint32_t before = 0;

    (void)state;
    write_message(message, 3, none, 45);
    for (uint32_t part = 0; part < 3; before += counts[part++]) {
        struct head_summary summary;

        head_read_summary(message, part, &summary);
        assert_true(summary.digest == UINT64_C(0x0123456789abcdef) + part);
        head_read_candidates(message, 3, before, counts[part], candidates);
        for (uint32_t i = 0; i < counts[part]; i++)
            assert_int_equal(candidates[i].id, 1000 + before + i);
    }
}

static void a_fault_tells_phase_layer_and_row_of_its_part(void **state)
{
    uint8_t message[BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES] = {0};
    uint32_t faults[PHASE_HEAD + 2];
    struct head_summary summary;

    (void)state;
    for (uint32_t part = 0; part <= PHASE_HEAD + 1; part++)
        faults[part] = part;
    write_message(message, PHASE_HEAD + 2, faults, 0);
    head_read_summary(message, 0, &summary);
    assert_false(summary.fault.is_set);
    for (uint32_t part = 1; part <= PHASE_HEAD + 1; part++) {
        head_read_summary(message, part, &summary);
        assert_true(summary.fault.is_set);
        assert_int_equal(summary.fault.phase, part - 1);
        assert_int_equal(summary.fault.layer, 17 + part);
        assert_int_equal(summary.fault.row, 4095 + part);
    }
}

static void ranks_without_rows_have_no_candidates(void **state)
{
    const struct rowmap map = {.rank_count = 3, .vocab = {0, 30, 30, 100}};
    const struct sampling top_40 = {.temperature = 1, .top_k = 40, .top_p = 1, .repeat_penalty = 1};
    const struct sampling greedy = {.top_p = 1, .repeat_penalty = 1};
    const struct sampling all = {.temperature = 1, .top_p = 0.9f, .repeat_penalty = 1};

    (void)state;
    assert_int_equal(head_rank_candidates(&map, 1, &top_40), 0);
    assert_int_equal(head_candidates(&map, &top_40), 70);
    assert_int_equal(head_candidates(&map, &greedy), 2);
    assert_int_equal(head_candidates(&map, &all), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_block_of_one_part_holds_four_candidates_and_every_other_eight),
        cmocka_unit_test(blocks_have_room_for_their_candidates_and_none_is_empty),
        cmocka_unit_test(a_gather_can_count_the_blocks_of_any_vocabulary_and_number_of_parts),
        cmocka_unit_test(candidates_are_read_across_blocks),
        cmocka_unit_test(each_part_has_its_own_candidates),
        cmocka_unit_test(a_fault_tells_phase_layer_and_row_of_its_part),
        cmocka_unit_test(ranks_without_rows_have_no_candidates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
