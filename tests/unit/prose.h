/* What a reader would mark in a story: spaces, capitals, quotation marks, articles, ends of sentences. It knows nothing of how the story
 * was made. */
#ifndef TESTS_PROSE_H
#define TESTS_PROSE_H

#include <stdbool.h>
#include <stddef.h>

enum { PROSE_REASON_SIZE = 160 };

/* True when a story of 2 to 5 paragraphs has no error; otherwise reason states the error and quotes the place. */
bool prose_is_clean(const char *text, size_t size, char reason[PROSE_REASON_SIZE]);

size_t prose_count_words(const char *text, size_t size);

#endif
