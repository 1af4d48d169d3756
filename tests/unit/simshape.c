#include "simshape.h"

#include <assert.h>
#include <string.h>

#include "libmesh/core/mix.h"

enum simshape_draw {
    SHAPE_BLOCKS = 100,
    SHAPE_BYTES,
    SHAPE_LAST,
    SHAPE_SHARE,
    SHAPE_READERS,
    SHAPE_TOKENS,
    SHAPE_LEFT_OUT,
    SHAPE_DATA,
    SHAPE_RECORD
};

void simshape_even(struct simshape *shape, uint16_t rank_count, uint16_t phase_count, uint16_t blocks_of_rank, uint32_t block_bytes)
{
    assert(rank_count <= MESH_RANKS_MAX && phase_count <= SIMSHAPE_PHASES_MAX);
    memset(shape, 0, sizeof *shape);
    shape->step_count = 1;
    shape->rank_count = rank_count;
    shape->phase_count = phase_count;
    shape->prompt_tokens = 1;
    for (uint16_t p = 0; p < phase_count; p++) {
        struct simshape_phase *phase = &shape->phases[p];

        phase->block_count = (uint16_t)(rank_count * blocks_of_rank);
        phase->block_bytes = phase->last_block_bytes = block_bytes;
        phase->readers = rank_count == 64 ? UINT64_MAX : (UINT64_C(1) << rank_count) - 1;
        for (uint16_t r = 0; r <= rank_count; r++) {
            phase->first[r] = (uint16_t)(r * blocks_of_rank);
        }
    }
}

/* Cut block_count blocks into shares at random, so that some may be empty. */
static void simshape_share(struct simshape_phase *phase, uint64_t seed, uint16_t rank_count, uint64_t p)
{
    uint64_t weights[MESH_RANKS_MAX], sum = 0, part = 0;

    for (uint16_t r = 0; r < rank_count; r++) {
        const uint64_t draw = mesh_draw(seed, SHAPE_SHARE, p * 64 + r);

        weights[r] = draw % 5 == 0 ? 0 : 1 + draw / 8 % 3;
        sum += weights[r];
    }
    if (sum == 0) {
        weights[0] = sum = 1;
    }
    for (uint16_t r = 0; r < rank_count; r++) {
        phase->first[r] = (uint16_t)(phase->block_count * part / sum);
        part += weights[r];
    }
    phase->first[rank_count] = phase->block_count;
}

void simshape_random(struct simshape *shape, uint64_t seed, uint16_t rank_count, uint16_t phase_count, uint16_t blocks_max)
{
    static const uint32_t sizes[] = {36, 40, 128, 36, 40, 1000, 1024, 7};

    simshape_even(shape, rank_count, phase_count, 1, 36);
    shape->seed = seed;
    for (uint16_t p = 0; p < phase_count; p++) {
        struct simshape_phase *phase = &shape->phases[p];
        const uint64_t readers = mesh_draw(seed, SHAPE_READERS, p);

        phase->block_count = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, SHAPE_BLOCKS, p), blocks_max));
        phase->block_bytes = sizes[mesh_draw_below(mesh_draw(seed, SHAPE_BYTES, p), sizeof sizes / sizeof sizes[0])];
        phase->last_block_bytes = (uint32_t)(1 + mesh_draw_below(mesh_draw(seed, SHAPE_LAST, p), phase->block_bytes));
        simshape_share(phase, seed, rank_count, p);
        if (readers % 3 == 0) {
            phase->readers &= readers >> 8 | UINT64_C(1) << readers % rank_count;
        }
    }
}

uint16_t simshape_tokens(const struct simshape *shape, uint64_t step)
{
    const uint64_t draw = mesh_draw(shape->seed, SHAPE_TOKENS, step);

    if (step == 0) {
        return shape->prompt_tokens;
    }
    return (uint16_t)(draw % 4 == 0 ? 1 + draw / 4 % 3 : 1);
}

uint16_t simshape_tokens_max(const struct simshape *shape)
{
    return shape->prompt_tokens > 3 ? shape->prompt_tokens : 3;
}

uint16_t simshape_blocks_max(const struct simshape *shape)
{
    uint16_t most = 1;

    for (uint16_t p = 0; p < shape->phase_count; p++) {
        most = shape->phases[p].block_count > most ? shape->phases[p].block_count : most;
    }
    return most;
}

bool simshape_is_exchanged(const struct simshape *shape, uint64_t gather)
{
    return !shape->leaves_out_phases || mesh_draw(shape->seed, SHAPE_LEFT_OUT, gather) % 8 != 0;
}

static uint32_t block_size(const struct simshape_phase *phase, uint16_t block)
{
    return block + 1 == phase->block_count ? phase->last_block_bytes : phase->block_bytes;
}

size_t simshape_token_stride(const struct simshape_phase *phase)
{
    return (size_t)(phase->block_count - 1) * phase->block_bytes + phase->last_block_bytes;
}

static uint64_t simshape_word(uint64_t key, size_t i)
{
    return mesh_mix64(key + i);
}

static uint64_t simshape_key(const struct simshape *shape, uint64_t gather, uint16_t token, uint16_t block)
{
    return mesh_draw(shape->seed, SHAPE_DATA, gather << 32 | (uint64_t)token << 16 | block);
}

void simshape_fill(const struct simshape *shape, uint64_t gather, uint16_t token, uint16_t block, uint8_t *out)
{
    const uint64_t key = simshape_key(shape, gather, token, block);
    const uint32_t size = block_size(&shape->phases[gather % shape->phase_count], block);

    for (uint32_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(simshape_word(key, i / 8) >> i % 8 * 8);
    }
}

bool simshape_matches(const struct simshape *shape, uint64_t gather, uint16_t token, uint16_t block, const uint8_t *data)
{
    const uint64_t key = simshape_key(shape, gather, token, block);
    const uint32_t size = block_size(&shape->phases[gather % shape->phase_count], block);

    for (uint32_t i = 0; i < size; i++) {
        if (data[i] != (uint8_t)(simshape_word(key, i / 8) >> i % 8 * 8)) {
            return false;
        }
    }
    return true;
}

size_t simshape_record(const struct simshape *shape, uint16_t from, uint16_t to, uint16_t number, uint8_t *out)
{
    const uint64_t key = mesh_draw(shape->seed, SHAPE_RECORD, (uint64_t)from << 32 | (uint64_t)to << 16 | number);
    const size_t most = key % 16 == 0 ? MESH_RECORD_BYTES_MAX : key % 4 == 0 ? 5000 : 200;
    const size_t size = 1 + mesh_draw_below(mesh_mix64(key), most);

    if (out != NULL) {
        for (size_t i = 0; i < size; i++) {
            out[i] = (uint8_t)(simshape_word(key, i / 8) >> i % 8 * 8);
        }
    }
    return size;
}
