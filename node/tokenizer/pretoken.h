/* The words of a text, as a byte-level BPE tokenizer cuts them: nothing is merged across their ends.
 *
 * tokenizer.ggml.pre names a rule; each is a list of stages (pretoken_rules.c). A stage cuts what the one before it left whole: matches of
 * its pattern, and what lies between them. Bytes that are no UTF-8 count as one character each that is neither letter, number nor space. */
#ifndef NODE_PRETOKEN_H
#define NODE_PRETOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PRETOKEN_STAGES_MAX = 6 };

/* The characters of which a stage's matches consist. */
enum pretoken_set {
    PRETOKEN_END, /* no further stage */
    PRETOKEN_NEWLINE,
    PRETOKEN_SPACE,
    PRETOKEN_LETTER,
    PRETOKEN_NUMBER,
    PRETOKEN_DIGIT, /* 0 to 9 */
    PRETOKEN_PUNCTUATION,
    PRETOKEN_SIGN,            /* punctuation and $ + < = > ^ ~ | */
    PRETOKEN_SIGN_OR_GRAVE,   /* these and ` */
    PRETOKEN_DEEPSEEK_LETTER, /* letters with case, but not all */
    PRETOKEN_DEEPSEEK_SIGN,
    PRETOKEN_DEEPSEEK_IDEOGRAPH,
    PRETOKEN_WORDS /* no set: everything is cut by pretoken_words */
};

enum pretoken_contractions { PRETOKEN_NO_CONTRACTIONS, PRETOKEN_SMALL_CONTRACTIONS, PRETOKEN_ANY_CONTRACTIONS, PRETOKEN_AFTER_LETTERS };

/* How everything is cut, by the first of these that there is: a contraction ('s 't 're 've 'm 'll 'd); letters; numbers; other signs, after
 * a space perhaps; white space, all but the last one if something follows. */
struct pretoken_words {
    enum pretoken_contractions contractions; /* in small letters, or in any; or they stay with the letters before them */
    bool is_any_before_letters;              /* letters take any one character before them but newlines and numbers; else a space */
    bool is_by_case;                         /* letters and marks: those without small ones, then those without capital ones */
    bool is_newline_end;                     /* white space ends after its last newline, if it has any */
    uint8_t numbers_max;                     /* characters of a number; 0: any, after a space perhaps */
    char after_signs[4];                     /* characters that stay with the signs before them */
};

struct pretoken_stage {
    enum pretoken_set set;
    uint8_t least, most; /* characters of a match; 0: one, and any */
    bool is_spaced;      /* one character of white space goes before a match if it can */
    bool is_last;        /* only what ends with the text of this stage is a match */
};

struct pretoken_rule {
    struct pretoken_stage stages[PRETOKEN_STAGES_MAX + 1]; /* ends with PRETOKEN_END */
    struct pretoken_words words;                           /* of the stage PRETOKEN_WORDS */
};

/* What a value of tokenizer.ggml.pre stands for. */
struct pretoken {
    const char *name;
    const struct pretoken_rule *rule;
    bool is_whole_first; /* a word that is a token is taken at once, however it could be merged */
    bool is_bos_added;   /* unless the file says otherwise */
};

#define PRETOKEN_DEFAULT "default" /* where tokenizer.ggml.pre is missing */

/* NULL: not supported. */
const struct pretoken *pretoken_find(const char *name, size_t size);

/* The supported rules for messages: one name of each, with commas. Returns out. */
enum { PRETOKEN_NAMES_BYTES = 200 };
const char *pretoken_names(char out[PRETOKEN_NAMES_BYTES]);

/* Starts as {.rule, .text, .size}; the text is borrowed. */
struct pretoken_cut {
    const struct pretoken_rule *rule;
    const char *text;
    size_t size, at;
    size_t ends[PRETOKEN_STAGES_MAX]; /* per stage, of what it cut last */
};

/* The next word, at least one byte: text[at_before .. cut->at - 1]. False after the last. Each stage reads each byte a few times at most,
 * but may do so for the whole text in one call. */
bool pretoken_next(struct pretoken_cut *cut);

#endif
