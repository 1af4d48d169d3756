/* Small stories in plain English, made by a seeded grammar: text to train a language model on.
 *
 * A story is a plot (stories_plot.h), a cast that fits it (stories_cast.h) and the grammar that expands the one with the other
 * (stories_grammar.h). It has two to five paragraphs separated by an empty line, in ASCII. It depends on nothing but seed and index, so
 * that a longer text begins with the shorter one, on any machine. */
#ifndef NODE_STORIES_H
#define NODE_STORIES_H

#include <stddef.h>
#include <stdint.h>

enum { STORIES_BYTES_MAX = 2048, STORIES_WORDS_MIN = 80, STORIES_WORDS_MAX = 200 };

/* What stands between two stories. */
#define STORIES_SEPARATOR "\n\n\n"

/* Write one story, without separator, newline or NUL at its end.
 *
 * out   (capacity), at least STORIES_BYTES_MAX
 * Returns its size in bytes. Any thread. */
size_t stories_write(uint64_t seed, uint64_t index, char *out, size_t capacity);

#endif
