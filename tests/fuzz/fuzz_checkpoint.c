/* Any bytes as a checkpoint: refused with a message that names the file and without touching the state, or loaded exactly.
 *
 * Hashes would keep the fuzzer from everything behind them, so each input is also read after it was mended: magic, version, counts that fit
 * its size, and both hashes. Then it must load if and only if its values are possible in a run; and with one bit flipped, never. */
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/bytes.h"
#include "node/common/hash.h"
#include "node/train/train_checkpoint.h"

enum {
    SIZE_MAX_TRIED = 1 << 16,
    VERSION_AT = 8,
    STEPS_AT = 44,
    RATE_AT = 60,
    RATES = 5, /* floats of the setup, one after another */
    STEP_AT = 104,
    COUNT_AT = 112,
    HASH_AT = 120,
    FIXED_BYTES = TRAIN_CHECKPOINT_HEADER_BYTES + TRAIN_CHECKPOINT_HASH_BYTES
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store(uint8_t *at, uint64_t value, size_t size)
{
    struct bytes writer = bytes_writer(at, size);

    bytes_put(&writer, value, size);
}

static uint64_t load(const uint8_t *at, size_t size)
{
    struct bytes reader = bytes_reader(at, size);

    return bytes_get(&reader, size);
}

static float load_float(const uint8_t *at)
{
    struct bytes reader = bytes_reader(at, 4);

    return bytes_get_f32(&reader);
}

static FILE *open_memory(uint8_t *bytes, size_t size)
{
    FILE *file = fmemopen(bytes, size, "rb");

    assert(file != NULL);
    return file;
}

static void check_fail(const struct fail *fail)
{
    assert(fail->exit_code == EXIT_BAD_FILE && strncmp(fail->text, "fuzz.ckpt: ", 11) == 0);
}

static float *new_vector(size_t count)
{
    float *vector = calloc(count + 1, sizeof *vector);

    assert(vector != NULL);
    return vector;
}

/* A loaded vector equals the file's; a refused one is still zero. */
static void check_vector(const float *vector, size_t count, const uint8_t *expected)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &vector[i], sizeof bits);
        assert(bits == (expected ? load(expected + 4 * i, 4) : 0));
    }
}

static void check_state(const struct train_state *state, const uint8_t *bytes)
{
    const uint8_t *vectors = bytes ? bytes + TRAIN_CHECKPOINT_HEADER_BYTES + state->step * TRAIN_CHECKPOINT_RECORD_BYTES : NULL;

    check_vector(state->weights, state->count, vectors);
    check_vector(state->momentum, state->count, vectors ? vectors + 4 * state->count : NULL);
    check_vector(state->spread, state->count, vectors ? vectors + 8 * state->count : NULL);
    assert(bytes || (state->step == 0 && state->record == NULL));
    for (uint64_t i = 0; i < state->step; i++)
        assert(state->record[i].step == i + 1);
}

/* Reads it into a state of the same setup. Returns whether that succeeded. */
static bool read_bytes(uint8_t *bytes, size_t size)
{
    struct train_state state = {0};
    struct fail fail = {0};
    FILE *file = open_memory(bytes, size);
    uint64_t step;
    bool is_read = train_checkpoint_read_setup(file, size, "fuzz.ckpt", &state.setup, &step, &fail) == 0;

    if (!is_read) {
        check_fail(&fail);
        fclose(file);
        return false;
    }
    rewind(file);
    state.count = (size - FIXED_BYTES - step * TRAIN_CHECKPOINT_RECORD_BYTES) / TRAIN_CHECKPOINT_WEIGHT_BYTES;
    state.weights = new_vector(state.count);
    state.momentum = new_vector(state.count);
    state.spread = new_vector(state.count);
    is_read = train_checkpoint_read(&state, file, size, "fuzz.ckpt", &fail) == 0;
    if (!is_read)
        check_fail(&fail);
    assert(!is_read || state.step == step);
    check_state(&state, is_read ? bytes : NULL);
    fclose(file);
    free(state.weights);
    free(state.momentum);
    free(state.spread);
    free(state.record);
    return is_read;
}

/* Returns the size after mending. */
static size_t mend(uint8_t *bytes, size_t size)
{
    const uint64_t step = load(bytes + STEP_AT, 8) % ((size - FIXED_BYTES) / TRAIN_CHECKPOINT_RECORD_BYTES + 1);
    const uint64_t count = (size - FIXED_BYTES - step * TRAIN_CHECKPOINT_RECORD_BYTES) / TRAIN_CHECKPOINT_WEIGHT_BYTES;
    const size_t end = TRAIN_CHECKPOINT_HEADER_BYTES + step * TRAIN_CHECKPOINT_RECORD_BYTES + count * TRAIN_CHECKPOINT_WEIGHT_BYTES;
    uint64_t hash = 0;

    memcpy(bytes, "DmTrain", 8);
    store(bytes + VERSION_AT, 1, 4);
    store(bytes + STEP_AT, step, 8);
    store(bytes + COUNT_AT, count, 8);
    store(bytes + HASH_AT, hash_bytes(0, bytes, HASH_AT), 8);
    for (size_t at = 0; at < end; at += TRAIN_CHECKPOINT_PIECE_BYTES)
        hash = hash_bytes(hash, bytes + at, end - at < TRAIN_CHECKPOINT_PIECE_BYTES ? end - at : TRAIN_CHECKPOINT_PIECE_BYTES);
    store(bytes + end, hash, 8);
    return end + TRAIN_CHECKPOINT_HASH_BYTES;
}

/* Are the values of a mended file possible in a run? */
static bool is_sound(const uint8_t *bytes)
{
    const uint64_t step = load(bytes + STEP_AT, 8), count = load(bytes + COUNT_AT, 8);
    const uint8_t *vectors = bytes + TRAIN_CHECKPOINT_HEADER_BYTES + step * TRAIN_CHECKPOINT_RECORD_BYTES;
    bool sound = step <= load(bytes + STEPS_AT, 8);

    for (size_t i = 0; i < RATES; i++)
        sound = sound && isfinite(load_float(bytes + RATE_AT + 4 * i));
    for (uint64_t i = 0; i < 3 * count; i++)
        sound = sound && isfinite(load_float(vectors + 4 * i)) && (i < 2 * count || load_float(vectors + 4 * i) >= 0);
    return sound;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[SIZE_MAX_TRIED];
    bool is_read;

    if (size > sizeof bytes)
        return 0;
    if (size > 0)
        memcpy(bytes, data, size);
    read_bytes(bytes, size);
    if (size < FIXED_BYTES)
        return 0;

    const size_t bit = (size_t)hash_bytes(0, data, size) % (8 * size);

    size = mend(bytes, size);
    is_read = read_bytes(bytes, size);
    assert(is_read == is_sound(bytes));
    if (bit < 8 * size) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        is_read = read_bytes(bytes, size);
        assert(!is_read);
    }
    return 0;
}
