/* The cast of a story: who and what fills the slots of a plot.
 *
 * Decided by the key alone. Names begin with different letters; no row of a table is taken twice; what is chosen fits the facts that
 * what was chosen before has brought. */
#ifndef NODE_STORIES_CAST_H
#define NODE_STORIES_CAST_H

#include "stories_grammar.h"
#include "stories_plot.h"

enum { STORIES_PERSON_TEXTS = 16, STORIES_PERSONS_MAX = 6, STORIES_ROWS_MAX = STORIES_SLOTS_MAX + STORIES_PERSONS_MAX };

struct stories_person {
    const char *texts[STORIES_PERSON_TEXTS]; /* in the order of the columns in stories_cast.c */
};

struct stories_cast {
    struct stories_scene scene; /* valid as long as the cast stays where it is */
    struct stories_person persons[STORIES_PERSONS_MAX];
    size_t person_count;
    const struct stories_row *rows[STORIES_ROWS_MAX]; /* that are taken: one per slot, and the traits */
    size_t row_count;
};

void stories_cast_fill(struct stories_cast *cast, const struct stories_plot *plot, uint64_t key);

#endif
