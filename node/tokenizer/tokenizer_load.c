/* Reads and checks a vocabulary: everything in the file that tokenizer.c relies on is verified here, once. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/hash.h"
#include "tokenizer_load.h"

#define KEY_MODEL   "tokenizer.ggml.model"
#define KEY_ADD_BOS "tokenizer.ggml.add_bos_token"

enum { COUNT_MAX = 1 << 24, PIECE_SIZE_MAX = 1 << 16 };

int tokenizer_fail_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "tokenizer: out of memory: free some memory");
}

static int load_model(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    struct gguf_string model;
    char shown[GGUF_SHOWN_NAME_BYTES];
    int found = gguf_get_string(gguf, KEY_MODEL, &model, fail);

    if (found < 0)
        return -1;
    if (found == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is missing: the file has no vocabulary: give a complete model", gguf_path(gguf),
                        KEY_MODEL);
    t->is_bpe = model.size == 4 && memcmp(model.text, "gpt2", 4) == 0;
    if (t->is_bpe || (model.size == 5 && memcmp(model.text, "llama", 5) == 0))
        return 0;
    gguf_show_name(&model, shown);
    return fail_set(fail, EXIT_BAD_FILE,
                    "%s: %s is '%s', which is not supported: give a model whose tokenizer is 'llama' (SentencePiece) or 'gpt2' "
                    "(byte-level BPE)",
                    gguf_path(gguf), KEY_MODEL, shown);
}

int tokenizer_find_array(const struct gguf *gguf, const char *key, uint64_t count, bool required, const struct gguf_value **out,
                         struct fail *fail)
{
    const struct gguf_value *value = gguf_find(gguf, key);

    if (!value && !required)
        return 0;
    if (!value)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is missing: give a complete model", gguf_path(gguf), key);
    if (value->type != GGUF_ARRAY)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is not an array: get another copy of the model", gguf_path(gguf), key);
    if (count == 0 && (value->count == 0 || value->count > COUNT_MAX))
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s has %" PRIu64 " entries, 1 to %d are possible: get another copy of the model",
                        gguf_path(gguf), key, value->count, COUNT_MAX);
    if (count != 0 && value->count != count)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s has %" PRIu64 " entries for %" PRIu64 " tokens: get another copy of the model",
                        gguf_path(gguf), key, value->count, count);
    *out = value;
    return 1;
}

int tokenizer_fail_element_type(const struct gguf *gguf, const char *key, const char *expected, struct fail *fail)
{
    return fail_set(fail, EXIT_BAD_FILE, "%s: %s has elements of the wrong type, expected %s: get another copy of the model",
                    gguf_path(gguf), key, expected);
}

int tokenizer_refuse_overwritten(const struct gguf *gguf, const char *key, struct fail *fail)
{
    return fail_set(fail, EXIT_BAD_FILE, "%s: %s: the file was overwritten while it was read: try again", gguf_path(gguf), key);
}

/* The file is mapped, so another process may change its lengths between the two passes. */
static int load_texts(struct tokenizer *t, const struct gguf *gguf, const struct gguf_value *tokens, struct fail *fail)
{
    struct gguf_string text;
    size_t cursor = 0, total = 0, left;
    uint32_t id = 0;
    char *end;

    for (; gguf_array_next_string(tokens, &cursor, &text) && id < t->count; id++) {
        if (text.size > PIECE_SIZE_MAX)
            return fail_set(fail, EXIT_BAD_FILE,
                            "%s: %s: entry %" PRIu32 " has %zu bytes, at most %d are possible: get another copy of the model",
                            gguf_path(gguf), TOKENIZER_KEY_TOKENS, id, text.size, PIECE_SIZE_MAX);
        total += text.size;
    }
    if (id != t->count)
        return tokenizer_refuse_overwritten(gguf, TOKENIZER_KEY_TOKENS, fail);
    t->bytes = malloc(2 * total + 1); /* texts, and their shown forms, which are never longer */
    if (!t->bytes)
        return tokenizer_fail_memory(fail);
    end = t->bytes;
    cursor = 0;
    left = total;
    for (id = 0; id < t->count; id++) {
        if (!gguf_array_next_string(tokens, &cursor, &text) || text.size > left)
            return tokenizer_refuse_overwritten(gguf, TOKENIZER_KEY_TOKENS, fail);
        left -= text.size;
        memcpy(end, text.text, text.size);
        t->pieces[id] = (struct piece){.text = end, .text_size = (uint32_t)text.size};
        end += 2 * text.size; /* the second half is for the shown form */
    }
    return 0;
}

static bool is_integer(enum gguf_value_type type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

static int refuse_byte(const struct gguf *gguf, uint32_t id, const struct piece *piece, struct fail *fail)
{
    const struct gguf_string text = {.text = piece->text, .size = piece->text_size};
    char shown[GGUF_SHOWN_NAME_BYTES];

    gguf_show_name(&text, shown);
    return fail_set(fail, EXIT_BAD_FILE,
                    "%s: %s: entry %" PRIu32 " says byte, but the token is '%s', not <0x00> to <0xFF>: get another copy of the model",
                    gguf_path(gguf), TOKENIZER_KEY_TYPES, id, shown);
}

/* Without the array every piece is normal, except byte pieces, known by their text, and those that load_specials marks. Byte-level BPE has
 * none of these. */
static int load_types(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    const struct gguf_value *types = NULL;

    if (tokenizer_find_array(gguf, TOKENIZER_KEY_TYPES, t->count, false, &types, fail) < 0)
        return -1;
    if (types && !is_integer(types->element_type))
        return tokenizer_fail_element_type(gguf, TOKENIZER_KEY_TYPES, "an integer", fail);
    for (uint32_t id = 0; id < t->count; id++) {
        struct piece *piece = &t->pieces[id];
        int byte = t->is_bpe ? -1 : tokenizer_spm_byte(piece->text, piece->text_size);
        int64_t type = types ? gguf_array_int(types, id) : byte >= 0 ? PIECE_BYTE : PIECE_NORMAL;

        if (type < PIECE_NORMAL || type > PIECE_BYTE)
            return fail_set(fail, EXIT_BAD_FILE,
                            "%s: %s: entry %" PRIu32 " is %" PRId64 ", 1 to 6 are known: get another copy of the model", gguf_path(gguf),
                            TOKENIZER_KEY_TYPES, id, type);
        if (type == PIECE_BYTE && t->is_bpe)
            type = PIECE_NORMAL;
        if (type == PIECE_BYTE && byte < 0)
            return refuse_byte(gguf, id, piece, fail);
        piece->type = (enum piece_type)type;
        if (type == PIECE_BYTE)
            t->byte_ids[byte] = id;
    }
    return 0;
}

/* An id, -1 when the key is absent or says "none" (all bits set, as converters write it). Returns -1 on error. */
static int load_id(const struct tokenizer *t, const struct gguf *gguf, const char *key, int64_t *id, struct fail *fail)
{
    uint64_t value = UINT32_MAX;

    if (gguf_get_uint(gguf, key, UINT32_MAX, &value, fail) < 0)
        return -1;
    if (value != UINT32_MAX && value >= t->count)
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is %" PRIu64 ", but there are only %" PRIu32 " tokens: get another copy of the model",
                        gguf_path(gguf), key, value, t->count);
    *id = value == UINT32_MAX ? -1 : (int64_t)value;
    return 0;
}

static int load_flag(const struct gguf *gguf, const char *key, bool *flag, struct fail *fail)
{
    return gguf_get_bool(gguf, key, flag, fail) < 0 ? -1 : 0;
}

static bool is_end_name(const struct piece *piece)
{
    static const char *const names[] = {"<|eot_id|>",    "<|eom_id|>",      "<|im_end|>",    "<|end|>",
                                        "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "<\uff5cend\u2581of\u2581sentence\uff5c>",
                                        "<EOT>",         "<|EOT|>",         "</s>"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == piece->text_size && memcmp(names[i], piece->text, piece->text_size) == 0)
            return true;
    return false;
}

/* The tokens that end a text by their names; of byte-level BPE they become control tokens. A normal piece could be part of a text, as </s>
 * is of HTML. */
static void find_ends(struct tokenizer *t, bool has_types)
{
    for (uint32_t id = 0; id < t->count && t->end_count < TOKENIZER_ENDS_MAX; id++) {
        struct piece *piece = &t->pieces[id];

        if ((has_types && piece->type == PIECE_NORMAL) || !is_end_name(piece))
            continue;
        if (t->is_bpe)
            piece->type = PIECE_CONTROL;
        t->ends[t->end_count++] = id;
    }
}

static int load_specials(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    t->add_bos = true;
    t->add_space_prefix = true;
    if (t->is_bpe && tokenizer_bpe_load_rule(t, gguf, fail) < 0)
        return -1;
    if (load_id(t, gguf, TOKENIZER_KEY_BOS, &t->bos, fail) || load_id(t, gguf, TOKENIZER_KEY_EOS, &t->eos, fail) ||
        load_id(t, gguf, TOKENIZER_KEY_UNKNOWN, &t->unknown, fail) || load_id(t, gguf, "tokenizer.ggml.eot_token_id", &t->eot, fail) ||
        load_id(t, gguf, "tokenizer.ggml.eom_token_id", &t->eom, fail) || load_flag(gguf, KEY_ADD_BOS, &t->add_bos, fail) ||
        load_flag(gguf, "tokenizer.ggml.add_eos_token", &t->add_eos, fail) ||
        load_flag(gguf, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix, fail))
        return -1;
    if (t->is_bpe)
        t->add_space_prefix = false; /* as in other programs, whatever the file says */
    else
        tokenizer_spm_default_ids(t, gguf);
    if (t->add_bos && t->bos < 0 && (t->is_bpe || gguf_find(gguf, KEY_ADD_BOS)))
        return fail_set(fail, EXIT_BAD_FILE, "%s: %s is true%s, but %s is missing: get another copy of the model", gguf_path(gguf),
                        KEY_ADD_BOS, gguf_find(gguf, KEY_ADD_BOS) ? "" : " by tokenizer.ggml.pre", TOKENIZER_KEY_BOS);
    if (t->add_eos && t->eos < 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: tokenizer.ggml.add_eos_token is true, but %s is missing: get another copy of the model",
                        gguf_path(gguf), TOKENIZER_KEY_EOS);
    if (!gguf_find(gguf, TOKENIZER_KEY_TYPES)) {
        const int64_t control[] = {t->bos, t->eos, t->eot, t->eom};

        for (size_t i = 0; i < sizeof control / sizeof control[0]; i++)
            if (control[i] >= 0)
                t->pieces[control[i]].type = PIECE_CONTROL;
        if (t->unknown >= 0)
            t->pieces[t->unknown].type = PIECE_UNKNOWN;
    }
    find_ends(t, gguf_find(gguf, TOKENIZER_KEY_TYPES) != NULL);
    return 0;
}

/* The slot that holds this text, or the free slot for it. */
static uint32_t *slot_of(const struct tokenizer *t, const char *text, size_t size)
{
    uint32_t at = (uint32_t)hash_bytes(t->seed, text, size) & t->slot_mask;

    for (;; at = (at + 1) & t->slot_mask) {
        const struct piece *piece;

        if (t->slots[at] == 0)
            return &t->slots[at];
        piece = &t->pieces[t->slots[at] - 1];
        if (piece->text_size == size && memcmp(piece->text, text, size) == 0)
            return &t->slots[at];
    }
}

int64_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    if (size > tokenizer->text_size_max)
        return -1;
    return (int64_t)*slot_of(tokenizer, text, size) - 1;
}

/* Of pieces with the same text the last one counts, as in the reference implementation. A user-defined one of byte-level BPE, which is cut
 * out of the text by itself, makes way for any other. */
static int build_table(struct tokenizer *t, struct fail *fail)
{
    uint32_t slots = 16;

    while (slots < 2 * t->count)
        slots *= 2;
    t->slots = calloc(slots, sizeof *t->slots);
    if (!t->slots)
        return tokenizer_fail_memory(fail);
    t->slot_mask = slots - 1;
    t->seed = hash_random_seed();
    for (uint32_t id = 0; id < t->count; id++) {
        struct piece *piece = &t->pieces[id];

        uint32_t *slot;

        if (t->is_bpe)
            tokenizer_bpe_show(piece);
        else
            tokenizer_spm_show(piece);
        if (piece->text_size == 0 || piece->type == PIECE_CONTROL || piece->type == PIECE_UNKNOWN || piece->type == PIECE_BYTE)
            continue;
        slot = slot_of(t, piece->text, piece->text_size);
        if (!t->is_bpe || piece->type != PIECE_USER_DEFINED || *slot == 0)
            *slot = id + 1;
        if (piece->text_size > t->text_size_max)
            t->text_size_max = piece->text_size;
    }
    return 0;
}

static int compare_user_defined(const void *a, const void *b, void *context)
{
    const struct tokenizer *t = context;
    uint32_t id_a = *(const uint32_t *)a, id_b = *(const uint32_t *)b;
    uint32_t size_a = t->pieces[id_a].text_size, size_b = t->pieces[id_b].text_size;

    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    return id_a < id_b ? -1 : id_a > id_b;
}

static int list_user_defined(struct tokenizer *t, struct fail *fail)
{
    uint32_t count = 0;

    for (uint32_t id = 0; id < t->count; id++)
        count += t->pieces[id].type == PIECE_USER_DEFINED && t->pieces[id].text_size > 0;
    t->user_defined = malloc((count + 1) * sizeof *t->user_defined);
    if (!t->user_defined)
        return tokenizer_fail_memory(fail);
    for (uint32_t id = 0; id < t->count; id++)
        if (t->pieces[id].type == PIECE_USER_DEFINED && t->pieces[id].text_size > 0)
            t->user_defined[t->user_defined_count++] = id;
    qsort_r(t->user_defined, count, sizeof *t->user_defined, compare_user_defined, t);
    return 0;
}

static int load(struct tokenizer *t, const struct gguf *gguf, struct fail *fail)
{
    const struct gguf_value *tokens;

    if (load_model(t, gguf, fail) || tokenizer_find_array(gguf, TOKENIZER_KEY_TOKENS, 0, true, &tokens, fail) < 0)
        return -1;
    if (tokens->element_type != GGUF_STRING)
        return tokenizer_fail_element_type(gguf, TOKENIZER_KEY_TOKENS, "string", fail);
    t->count = (uint32_t)tokens->count;
    t->pieces = calloc(t->count, sizeof *t->pieces);
    if (!t->pieces)
        return tokenizer_fail_memory(fail);
    for (size_t byte = 0; byte < 256; byte++)
        t->byte_ids[byte] = -1;
    if (load_texts(t, gguf, tokens, fail) || (!t->is_bpe && tokenizer_spm_load_scores(t, gguf, fail)) || load_types(t, gguf, fail) ||
        load_specials(t, gguf, fail) || build_table(t, fail) || list_user_defined(t, fail))
        return -1;
    if ((t->is_bpe ? tokenizer_bpe_finish(t, gguf, fail) : tokenizer_spm_finish(t, gguf, fail)) < 0)
        return -1;
    return tokenizer_chat_load(t, gguf, fail);
}

struct tokenizer *tokenizer_open(const struct gguf *gguf, struct fail *fail)
{
    struct tokenizer *t = calloc(1, sizeof *t);

    if (!t) {
        tokenizer_fail_memory(fail);
        return NULL;
    }
    if (load(t, gguf, fail)) {
        tokenizer_close(t);
        return NULL;
    }
    return t;
}

struct tokenizer *tokenizer_open_for(const struct gguf *gguf, uint32_t vocab, struct fail *fail)
{
    struct tokenizer *t = tokenizer_open(gguf, fail);

    if (t == NULL || t->count <= vocab)
        return t;
    fail_set(fail, EXIT_BAD_FILE, "%s: the tokenizer has %" PRIu32 " tokens, the model %" PRIu32 ": convert the file again",
             gguf_path(gguf), t->count, vocab);
    tokenizer_close(t);
    return NULL;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    free(tokenizer->pieces);
    free(tokenizer->bytes);
    free(tokenizer->slots);
    free(tokenizer->user_defined);
    free(tokenizer->merges);
    free(tokenizer->merge_slots);
    free(tokenizer);
}
