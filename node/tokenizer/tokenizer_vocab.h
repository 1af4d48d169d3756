/* The vocabulary behind a tokenizer; shared by tokenizer_load*.c, which fill it, and tokenizer.c, tokenizer_merge.c and tokenizer_words.c,
 * which use it. Not for others. */
#ifndef NODE_TOKENIZER_VOCAB_H
#define NODE_TOKENIZER_VOCAB_H

#include "chat_turns.h"
#include "pretoken.h"
#include "tokenizer.h"
#include "word.h"

enum {
    TOKENIZER_TEXT_MAX = 1 << 24, /* largest text that is merged as a whole */
    TOKENIZER_MERGES_MAX = 1 << 22,
    TOKENIZER_ENDS_MAX = 32,
    TOKENIZER_CHAT_PARTS_MAX = 8,
    TOKENIZER_CHAT_ROLES = CHAT_ASSISTANT + 1
};

/* Numbers of tokenizer.ggml.token_type. */
enum piece_type { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER_DEFINED, PIECE_UNUSED, PIECE_BYTE };

struct piece {
    const char *text;  /* as in the file: U+2581 for a space; of byte-level BPE, the bytes for which it stands, if text can become it */
    const char *shown; /* as in generated text */
    uint32_t text_size, shown_size;
    float score; /* finite; 0 of byte-level BPE */
    enum piece_type type;
};

/* Two neighbours that are joined. Of several that could be, the earliest in the list comes first. */
struct tokenizer_merge {
    uint32_t left, right, result; /* ids */
};

struct tokenizer_chat_part {
    const char *text; /* (size) static; of a token, nothing */
    size_t size;
    int64_t id; /* -1: text */
};

/* Texts and tokens, one after the other. */
struct tokenizer_chat_words {
    struct tokenizer_chat_part part[TOKENIZER_CHAT_PARTS_MAX]; /* (count) */
    size_t count;
};

/* Where the system text stands: by itself, or before what the user says first or last. */
enum tokenizer_chat_system {
    TOKENIZER_CHAT_SYSTEM_TURN,
    TOKENIZER_CHAT_SYSTEM_FIRST,
    TOKENIZER_CHAT_SYSTEM_LAST,
    TOKENIZER_CHAT_SYSTEM_NOWHERE
};

/* The form in which a model that answers wants a conversation (tokenizer_chat.c). */
struct tokenizer_chat {
    enum { TOKENIZER_CHAT_MISSING, TOKENIZER_CHAT_UNKNOWN, TOKENIZER_CHAT_KNOWN } state;
    struct tokenizer_chat_words before[TOKENIZER_CHAT_ROLES], after[TOKENIZER_CHAT_ROLES]; /* what a role says */
    struct tokenizer_chat_words prompt;                                                    /* before the answer that is asked for */
    enum tokenizer_chat_system system;
    bool trims, trims_answers; /* spaces around what is said, or what was answered, are left out */
    bool drops_thoughts;       /* of an earlier answer, what precedes the last </think>, and that */
    bool drops_newlines;       /* and the newlines that follow it */
    bool repeats_bos;          /* BOS goes before all that the user says later */
    bool lacks_end;            /* no EOS, with which earlier answers have to end */
};

struct tokenizer {
    bool is_bpe; /* byte-level BPE; else SentencePiece */
    uint32_t count;
    struct piece *pieces;   /* (count) */
    char *bytes;            /* what the pieces point into */
    uint64_t seed;          /* of the hash table */
    uint32_t *slots;        /* (slot_mask + 1) hash table of the pieces that text can become: id + 1, 0 is free */
    uint32_t slot_mask;     /* a power of two less one; at most half of the slots are taken */
    uint32_t text_size_max; /* of the pieces in the table */
    uint32_t *user_defined; /* (user_defined_count) found in raw text before anything else: longest first, then by id */
    uint32_t user_defined_count;
    int64_t byte_ids[256];               /* id of <0xNN>, or of the piece that is this one byte; or -1 */
    int64_t bos, eos, unknown, eot, eom; /* id or -1 */
    bool add_bos, add_eos, add_space_prefix;
    bool is_by_word; /* no piece goes from one word into the next, and none is user-defined: words may be merged one by one */

    struct tokenizer_chat chat;

    /* of byte-level BPE */
    const struct pretoken_rule *rule;
    bool is_whole_first;            /* a word that is a piece is taken at once */
    struct tokenizer_merge *merges; /* (merge_count) */
    uint32_t merge_count;
    uint32_t
        *merge_slots; /* (merge_slot_mask + 1) hash table of the merges by left and right: index + 1, 0 is free; at most half are taken */
    uint32_t merge_slot_mask;
    uint32_t ends[TOKENIZER_ENDS_MAX]; /* (end_count) found by their names */
    uint32_t end_count;
};

/* The words of a text, as the vocabulary wants them. The text is borrowed. */
struct tokenizer_cursor {
    const struct tokenizer *tokenizer;
    struct pretoken_cut cut; /* .rule is NULL for SentencePiece */
};

struct tokenizer_cursor tokenizer_cursor_begin(const struct tokenizer *tokenizer, const char *text, size_t size);

/* The next word; false after the last. size < 2^32. */
bool tokenizer_cursor_next(struct tokenizer_cursor *cursor, struct word *word);

/* The id of the piece with exactly this text, or -1. Control, unknown and byte pieces are never found. */
int64_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t size);

/* The merge of two neighbours, or NULL. Its place in the list of merges is its rank. */
const struct tokenizer_merge *tokenizer_find_merge(const struct tokenizer *tokenizer, int64_t left, int64_t right);

/* Ids of one word by merging alone: no special tokens, and user-defined pieces are not cut out. *ids as of tokenizer_encode. */
int tokenizer_encode_word(const struct tokenizer *tokenizer, const struct word *word, uint32_t **ids, size_t *count, struct fail *fail);

#endif
