/* Gathers as they arrive: which slices are ready, what kernels then read, and the norm factor. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/hash.h"
#include "node/engine/inbox.h"

enum { TOKENS_MAX = 150, SLICES_MAX = 3, COLUMNS_MAX = SLICES_MAX * SLICE_COLUMNS, WIRE_BYTES = TOKENS_MAX * 24 * 132 };

static const struct kernel *scalar;

static void open_inbox(struct inbox *inbox)
{
    const struct inbox_limits limits = {.tokens = TOKENS_MAX, .slices = SLICES_MAX, .wire_bytes = WIRE_BYTES, .q = true, .f = true};
    struct fail fail;

    assert_int_equal(inbox_init(inbox, &limits, &fail), 0);
}

static struct gather_form make_form(uint32_t columns, bool is_float, bool feeds_norm)
{
    uint32_t blocks = (columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS, last = columns - (blocks - 1) * BLOCK_COLUMNS;
    uint32_t norm = feeds_norm ? 4 : 0;

    return (struct gather_form){
        .columns = columns,
        .slices = (columns + SLICE_COLUMNS - 1) / SLICE_COLUMNS,
        .block_count = (uint16_t)blocks,
        .block_bytes = (is_float ? INBOX_FLOAT_BLOCK_BYTES : BLOCK_WIRE_BYTES) + norm,
        .last_block_bytes = (is_float ? last * 4 : BLOCK_WIRE_BYTES) + norm,
        .is_float = is_float,
        .feeds_norm = feeds_norm,
        .unpack_q = true,
        .unpack_f = is_float,
    };
}

static float value_at(uint64_t seed, uint32_t token, uint32_t column)
{
    return (float)(int32_t)(hash_mix64(seed << 40 | (uint64_t)token << 20 | column) % 20001) / 1000.0f - 10.0f;
}

static void block_values(const struct gather_form *form, uint64_t seed, uint32_t token, uint32_t block, float out[BLOCK_COLUMNS])
{
    for (uint32_t i = 0; i < BLOCK_COLUMNS; i++)
        out[i] = block * BLOCK_COLUMNS + i < form->columns ? value_at(seed, token, block * BLOCK_COLUMNS + i) : 0.0f;
}

/* Writes what the producer of a block sends. */
static void write_block(struct inbox *inbox, uint64_t seed, uint32_t token, uint32_t block)
{
    const struct gather_form *form = inbox->form;
    uint8_t *wire = inbox_block(inbox, token, block);
    uint32_t left = form->columns - block * BLOCK_COLUMNS, columns = left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS;
    float values[BLOCK_COLUMNS], sumsq;

    block_values(form, seed, token, block, values);
    sumsq = scalar->sumsq(values);
    if (form->is_float) {
        memcpy(wire, &sumsq, form->feeds_norm ? sizeof sumsq : 0);
        memcpy(wire + (form->feeds_norm ? sizeof sumsq : 0), values, columns * sizeof *values);
    } else {
        scalar->quantise(values, 1, wire, form->block_bytes);
        memcpy(wire + BLOCK_WIRE_BYTES, &sumsq, form->feeds_norm ? sizeof sumsq : 0);
    }
}

static void fill(struct inbox *inbox, const struct gather_form *form, uint16_t tokens, uint64_t seed)
{
    inbox_begin(inbox, form, tokens);
    for (uint32_t t = 0; t < tokens; t++)
        for (uint32_t b = 0; b < form->block_count; b++)
            write_block(inbox, seed, t, b);
    inbox_take(inbox, scalar, 0, tokens, 0, form->block_count);
}

/* ---- counters ---- */

static bool all_there(const bool *there, const struct gather_form *form, uint32_t tokens, uint32_t sub, uint32_t slice)
{
    for (uint32_t t = sub * INBOX_SUB_TOKENS; t < (sub + 1) * INBOX_SUB_TOKENS && t < tokens; t++)
        for (uint32_t b = slice * SLICE_BLOCKS; b < (slice + 1) * SLICE_BLOCKS && b < form->block_count; b++)
            if (!there[t * form->block_count + b])
                return false;
    return true;
}

static void check_counters(const struct inbox *inbox, const bool *there)
{
    uint32_t tokens = inbox->token_count;

    for (uint32_t sub = 0; sub * INBOX_SUB_TOKENS < tokens; sub++) {
        bool is_sub_ready = true;

        for (uint32_t s = 0; s < inbox->form->slices; s++) {
            bool is_ready = all_there(there, inbox->form, tokens, sub, s);

            assert_int_equal(inbox_is_ready(inbox, sub, s), is_ready);
            is_sub_ready &= is_ready;
        }
        assert_int_equal(inbox_sub_is_ready(inbox, sub), is_sub_ready);
    }
}

/* The largest missing piece at (token, block), cut at random. */
static void take_piece(struct inbox *inbox, bool *there, uint32_t token, uint32_t block, uint64_t draw)
{
    uint32_t blocks = inbox->form->block_count, count = 0, tokens = 1;
    bool is_free = true;

    while (block + count < blocks && count <= draw % 20 && !there[token * blocks + block + count])
        count++;
    for (; is_free && token + tokens < inbox->token_count && tokens <= draw / 20 % 80; tokens += is_free)
        for (uint32_t b = block; b < block + count; b++)
            is_free &= !there[(token + tokens) * blocks + b];
    for (uint32_t t = token; t < token + tokens; t++)
        memset(&there[t * blocks + block], true, count);
    inbox_take(inbox, scalar, (uint16_t)token, (uint16_t)tokens, (uint16_t)block, (uint16_t)count);
}

static void a_slice_of_a_sub_batch_is_ready_when_its_last_block_is(void **state)
{
    static bool there[TOKENS_MAX * 24];
    const struct gather_form form = make_form(608, false, true); /* slices of 8, 8 and 3 blocks */
    struct inbox inbox;

    (void)state;
    open_inbox(&inbox);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        uint16_t tokens = (uint16_t)(seed == 1 ? 64 : seed == 2 ? 65 : 1 + hash_mix64(seed) % TOKENS_MAX);

        memset(there, false, sizeof there);
        inbox_begin(&inbox, &form, tokens);
        check_counters(&inbox, there);
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t draw = hash_mix64(seed * 1000 + i);
            uint32_t token = (uint32_t)(draw % tokens), block = (uint32_t)(draw / tokens % form.block_count);

            if (!there[token * form.block_count + block])
                take_piece(&inbox, there, token, block, draw >> 32);
            check_counters(&inbox, there);
        }
        for (uint32_t i = 0; i < (uint32_t)tokens * form.block_count; i++)
            if (!there[i])
                take_piece(&inbox, there, i / form.block_count, i % form.block_count, 1599);
        check_counters(&inbox, there);
        assert_true(inbox_sub_is_ready(&inbox, (tokens - 1u) / INBOX_SUB_TOKENS));
    }
    inbox_release(&inbox);
}

static void beginning_again_makes_everything_missing(void **state)
{
    const struct gather_form wide = make_form(608, false, false), narrow = make_form(288, true, true);
    struct inbox inbox;

    (void)state;
    open_inbox(&inbox);
    assert_true(inbox.is_free);
    fill(&inbox, &wide, 70, 1);
    assert_true(inbox_sub_is_ready(&inbox, 0) && inbox_sub_is_ready(&inbox, 1));
    inbox_begin(&inbox, &narrow, 65);
    assert_false(inbox.is_free || inbox.is_consumed || inbox.is_released);
    for (uint32_t i = 0; i < 4; i++)
        assert_false(inbox_is_ready(&inbox, i / 2, i % 2));
    inbox_release(&inbox);
}

static void blocks_stand_in_wire_form_without_gaps(void **state)
{
    const struct gather_form form = make_form(296, true, true); /* nine whole blocks and one of 8 columns */
    struct inbox inbox;

    (void)state;
    open_inbox(&inbox);
    inbox_begin(&inbox, &form, 3);
    assert_int_equal(inbox.wire_token_stride, 9 * 132 + 36);
    assert_ptr_equal(inbox_block(&inbox, 0, 0), inbox.wire);
    assert_ptr_equal(inbox_block(&inbox, 2, 9), inbox.wire + 2 * (9 * 132 + 36) + 9 * 132);
    inbox_release(&inbox);
}

/* ---- what kernels read ---- */

static void check_unpacked(const struct inbox *inbox, uint64_t seed, uint32_t token, uint32_t block)
{
    const struct gather_form *form = inbox->form;
    size_t cell = token * form->slices + block / SLICE_BLOCKS, in = block % SLICE_BLOCKS;
    uint8_t wire[BLOCK_WIRE_BYTES];
    float values[BLOCK_COLUMNS], sumsq = 0.0f;
    struct act_slice expected;

    memset(&expected, 0, sizeof expected);
    block_values(form, seed, token, block, values);
    if (form->feeds_norm)
        sumsq = scalar->sumsq(values);
    scalar->quantise(values, 1, wire, sizeof wire);
    kernel_unpack(wire, sizeof wire, in, 1, false, &expected);
    assert_memory_equal(inbox->q[cell].q + in * BLOCK_COLUMNS, expected.q + in * BLOCK_COLUMNS, BLOCK_COLUMNS);
    assert_memory_equal(&inbox->q[cell].d[in], &expected.d[in], sizeof *expected.d);
    assert_int_equal(inbox->q[cell].minus[in], expected.minus[in]);
    assert_memory_equal(&inbox->q[cell].sum[2 * in], &expected.sum[2 * in], 2 * sizeof *expected.sum);
    assert_memory_equal(&inbox->q[cell].sumsq[in], &sumsq, sizeof sumsq);
    if (form->unpack_f) {
        assert_memory_equal(inbox->f[cell].v + in * BLOCK_COLUMNS, values, sizeof values);
        assert_memory_equal(&inbox->f[cell].sumsq[in], &sumsq, sizeof sumsq);
    }
}

static void check_form(uint32_t columns, bool is_float, bool feeds_norm)
{
    const struct gather_form form = make_form(columns, is_float, feeds_norm);
    struct inbox inbox;

    open_inbox(&inbox);
    fill(&inbox, &form, 67, 3);
    for (uint32_t t = 0; t < 67; t++)
        for (uint32_t b = 0; b < form.block_count; b++)
            check_unpacked(&inbox, 3, t, b);
    inbox_release(&inbox);
}

static void quantised_blocks_are_unpacked_as_they_are(void **state)
{
    (void)state;
    check_form(608, false, false);
    check_form(608, false, true);
    check_form(32, false, true);
}

static void float_blocks_are_copied_and_quantised_to_the_bits_a_sender_would_send(void **state)
{
    (void)state;
    check_form(608, true, false);
    check_form(600, true, true);
    check_form(40, true, false);
    check_form(1, true, true);
}

static void run_dot(const struct kernel *kernel, const struct inbox *inbox, enum tensor_type type, float out[PANEL_ROWS])
{
    static uint8_t panel[PANEL_ROWS * SLICE_COLUMNS * 4] __attribute__((aligned(64)));
    bool is_float = tensor_type_info(type)->is_float;

    kernel->dot[type](panel, 1, inbox->form->columns, is_float ? (const void *)inbox->f : (const void *)inbox->q, 0, 1, out, PANEL_ROWS,
                      false);
}

/* Weights are all zero here, so finite values behind the end are harmless; a NaN would show. */
static void nothing_behind_a_short_slice_is_read(void **state)
{
    static const enum tensor_type types[] = {TYPE_F32, TYPE_F16, TYPE_Q4_0, TYPE_Q5_1, TYPE_Q8_0};
    const struct gather_form wide = make_form(256, true, false), narrow = make_form(96, true, false), odd = make_form(40, true, false);
    struct inbox inbox;
    float out[PANEL_ROWS];

    (void)state;
    open_inbox(&inbox);
    fill(&inbox, &wide, 1, 4);
    for (uint32_t i = 0; i < SLICE_COLUMNS; i++)
        inbox.f->v[i] = NAN;
    for (uint32_t i = 0; i < SLICE_BLOCKS; i++)
        inbox.q->d[i] = NAN;
    for (int round = 0; round < 2; round++) {
        fill(&inbox, round == 0 ? &narrow : &odd, 1, 5);
        for (size_t k = 0; kernel_at(k) != NULL; k++) {
            for (size_t i = 0; kernel_at(k)->supported() && i < sizeof types / sizeof *types; i++) {
                if (round == 1 && !tensor_type_info(types[i])->is_float)
                    continue;
                run_dot(kernel_at(k), &inbox, types[i], out);
                for (size_t r = 0; r < PANEL_ROWS; r++)
                    assert_true(out[r] == 0.0f);
            }
        }
    }
    inbox_release(&inbox);
}

static void a_reused_inbox_unpacks_like_a_new_one(void **state)
{
    const struct gather_form wide = make_form(768, true, true), narrow = make_form(328, true, true);
    struct inbox inbox;

    (void)state;
    open_inbox(&inbox);
    fill(&inbox, &wide, 100, 6);
    fill(&inbox, &narrow, 90, 7);
    for (uint32_t t = 0; t < 90; t++)
        for (uint32_t b = 0; b < narrow.block_count; b++)
            check_unpacked(&inbox, 7, t, b);
    inbox_release(&inbox);
}

/* A token's block in a token panel equals the one in its slice. */
static void check_beside(const struct inbox *beside, const struct inbox *slices, uint32_t token, uint32_t block)
{
    const uint32_t tokens = inbox_sub_tokens(beside, token), in = block % SLICE_BLOCKS;
    const struct act_slice *slice = &slices->q[token * slices->form->slices + block / SLICE_BLOCKS];
    uint8_t *panel = inbox_panel(beside, token, block / SLICE_BLOCKS);
    const struct token_place place = token_place(tokens, token % INBOX_SUB_TOKENS);

    assert_int_equal(panel != NULL, tokens >= TOKEN_PANEL_MIN);
    if (panel == NULL) {
        assert_memory_equal(beside->q[token * slices->form->slices + block / SLICE_BLOCKS].q + in * BLOCK_COLUMNS,
                            slice->q + in * BLOCK_COLUMNS, BLOCK_COLUMNS);
        return;
    }
    const int8_t *words = (const int8_t *)panel + place.first * TOKEN_SLICE_BYTES + in * place.n * TOKEN_BLOCK_BYTES;
    for (size_t g = 0; g < TOKEN_WORDS; g++)
        assert_memory_equal(words + 4 * (g * place.n + place.i), slice->q + in * BLOCK_COLUMNS + 4 * g, 4);
    assert_int_equal(token_halves(panel, tokens, place, in)[place.i], -slice->sum[2 * in]);
    assert_true(*token_sumsq(panel, place, in) == slice->sumsq[in]);
}

static void check_side_by_side(uint16_t tokens, bool is_float)
{
    struct gather_form form = make_form(600, is_float, true), panels = form;
    struct inbox beside, slices;

    panels.unpack_panels = panels.unpack_halves = true;
    open_inbox(&beside);
    open_inbox(&slices);
    fill(&slices, &form, tokens, 9);
    inbox_begin(&beside, &panels, tokens);
    memcpy(beside.wire, slices.wire, WIRE_BYTES);
    for (uint16_t t = 0, count; t < tokens; t = (uint16_t)(t + count)) { /* tiles of varying numbers of tokens */
        count = t % 3 == 0 && t + 23 <= tokens ? 23 : 1;
        inbox_take(&beside, kernel_choose(NULL), t, count, 0, 3);
        inbox_take(&beside, kernel_choose(NULL), t, count, 3, (uint16_t)(form.block_count - 3));
    }
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t b = 0; b < form.block_count; b++)
            check_beside(&beside, &slices, t, b);
        assert_true(inbox_norm_factor(&beside, t, 1e-6f) == inbox_norm_factor(&slices, t, 1e-6f));
    }
    inbox_release(&beside);
    inbox_release(&slices);
}

static void sub_batches_of_many_tokens_stand_side_by_side(void **state)
{
    (void)state;
    if (kernel_choose(NULL)->tokens == NULL)
        skip();
    check_side_by_side(67, false);
    check_side_by_side(76, false);
    check_side_by_side(73, true);
}

/* ---- the norm factor ---- */

static void set_sums(struct inbox *inbox, const float *sums)
{
    for (uint32_t b = 0; b < inbox->form->block_count; b++) {
        memset(inbox_block(inbox, 0, b), 0, BLOCK_WIRE_BYTES);
        memcpy(inbox_block(inbox, 0, b) + BLOCK_WIRE_BYTES, &sums[b], sizeof *sums);
    }
}

static void the_norm_factor_adds_blocks_in_their_order_however_they_arrive(void **state)
{
    static const float sums[9] = {16777216.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 3.0f};
    const struct gather_form form = make_form(288, false, true);
    struct inbox inbox;
    float forward = 0.0f, backward = 0.0f;

    (void)state;
    for (uint32_t b = 0; b < 9; b++) {
        forward += sums[b];
        backward += sums[8 - b];
    }
    assert_true(forward != backward);
    open_inbox(&inbox);
    inbox_begin(&inbox, &form, 1);
    set_sums(&inbox, sums);
    for (uint16_t b = 9; b-- > 0;)
        inbox_take(&inbox, scalar, 0, 1, b, 1);
    assert_true(inbox_norm_factor(&inbox, 0, 1e-5f) == 1.0f / sqrtf(forward / 288.0f + 1e-5f));
    inbox_release(&inbox);
}

static void the_norm_factor_is_the_same_from_floats_and_from_blocks(void **state)
{
    struct gather_form floats = make_form(608, true, true), blocks = make_form(608, false, true);
    struct inbox inbox;

    (void)state;
    open_inbox(&inbox);
    for (uint32_t t = 0; t < 3; t++) {
        fill(&inbox, &blocks, 3, 8);
        float from_blocks = inbox_norm_factor(&inbox, t, 1e-6f);
        fill(&inbox, &floats, 3, 8);
        assert_true(inbox_norm_factor(&inbox, t, 1e-6f) == from_blocks);
        floats.unpack_q = false;
        fill(&inbox, &floats, 3, 8);
        assert_true(inbox_norm_factor(&inbox, t, 1e-6f) == from_blocks);
        floats.unpack_q = true;
    }
    inbox_release(&inbox);
}

static void a_new_gather_has_a_new_norm_factor(void **state)
{
    static const float four[1] = {128.0f}, sixteen[1] = {512.0f};
    const struct gather_form form = make_form(32, false, true);
    struct inbox inbox;

    (void)state;
    open_inbox(&inbox);
    for (int round = 0; round < 2; round++) {
        inbox_begin(&inbox, &form, 1);
        set_sums(&inbox, round == 0 ? four : sixteen);
        inbox_take(&inbox, scalar, 0, 1, 0, 1);
        assert_true(inbox_norm_factor(&inbox, 0, 0.0f) == (round == 0 ? 0.5f : 0.25f));
        assert_true(inbox_norm_factor(&inbox, 0, 0.0f) == (round == 0 ? 0.5f : 0.25f));
    }
    inbox_release(&inbox);
}

static void the_memory_that_is_told_grows_with_what_is_kept(void **state)
{
    struct inbox_limits limits = {.tokens = 65, .slices = 3, .wire_bytes = 1000};
    size_t bare = inbox_bytes(&limits);

    (void)state;
    assert_int_equal(bare, 1000 + 65 * 4 + 2 * 3 * (4 + 8));
    limits.q = true;
    assert_int_equal(inbox_bytes(&limits), bare + 65 * 3 * sizeof(struct act_slice));
    limits.f = true;
    assert_int_equal(inbox_bytes(&limits), bare + 65 * 3 * (sizeof(struct act_slice) + sizeof(struct act_slice_f32)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_of_a_sub_batch_is_ready_when_its_last_block_is),
        cmocka_unit_test(beginning_again_makes_everything_missing),
        cmocka_unit_test(blocks_stand_in_wire_form_without_gaps),
        cmocka_unit_test(quantised_blocks_are_unpacked_as_they_are),
        cmocka_unit_test(float_blocks_are_copied_and_quantised_to_the_bits_a_sender_would_send),
        cmocka_unit_test(nothing_behind_a_short_slice_is_read),
        cmocka_unit_test(a_reused_inbox_unpacks_like_a_new_one),
        cmocka_unit_test(sub_batches_of_many_tokens_stand_side_by_side),
        cmocka_unit_test(the_norm_factor_adds_blocks_in_their_order_however_they_arrive),
        cmocka_unit_test(the_norm_factor_is_the_same_from_floats_and_from_blocks),
        cmocka_unit_test(a_new_gather_has_a_new_norm_factor),
        cmocka_unit_test(the_memory_that_is_told_grows_with_what_is_kept),
    };

    kernel_thread_init();
    scalar = kernel_choose("scalar");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
