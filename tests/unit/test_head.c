/* Candidate blocks: how many there are, and what is read from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/bytes.h"
#include "node/head.h"

enum { CANDIDATES_MAX = 100, BLOCKS_MAX = 14 };

/* As head.c says that it stands there. */
static void write_blocks(uint8_t *block, uint64_t digest, uint32_t fault, uint32_t layer, uint32_t row, uint32_t count)
{
    struct bytes out = bytes_writer(block, BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES);

    bytes_put_u64(&out, digest);
    bytes_put_u32(&out, fault);
    bytes_put_u32(&out, layer);
    bytes_put_u32(&out, row);
    bytes_put_u32(&out, 0);
    bytes_put_u64(&out, 0);
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_u32(&out, 1000 + i);
        bytes_put_f32(&out, -0.5f * (float)i);
    }
    assert_true(bytes_ok(&out));
}

static void the_first_block_holds_four_candidates_and_every_other_eight(void **state)
{
    (void)state;
    assert_int_equal(head_candidate_blocks(0, HEAD_FEW_BLOCK_BYTES), 1);
    assert_int_equal(head_candidate_blocks(4, HEAD_FEW_BLOCK_BYTES), 1);
    assert_int_equal(head_candidate_blocks(5, HEAD_FEW_BLOCK_BYTES), 2);
    assert_int_equal(head_candidate_blocks(12, HEAD_FEW_BLOCK_BYTES), 2);
    assert_int_equal(head_candidate_blocks(13, HEAD_FEW_BLOCK_BYTES), 3);
    assert_int_equal(head_candidate_blocks(40, HEAD_FEW_BLOCK_BYTES), 6);
}

static void blocks_have_room_for_their_candidates_and_none_is_empty(void **state)
{
    static const uint32_t sizes[] = {HEAD_FEW_BLOCK_BYTES, HEAD_MANY_BLOCK_BYTES};

    (void)state;
    for (uint32_t count = 1; count < MODEL_VOCAB_MAX; count += count / 50 + 1) {
        for (size_t i = 0; i < 2; i++) {
            size_t bytes = 32 + 8 * (size_t)count, blocks = head_candidate_blocks(count, sizes[i]);

            assert_true(blocks * sizes[i] >= bytes);
            assert_true((blocks - 1) * sizes[i] < bytes);
        }
    }
}

/* Every rank may leave the rest of a block empty. */
static void a_gather_can_count_the_blocks_of_any_vocabulary(void **state)
{
    static const uint32_t totals[] = {1, HEAD_FEW_MAX, HEAD_FEW_MAX + 1, MODEL_VOCAB_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
        assert_true(head_candidate_blocks(totals[i], head_block_bytes(totals[i])) + MESH_RANKS_MAX < UINT16_MAX);
}

static void candidates_are_read_across_blocks(void **state)
{
    uint8_t block[BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES] = {0};
    struct candidate candidates[CANDIDATES_MAX];
    struct head_summary summary;

    (void)state;
    write_blocks(block, 0x0123456789abcdef, 0, 0, 0, CANDIDATES_MAX);
    head_read(block, CANDIDATES_MAX, &summary, candidates);
    assert_true(summary.digest == 0x0123456789abcdef);
    assert_false(summary.fault.is_set);
    for (uint32_t i = 0; i < CANDIDATES_MAX; i++) {
        assert_int_equal(candidates[i].id, 1000 + i);
        assert_true(candidates[i].logit == -0.5f * (float)i);
    }
}

static void a_fault_tells_phase_layer_and_row(void **state)
{
    uint8_t block[BLOCKS_MAX * HEAD_FEW_BLOCK_BYTES] = {0};
    struct head_summary summary;

    (void)state;
    for (uint32_t phase = 0; phase <= PHASE_HEAD; phase++) {
        write_blocks(block, 1, phase + 1, 17, 4095, 0);
        head_read(block, 0, &summary, NULL);
        assert_true(summary.fault.is_set);
        assert_int_equal(summary.fault.phase, phase);
        assert_int_equal(summary.fault.layer, 17);
        assert_int_equal(summary.fault.row, 4095);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_block_holds_four_candidates_and_every_other_eight),
        cmocka_unit_test(blocks_have_room_for_their_candidates_and_none_is_empty),
        cmocka_unit_test(a_gather_can_count_the_blocks_of_any_vocabulary),
        cmocka_unit_test(candidates_are_read_across_blocks),
        cmocka_unit_test(a_fault_tells_phase_layer_and_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
