#include "synth_vocab.h"

#include <assert.h>
#include <stdio.h>

#include "node/common/synth_number.h"

#define SPACE_MARK "\xe2\x96\x81"

static const char signs[] = ".,!?'-:;()\"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char consonants[] = "bdfjlmnrstvw"; /* without those that form offensive words */
static const char vowels[] = "aeiou";

enum {
    LETTERS = 26,
    SIGNS = sizeof signs - 1,
    VOWELS = sizeof vowels - 1,
    SYLLABLES = (sizeof consonants - 1) * VOWELS,
    WORDS = SYLLABLES * SYLLABLES * (1 + SYLLABLES + SYLLABLES * SYLLABLES), /* of two to four syllables */
    SYLLABLES_MAX = 4,                                                       /* of a word */
    SPREAD = 1000003 /* a prime, which shares no factor with a number of words: multiplying by it permutes them */
};

_Static_assert(SYNTH_VOCAB_MAX <= SYNTH_VOCAB_TEXT + 1 + LETTERS + SIGNS + 2 * SYLLABLES + WORDS, "not enough words");

static size_t put_text(char *out, const char *text)
{
    size_t size = 0;

    for (; text[size] != 0; size++)
        out[size] = text[size];
    return size;
}

static size_t put_syllables(char *out, uint64_t number, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++, number /= SYLLABLES) {
        out[size++] = consonants[number % SYLLABLES / VOWELS];
        out[size++] = vowels[number % VOWELS];
    }
    return size;
}

static size_t put_word(char *out, uint64_t number, int syllables)
{
    const size_t mark_size = put_text(out, SPACE_MARK);

    return mark_size + put_syllables(out + mark_size, number, syllables);
}

/* All words of two syllables, then all of three, then of four. */
static size_t word_piece(uint32_t index, char *out)
{
    uint64_t words = SYLLABLES * SYLLABLES;
    int syllables = 2;

    for (; index >= words; words *= SYLLABLES, syllables++)
        index -= (uint32_t)words;
    assert(syllables <= SYLLABLES_MAX);
    return put_word(out, index * (uint64_t)SPREAD % words, syllables);
}

static size_t text_piece(uint32_t index, char *out)
{
    if (index == 0)
        return put_text(out, SPACE_MARK);
    index -= 1;
    if (index < LETTERS) {
        *out = (char)('a' + index);
        return 1;
    }
    index -= LETTERS;
    if (index < SIGNS) {
        *out = signs[index];
        return 1;
    }
    index -= SIGNS;
    if (index < SYLLABLES)
        return put_syllables(out, index, 1);
    index -= SYLLABLES;
    if (index < SYLLABLES)
        return put_word(out, index, 1);
    return word_piece(index - SYLLABLES, out);
}

size_t synth_vocab_piece(uint32_t id, char out[SYNTH_VOCAB_PIECE_MAX])
{
    assert(id < SYNTH_VOCAB_MAX);
    if (id == SYNTH_VOCAB_UNKNOWN)
        return put_text(out, "<unk>");
    if (id == SYNTH_VOCAB_BOS)
        return put_text(out, "<s>");
    if (id == SYNTH_VOCAB_EOS)
        return put_text(out, "</s>");
    if (id < SYNTH_VOCAB_TEXT)
        return (size_t)snprintf(out, SYNTH_VOCAB_PIECE_MAX, "<0x%02X>", id - SYNTH_VOCAB_BYTES);
    return text_piece(id - SYNTH_VOCAB_TEXT, out);
}

uint32_t synth_vocab_type(uint32_t id)
{
    if (id == SYNTH_VOCAB_UNKNOWN)
        return 2;
    if (id < SYNTH_VOCAB_BYTES)
        return 3;
    return id < SYNTH_VOCAB_TEXT ? 6 : 1;
}

uint32_t synth_vocab_score(uint32_t id)
{
    return id < SYNTH_VOCAB_TEXT ? 0 : synth_number_f32(true, id - SYNTH_VOCAB_TEXT, 0);
}
