/* The words of a text, as a SentencePiece tokenizer sees them: no piece of a learnt vocabulary spans two words.
 *
 * A word is a run of newlines, or spaces (any number, also none) followed by characters that are neither space nor newline. Words begin
 * only where the tokenizer's symbols do: a broken character that swallows the bytes after it keeps them in its word. */
#ifndef NODE_WORD_H
#define NODE_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORD_SPACE_MARK = 0x2581 }; /* the character that stands for a space in pieces */

struct word {
    const char *text; /* into the text; without its first space when is_spaced comes from one */
    uint32_t size;    /* may be 0 when is_spaced */
    bool is_spaced;   /* one space goes before it */
};

/* The next word of text[0..size-1], size < 2^32; false after the last. *at starts at 0 and is advanced. With is_prefixed the first word
 * gets the space that SentencePiece puts before a text. */
bool word_next(const char *text, size_t size, bool is_prefixed, size_t *at, struct word *word);

/* Bytes of a character by its first one. Text need not be UTF-8, so the others are not looked at. */
static inline uint32_t word_character_size(unsigned char first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The symbol at the start of text[0..size-1], size > 0: how many bytes it takes, and its code point or TEXT_DECODE_INVALID. A space that a
 * broken character swallows in part is taken as a whole. */
size_t word_character(const char *text, size_t size, uint32_t *code_point);

#endif
