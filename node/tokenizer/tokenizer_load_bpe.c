/* What only byte-level BPE vocabularies have: pieces of bytes, merges, a rule by which texts are cut.
 *
 * In the file every byte is a character, as GPT-2 writes them (Radford et al. 2019): printable ones of Latin-1 stand for themselves, the
 * others for the characters from U+0100 on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/program/text_decode.h"
#include "node/common/hash.h"
#include "tokenizer_load.h"

#define KEY_PRE    "tokenizer.ggml.pre"
#define KEY_MERGES "tokenizer.ggml.merges"

/* ---- bytes as characters ---- */

static bool stands_for_itself(uint32_t character)
{
    return (character >= 0x21 && character <= 0x7e) || (character >= 0xa1 && character <= 0xff && character != 0xad);
}

/* The byte for which a character stands, or -1. */
static int byte_of(uint32_t character)
{
    enum { FIRST = 0x100, CONTROLS = 0x21, ABOVE_ASCII = 0x22 /* 0x7f to 0xa0 */ };
    const uint32_t index = character - FIRST;

    if (stands_for_itself(character))
        return (int)character;
    if (character < FIRST || index > CONTROLS + ABOVE_ASCII)
        return -1;
    if (index < CONTROLS)
        return (int)index;
    return index < CONTROLS + ABOVE_ASCII ? (int)(0x7f + index - CONTROLS) : 0xad;
}

/* Writes at most `size` bytes; returns their number, or -1 if these are not such characters. */
static int64_t to_bytes(const char *text, size_t size, char *out)
{
    int64_t written = 0;

    for (size_t at = 0; at < size;) {
        uint32_t character;
        const size_t length = text_decode(text + at, size - at, &character);
        const int byte = character == TEXT_DECODE_INVALID ? -1 : byte_of(character);

        if (byte < 0)
            return -1;
        out[written++] = (char)(unsigned char)byte;
        at += length;
    }
    return written;
}

void tokenizer_bpe_show(struct piece *piece)
{
    char *shown = (char *)(uintptr_t)piece->text + piece->text_size; /* room left by load_texts */
    int64_t size;

    piece->shown = shown;
    if (piece->type == PIECE_CONTROL || piece->type == PIECE_UNKNOWN)
        return;
    size = piece->type == PIECE_USER_DEFINED ? -1 : to_bytes(piece->text, piece->text_size, shown);
    if (size >= 0) {
        piece->text = shown;
        piece->text_size = piece->shown_size = (uint32_t)size;
        return;
    }
    memcpy(shown, piece->text, piece->text_size);
    piece->shown_size = piece->text_size;
    if (piece->type != PIECE_USER_DEFINED)
        piece->text_size = 0;
}

/* ---- the rule ---- */

int tokenizer_bpe_load_rule(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    struct gguf_string name = {.text = PRETOKEN_DEFAULT, .size = sizeof PRETOKEN_DEFAULT - 1};
    char shown[GGUF_SHOWN_NAME_BYTES], names[PRETOKEN_NAMES_BYTES];
    const struct pretoken *pretoken;

    if (gguf_get_string(gguf, KEY_PRE, &name, fail) < 0)
        return -1;
    pretoken = pretoken_find(name.text, name.size);
    if (pretoken == NULL) {
        gguf_show_name(&name, shown);
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: %s is '%s', which is not supported: give a model whose text is cut like that of one of these: %s",
                        gguf_path(gguf), KEY_PRE, shown, pretoken_names(names));
    }
    t->rule = pretoken->rule;
    t->is_whole_first = pretoken->is_whole_first;
    t->add_bos = pretoken->is_bos_added;
    return 0;
}

/* ---- merges ---- */

static uint32_t *merge_slot_of(const struct tokenizer *t, uint32_t left, uint32_t right)
{
    uint32_t at = (uint32_t)hash_words3(t->seed, left, right) & t->merge_slot_mask;

    for (;; at = (at + 1) & t->merge_slot_mask) {
        const struct tokenizer_merge *merge;

        if (t->merge_slots[at] == 0)
            return &t->merge_slots[at];
        merge = &t->merges[t->merge_slots[at] - 1];
        if (merge->left == left && merge->right == right)
            return &t->merge_slots[at];
    }
}

const struct tokenizer_merge *tokenizer_find_merge(const struct tokenizer *tokenizer, int64_t left, int64_t right)
{
    uint32_t slot;

    if (left < 0 || right < 0)
        return NULL;
    slot = *merge_slot_of(tokenizer, (uint32_t)left, (uint32_t)right);
    return slot > 0 ? &tokenizer->merges[slot - 1] : NULL;
}

static int refuse_merge(const struct gguf *gguf, uint64_t index, const struct gguf_string *text, const char *why, struct fail *fail)
{
    char shown[GGUF_SHOWN_NAME_BYTES];

    gguf_show_name(text, shown);
    return fail_set(fail, EXIT_BAD_FILE, "%s: %s: entry %" PRIu64 " is '%s', %s: get another copy of the model", gguf_path(gguf),
                    KEY_MERGES, index, shown, why);
}

/* bytes: room for two of the longest pieces. */
static int load_merge(struct tokenizer *t, const struct gguf *gguf, const struct gguf_string *text, char *bytes, struct fail *fail)
{
    const char *space = text->size > 1 ? memchr(text->text + 1, ' ', text->size - 1) : NULL;
    const size_t left_size = space != NULL ? (size_t)(space - text->text) : 0, right_size = text->size - left_size - 1;
    const size_t characters_max = 2 * (size_t)t->text_size_max; /* of a piece: a byte takes at most two */
    int64_t left_bytes, right_bytes, left, right, result;
    uint32_t *slot;

    if (space == NULL || right_size == 0)
        return refuse_merge(gguf, t->merge_count, text, "expected two pieces with a space between them", fail);
    if (left_size > characters_max || right_size > characters_max)
        return refuse_merge(gguf, t->merge_count, text, "which is longer than any two pieces", fail);
    left_bytes = to_bytes(text->text, left_size, bytes);
    right_bytes = left_bytes < 0 ? -1 : to_bytes(space + 1, right_size, bytes + left_bytes);
    if (right_bytes < 0)
        return refuse_merge(gguf, t->merge_count, text, "which has characters that stand for no byte", fail);
    left = tokenizer_find(t, bytes, (size_t)left_bytes);
    right = tokenizer_find(t, bytes + left_bytes, (size_t)right_bytes);
    result = tokenizer_find(t, bytes, (size_t)(left_bytes + right_bytes));
    if (left < 0 || right < 0 || result < 0)
        return refuse_merge(gguf, t->merge_count, text, result < 0 ? "but no token is what that makes" : "of which one is no token", fail);
    t->merges[t->merge_count] = (struct tokenizer_merge){.left = (uint32_t)left, .right = (uint32_t)right, .result = (uint32_t)result};
    slot = merge_slot_of(t, (uint32_t)left, (uint32_t)right);
    t->merge_count++;
    if (*slot == 0) /* of two alike the first one counts */
        *slot = t->merge_count;
    return 0;
}

static int make_merge_room(struct tokenizer *t, uint64_t count, struct fail *fail)
{
    uint32_t slots = 16;

    while (slots < 2 * count)
        slots *= 2;
    t->merges = malloc(count * sizeof *t->merges);
    t->merge_slots = calloc(slots, sizeof *t->merge_slots);
    t->merge_slot_mask = slots - 1;
    return t->merges != NULL && t->merge_slots != NULL ? 0 : tokenizer_fail_memory(fail);
}

static int load_merges(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    const struct gguf_value *merges;
    struct gguf_string text;
    size_t cursor = 0;
    char *bytes;
    int result = 0;

    if (tokenizer_find_array(gguf, KEY_MERGES, 0, true, &merges, fail) < 0)
        return -1;
    if (merges->element_type != GGUF_STRING)
        return tokenizer_fail_element_type(gguf, KEY_MERGES, "string", fail);
    if (merges->count > TOKENIZER_MERGES_MAX)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s has %" PRIu64 " entries, at most %d are possible: get another copy of the model",
                        gguf_path(gguf), KEY_MERGES, merges->count, TOKENIZER_MERGES_MAX);
    if (make_merge_room(t, merges->count, fail) < 0)
        return -1;
    bytes = malloc(4 * (size_t)t->text_size_max + 1);
    if (bytes == NULL)
        return tokenizer_fail_memory(fail);
    while (result == 0 && t->merge_count < merges->count && gguf_array_next_string(merges, &cursor, &text))
        result = load_merge(t, gguf, &text, bytes, fail);
    free(bytes);
    if (result == 0 && t->merge_count < merges->count)
        return tokenizer_refuse_overwritten(gguf, KEY_MERGES, fail);
    return result;
}

/* ---- bytes ---- */

/* Some vocabularies lack the bytes that no valid text has. */
static bool is_in_text(unsigned byte)
{
    return byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
}

static int find_bytes(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    unsigned missing = 0, first = 0;

    for (unsigned byte = 256; byte-- > 0;) {
        const char text = (char)(unsigned char)byte;

        t->byte_ids[byte] = tokenizer_find(t, &text, 1);
        if (t->byte_ids[byte] < 0 && is_in_text(byte)) {
            missing++;
            first = byte;
        }
    }
    if (missing > 0 && t->unknown < 0)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: %s: %u bytes of text have no token (the first is 0x%02X) and there is no unknown token: some text could not "
                        "be encoded: get another copy of the model",
                        gguf_path(gguf), TOKENIZER_KEY_TOKENS, missing, first);
    return 0;
}

int tokenizer_bpe_finish(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    t->is_by_word = t->user_defined_count == 0;
    return find_bytes(t, gguf, fail) < 0 ? -1 : load_merges(t, gguf, fail);
}
