/* Phrases that many plots share: how somebody speaks, is glad, thinks; how a story begins and ends. In order of their names. */
#ifndef NODE_STORIES_PHRASES_H
#define NODE_STORIES_PHRASES_H

#include <stddef.h>

struct stories_phrase {
    const char *name;
    const char *text; /* a template; {x} is the slot that is spoken of */
};

extern const struct stories_phrase stories_phrases[];
extern const size_t stories_phrase_count;

/* The phrase of that name, or NULL. */
const struct stories_phrase *stories_phrase_find(const char *name, size_t name_size);

#endif
