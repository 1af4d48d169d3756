/* The text of a story as it grows: pieces are put one after the other, and spaces, capitals and articles come out right.
 *
 * Spaces that stand together become one, and those at the inner side of quotation marks none. A sentence begins with a capital; after a
 * question or an exclamation in quotation marks it may go on, so there the piece has to say so with ^. A newline begins a paragraph. ASCII
 * only; no locale. */
#ifndef NODE_STORIES_TEXT_H
#define NODE_STORIES_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct stories_text {
    char *bytes; /* (capacity), borrowed */
    size_t capacity;
    size_t size;
    bool capital;   /* the next letter is one */
    bool article;   /* the last word is an "a" that may want an n */
    bool quoting;   /* between quotation marks */
    char stop;      /* the mark that ended the last sentence, when nothing else followed; else 0 */
    bool truncated; /* there was no room: the text is of no use */
};

void stories_text_begin(struct stories_text *text, char *bytes, size_t capacity);

/* Put a piece, which may begin and end anywhere, though an article and the word after it stand apart from others. */
void stories_text_put(struct stories_text *text, const char *begin, const char *end);

/* Put "a", which becomes "an" when the next word wants it. */
void stories_text_article(struct stories_text *text);

/* Put a space, unless there is one or none is wanted. */
void stories_text_space(struct stories_text *text);

/* Take off the space at the end. */
void stories_text_end(struct stories_text *text);

#endif
