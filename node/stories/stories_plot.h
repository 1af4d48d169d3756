/* Plots: what happens in a story, as templates, and which slots they need.
 *
 * A plot's text is a list of templates that follow one another; one that is "\n" begins a paragraph. Slots are filled in their order, so
 * that a later one can be chosen to fit what an earlier one has brought. */
#ifndef NODE_STORIES_PLOT_H
#define NODE_STORIES_PLOT_H

#include "stories_table.h"

/* Who a person is: a child or a small animal; somebody old and wise; somebody with a trade (in a story of animals, somebody old);
 * somebody old of whom the plot says what they are. */
enum stories_role { STORIES_NOBODY, STORIES_PEER, STORIES_ELDER, STORIES_CRAFT, STORIES_NAMED };

struct stories_slot_plan {
    const char *name;
    enum stories_role role;            /* of a person; then table is NULL */
    const struct stories_table *table; /* of anything else */
    uint32_t any;                      /* a row must have one of these tags; 0: any row. Of a person: the kind of animal */
};

enum { STORIES_SLOT_PLANS_MAX = 13 }; /* without the end */

struct stories_plot {
    const char *name;
    uint32_t worlds;                                            /* TAG_HUMAN, TAG_ANIMAL or both */
    struct stories_slot_plan slots[STORIES_SLOT_PLANS_MAX + 1]; /* ended by a name of NULL */
    const char *const *text;                                    /* NULL-terminated */
};

/* All plots, NULL-terminated. */
extern const struct stories_plot *const stories_plots[];

#endif
