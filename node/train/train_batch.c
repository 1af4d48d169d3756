#include "train_batch.h"

#include <assert.h>
#include <string.h>

#include "node/common/hash.h"
#include "train_pass.h"

static size_t pairs_of(const struct train_text *text, size_t index)
{
    const uint32_t document = text->document[index];

    assert(text->start[document + 1] > text->start[document]);
    return text->start[document + 1] - text->start[document] - 1;
}

/* `count` pairs of a document from its pair `first` on. */
static void copy_pairs(const struct train_text *text, size_t index, size_t first, size_t count, uint32_t *id, uint32_t *target)
{
    const uint32_t *from = text->id + text->start[text->document[index]] + first;

    memcpy(id, from, count * sizeof *id);
    memcpy(target, from + 1, count * sizeof *target);
}

static void blank(uint32_t *id, uint32_t *target, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        id[i] = 0;
        target[i] = TRAIN_IGNORED;
    }
}

static void draw_row(const struct train_text *text, uint64_t key, uint32_t ctx, uint32_t *id, uint32_t *target)
{
    size_t used = 0;

    for (uint64_t draw = 0; used < ctx; draw++) {
        const size_t index = hash_words3(key, draw, 0) % text->count, pairs = pairs_of(text, index);
        const size_t room = ctx - used;
        const size_t first = used == 0 && pairs > room ? hash_words3(key, draw, 1) % (pairs - room + 1) : 0;
        const size_t count = pairs < room ? pairs : room;

        copy_pairs(text, index, first, count, id + used, target + used);
        used += count;
    }
}

void train_batch_draw(const struct train_text *text, uint64_t seed, uint64_t step, uint32_t rows, uint32_t ctx, uint32_t *id,
                      uint32_t *target)
{
    assert(text->count > 0);
    for (uint32_t row = 0; row < rows; row++)
        draw_row(text, hash_words3(seed, step, row), ctx, id + (size_t)row * ctx, target + (size_t)row * ctx);
}

/* Fill one row; returns its pairs. */
static size_t next_row(const struct train_text *text, struct train_cursor *cursor, uint32_t ctx, uint32_t *id, uint32_t *target)
{
    size_t used = 0;

    while (cursor->document < text->count) {
        const size_t left = pairs_of(text, cursor->document) - cursor->pair, room = ctx - used;
        const size_t count = left < room ? left : room;

        if (left > room && used > 0)
            break; /* a document that fits a row is not split, and a piece gets as much context as possible */
        copy_pairs(text, cursor->document, cursor->pair, count, id + used, target + used);
        used += count;
        cursor->pair += count;
        if (count == left)
            *cursor = (struct train_cursor){cursor->document + 1, 0};
    }
    blank(id + used, target + used, ctx - used);
    return used;
}

size_t train_batch_next(const struct train_text *text, struct train_cursor *cursor, uint32_t rows, uint32_t ctx, uint32_t *id,
                        uint32_t *target)
{
    size_t pairs = 0;

    for (uint32_t row = 0; row < rows; row++)
        pairs += next_row(text, cursor, ctx, id + (size_t)row * ctx, target + (size_t)row * ctx);
    return pairs;
}
