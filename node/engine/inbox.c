#include "inbox.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t subs_of(uint32_t tokens)
{
    return (tokens + INBOX_SUB_TOKENS - 1) / INBOX_SUB_TOKENS;
}

size_t inbox_bytes(const struct inbox_limits *limits)
{
    size_t per_token = sizeof(uint32_t);

    per_token += limits->q ? limits->slices * sizeof(struct act_slice) : 0;
    per_token += limits->f ? limits->slices * sizeof(struct act_slice_f32) : 0;
    return limits->wire_bytes + limits->tokens * per_token +
           (size_t)subs_of(limits->tokens) * limits->slices * (sizeof(uint32_t) + sizeof(uint64_t));
}

static void *aligned_zeros(size_t bytes)
{
    void *memory = NULL;

    if (posix_memalign(&memory, 64, bytes + 64) != 0)
        return NULL;
    memset(memory, 0, bytes + 64);
    return memory;
}

int inbox_init(struct inbox *inbox, const struct inbox_limits *limits, struct fail *fail)
{
    size_t cells = (size_t)limits->tokens * limits->slices;

    *inbox = (struct inbox){.is_free = true};
    inbox->wire = aligned_zeros(limits->wire_bytes);
    inbox->missing = aligned_zeros((size_t)subs_of(limits->tokens) * limits->slices * sizeof *inbox->missing);
    inbox->sent = aligned_zeros((size_t)subs_of(limits->tokens) * limits->slices * sizeof *inbox->sent);
    inbox->norm = aligned_zeros(limits->tokens * sizeof *inbox->norm);
    if (limits->q)
        inbox->q = aligned_zeros(cells * sizeof *inbox->q);
    if (limits->f)
        inbox->f = aligned_zeros(cells * sizeof *inbox->f);
    if (inbox->wire == NULL || inbox->missing == NULL || inbox->sent == NULL || inbox->norm == NULL || (limits->q && inbox->q == NULL) ||
        (limits->f && inbox->f == NULL)) {
        inbox_release(inbox);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: cannot have %zu bytes for activations: use a smaller --batch",
                        inbox_bytes(limits));
    }
    return 0;
}

void inbox_release(struct inbox *inbox)
{
    free(inbox->wire);
    free(inbox->q);
    free(inbox->f);
    free((void *)inbox->missing);
    free((void *)inbox->sent);
    free((void *)inbox->norm);
    *inbox = (struct inbox){0};
}

void inbox_begin(struct inbox *inbox, const struct gather_form *form, uint16_t token_count)
{
    inbox->form = form;
    inbox->token_count = token_count;
    inbox->wire_token_stride = (size_t)(form->block_count - 1u) * form->block_bytes + form->last_block_bytes;
    inbox->is_free = inbox->is_consumed = inbox->is_released = false;
    for (uint32_t t = 0; t < token_count; t++)
        atomic_store_explicit(&inbox->norm[t], 0, memory_order_relaxed);
    for (uint32_t sub = 0; sub < subs_of(token_count); sub++) {
        uint32_t left = token_count - sub * INBOX_SUB_TOKENS, tokens = left < INBOX_SUB_TOKENS ? left : INBOX_SUB_TOKENS;

        for (uint32_t s = 0; s < form->slices; s++) {
            uint32_t rest = form->block_count - s * SLICE_BLOCKS, blocks = rest < SLICE_BLOCKS ? rest : SLICE_BLOCKS;

            atomic_store_explicit(&inbox->missing[sub * form->slices + s], blocks * tokens, memory_order_relaxed);
            atomic_store_explicit(&inbox->sent[sub * form->slices + s], 0, memory_order_relaxed);
        }
    }
}

/* Blocks in wire form, all of one slice, of tokens of one sub-batch from `token` on. */
static void unpack_quantised(struct inbox *inbox, const struct kernel *kernel, const struct kernel_tokens_wire *wire, uint32_t slice,
                             uint32_t token, uint32_t token_count)
{
    uint8_t *panel = inbox_panel(inbox, token, slice);

    if (panel != NULL) {
        struct kernel_tokens_wire beside = *wire;

        beside.with_halves = inbox->form->unpack_halves;
        kernel->tokens->put(&beside, panel, inbox_sub_tokens(inbox, token), token % INBOX_SUB_TOKENS, token_count);
        return;
    }
    for (uint32_t t = 0; t < token_count; t++)
        kernel_unpack(wire->data + t * wire->token_stride, wire->block_stride, wire->block_first, wire->blocks, wire->with_sumsq,
                      &inbox->q[(size_t)(token + t) * inbox->form->slices + slice]);
}

/* One f32 block from the wire to its unpacked place. */
static void unpack_float(struct inbox *inbox, const struct kernel *kernel, const uint8_t *wire, uint32_t token, uint32_t block)
{
    const struct gather_form *form = inbox->form;
    size_t cell = (size_t)token * form->slices + block / SLICE_BLOCKS;
    uint32_t in_slice = block % SLICE_BLOCKS;
    uint32_t left = form->columns - block * BLOCK_COLUMNS, columns = left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS;
    float values[BLOCK_COLUMNS] = {0};
    float sumsq = 0.0f;

    if (form->feeds_norm) {
        memcpy(&sumsq, wire, sizeof sumsq);
        wire += sizeof sumsq;
    }
    memcpy(values, wire, columns * sizeof *values);
    if (form->unpack_f) {
        memcpy(&inbox->f[cell].v[in_slice * BLOCK_COLUMNS], values, sizeof values);
        inbox->f[cell].sumsq[in_slice] = sumsq;
    }
    if (form->unpack_q) {
        uint8_t packed[BLOCK_WIRE_BYTES_NORM];
        const struct kernel_tokens_wire quantised = {
            .data = packed, .block_stride = sizeof packed, .block_first = in_slice, .blocks = 1, .with_sumsq = true};

        kernel->quantise(values, 1, packed, sizeof packed);
        memcpy(packed + BLOCK_WIRE_BYTES, &sumsq, sizeof sumsq);
        unpack_quantised(inbox, kernel, &quantised, block / SLICE_BLOCKS, token, 1);
    }
}

/* Blocks first .. first+count-1 of a slice, of tokens of one sub-batch. */
static void unpack_slice(struct inbox *inbox, const struct kernel *kernel, uint32_t token, uint32_t token_count, uint32_t first,
                         uint32_t count)
{
    const struct gather_form *form = inbox->form;
    const struct kernel_tokens_wire wire = {
        .data = inbox_block(inbox, token, first),
        .token_stride = inbox->wire_token_stride,
        .block_stride = form->block_bytes,
        .block_first = first % SLICE_BLOCKS,
        .blocks = count,
        .with_sumsq = form->feeds_norm,
    };

    if (!form->is_float) {
        if (form->unpack_q)
            unpack_quantised(inbox, kernel, &wire, first / SLICE_BLOCKS, token, token_count);
        return;
    }
    for (uint32_t t = 0; t < token_count; t++)
        for (uint32_t b = 0; b < count; b++)
            unpack_float(inbox, kernel, inbox_block(inbox, token + t, first + b), token + t, first + b);
}

/* The tokens of one sub-batch. */
static void take_sub(struct inbox *inbox, const struct kernel *kernel, uint32_t token_first, uint32_t token_count, uint32_t block_first,
                     uint32_t block_count)
{
    const struct gather_form *form = inbox->form;
    uint32_t end = block_first + block_count;

    for (uint32_t block = block_first, part; block < end; block += part) {
        uint32_t slice = block / SLICE_BLOCKS, rest = (slice + 1) * SLICE_BLOCKS - block;

        part = rest < end - block ? rest : end - block;
        unpack_slice(inbox, kernel, token_first, token_count, block, part);
        _Atomic uint32_t *missing = &inbox->missing[token_first / INBOX_SUB_TOKENS * form->slices + slice];
        uint32_t before = atomic_fetch_sub_explicit(missing, part * token_count, memory_order_acq_rel);
        assert(before >= part * token_count);
        (void)before;
    }
}

void inbox_take(struct inbox *inbox, const struct kernel *kernel, uint16_t token_first, uint16_t token_count, uint16_t block_first,
                uint16_t block_count)
{
    uint32_t end = (uint32_t)token_first + token_count;

    for (uint32_t token = token_first, part; token < end; token += part) {
        uint32_t rest = INBOX_SUB_TOKENS - token % INBOX_SUB_TOKENS;

        part = rest < end - token ? rest : end - token;
        take_sub(inbox, kernel, token, part, block_first, block_count);
    }
}

bool inbox_sub_is_ready(const struct inbox *inbox, uint32_t sub)
{
    for (uint32_t s = 0; s < inbox->form->slices; s++)
        if (!inbox_is_ready(inbox, sub, s))
            return false;
    return true;
}

/* Of one block of a token. */
static float sumsq_of(const struct inbox *inbox, uint32_t token, uint32_t block)
{
    const size_t cell = (size_t)token * inbox->form->slices + block / SLICE_BLOCKS;
    uint8_t *panel = inbox_panel(inbox, token, block / SLICE_BLOCKS);

    if (!inbox->form->unpack_q)
        return inbox->f[cell].sumsq[block % SLICE_BLOCKS];
    if (panel == NULL)
        return inbox->q[cell].sumsq[block % SLICE_BLOCKS];
    return *token_sumsq(panel, token_place(inbox_sub_tokens(inbox, token), token % INBOX_SUB_TOKENS), block % SLICE_BLOCKS);
}

float inbox_norm_factor(struct inbox *inbox, uint32_t token, float eps)
{
    const struct gather_form *form = inbox->form;
    uint32_t bits = atomic_load_explicit(&inbox->norm[token], memory_order_relaxed);
    float factor, sum = 0.0f;

    if (bits == 0) {
        for (uint32_t b = 0; b < form->block_count; b++)
            sum += sumsq_of(inbox, token, b);
        factor = 1.0f / sqrtf(sum / (float)form->columns + eps);
        memcpy(&bits, &factor, sizeof bits);
        atomic_store_explicit(&inbox->norm[token], bits, memory_order_relaxed);
    }
    memcpy(&factor, &bits, sizeof factor);
    return factor;
}
