/* What only SentencePiece vocabularies have: scores, byte tokens, marks for spaces. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "mesh/program/text_decode.h"
#include "tokenizer_load.h"

#define KEY_SCORES "tokenizer.ggml.scores"

enum { SPACE_SIZE = 3 };
static const char space_mark[SPACE_SIZE + 1] = "\xe2\x96\x81"; /* U+2581 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int tokenizer_spm_byte(const char *text, size_t size)
{
    int high, low;

    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    high = hex_digit(text[3]);
    low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void tokenizer_spm_show(struct piece *piece)
{
    char *shown = (char *)(uintptr_t)piece->text + piece->text_size; /* room left by load_texts */
    uint32_t size = 0;

    piece->shown = shown;
    if (piece->type == PIECE_CONTROL || piece->type == PIECE_UNKNOWN)
        return;
    if (piece->type == PIECE_BYTE) {
        shown[0] = (char)(unsigned char)tokenizer_spm_byte(piece->text, piece->text_size);
        piece->shown_size = 1;
        return;
    }
    for (uint32_t i = 0; i < piece->text_size; size++) {
        bool space = piece->text_size - i >= SPACE_SIZE && memcmp(piece->text + i, space_mark, SPACE_SIZE) == 0;

        shown[size] = space ? ' ' : piece->text[i];
        i += space ? SPACE_SIZE : 1;
    }
    piece->shown_size = size;
}

int tokenizer_spm_load_scores(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    const struct gguf_value *scores;

    if (tokenizer_find_array(gguf, KEY_SCORES, t->count, true, &scores, fail) < 0)
        return -1;
    if (scores->element_type != GGUF_F32)
        return tokenizer_fail_element_type(gguf, KEY_SCORES, "f32", fail);
    for (uint32_t id = 0; id < t->count; id++) {
        float score = gguf_array_float(scores, id);

        if (!isfinite(score))
            return fail_set(fail, EXIT_BAD_FILE, "%s: %s: entry %" PRIu32 " is not a finite number: get another copy of the model",
                            gguf_path(gguf), KEY_SCORES, id);
        t->pieces[id].score = score;
    }
    return 0;
}

/* SentencePiece's own ids stand in for an absent key, where the piece has the right type. */
static void default_id(const struct tokenizer *t, const struct gguf *gguf, const char *key, uint32_t id, enum piece_type type, int64_t *out)
{
    if (*out < 0 && !gguf_find(gguf, key) && id < t->count && t->pieces[id].type == type)
        *out = id;
}

void tokenizer_spm_default_ids(struct tokenizer *t, const struct gguf *gguf)
{
    default_id(t, gguf, TOKENIZER_KEY_UNKNOWN, 0, PIECE_UNKNOWN, &t->unknown);
    default_id(t, gguf, TOKENIZER_KEY_BOS, 1, PIECE_CONTROL, &t->bos);
    default_id(t, gguf, TOKENIZER_KEY_EOS, 2, PIECE_CONTROL, &t->eos);
}

static int check_bytes(const struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    unsigned missing = 0, first = 0;

    for (unsigned byte = 256; byte-- > 0;) {
        if (t->byte_ids[byte] < 0) {
            missing++;
            first = byte;
        }
    }
    if (missing > 0 && t->unknown < 0)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: %s: %u of the 256 byte tokens are missing (the first is <0x%02X>) and there is no unknown token: "
                        "some text could not be encoded: get another copy of the model",
                        gguf_path(gguf), TOKENIZER_KEY_TOKENS, missing, first);
    return 0;
}

/* Could this piece hold the end of one word and the beginning of the next? */
static bool crosses_words(const struct piece *piece)
{
    uint32_t before = 0;

    for (size_t at = 0; at < piece->text_size;) {
        uint32_t character;
        const size_t length = text_decode(piece->text + at, piece->text_size - at, &character);

        if (at > 0 && ((character == '\n') != (before == '\n') || (character == WORD_SPACE_MARK && before != WORD_SPACE_MARK)))
            return true;
        before = character;
        at += length;
    }
    return false;
}

static bool is_by_word(const struct tokenizer *tokenizer)
{
    if (tokenizer->user_defined_count > 0)
        return false;
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        const struct piece *piece = &tokenizer->pieces[id];
        const bool is_text = piece->type == PIECE_NORMAL || piece->type == PIECE_UNUSED;

        if (is_text && crosses_words(piece))
            return false;
    }
    return true;
}

int tokenizer_spm_finish(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    t->is_by_word = is_by_word(t);
    return check_bytes(t, gguf, fail);
}
