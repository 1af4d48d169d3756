/* Regular expressions by their definition, in the slowest form, to compare pretoken.c with: all ways to match are listed, the preferred
 * one first.
 *
 * Texts are made of characters of a small alphabet, each with its Unicode category. Patterns know | (?:) (?i:) (?!) [] [^] ? * + {n,m} $
 * and \s \S \r \n \p{L} \p{Lu} and the like; characters above ASCII stand for themselves. */
#ifndef TESTS_SLOW_PATTERN_H
#define TESTS_SLOW_PATTERN_H

#include <stddef.h>

struct slow_character {
    const char *text;     /* its bytes */
    const char *category; /* such as Lu; "" for a byte that is no character */
    int is_space;
};

enum { SLOW_TEXT_MAX = 60 }; /* characters of a text */

/* Cuts text[0..count-1] as a list of patterns (NULL-terminated) says, the later ones within the words of the earlier. ends (count) gets
 * where each word ends; returns their number. */
size_t slow_pattern_cut(const char *const *patterns, const struct slow_character *const *text, size_t count, size_t *ends);

#endif
