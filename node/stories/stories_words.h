/* The words of stories: names and kinds of those who act, places, days, things. Each table's columns are told beside it. */
#ifndef NODE_STORIES_WORDS_H
#define NODE_STORIES_WORDS_H

#include "stories_table.h"

enum stories_gender { STORIES_GIRL, STORIES_BOY };

/* NULL-terminated lists of names; no name is in two of them. */
extern const char *const stories_names_human[2][64];
extern const char *const stories_names_animal[2][64];
extern const char *const stories_names_old[2][64];

/* kind, home: who the hero and the friends are in a story of animals */
extern const struct stories_table stories_beasts;
/* kind: who is old and wise; rows for both worlds */
extern const struct stories_table stories_elders;
/* kind: people with a trade */
extern const struct stories_table stories_crafts;
/* trait, habit: what somebody is like; the habit is a clause that begins with "who" */
extern const struct stories_table stories_traits;

/* town, in, kind, detail: where stories happen; the detail is a clause that begins with "where" */
extern const struct stories_table stories_towns;
/* spot, at: places within or near a town; "the old bridge", "under the old bridge" */
extern const struct stories_table stories_spots;
/* day, one, sky: "windy", "one windy morning", and a sentence about it */
extern const struct stories_table stories_days;

/* thing, adj, full, love: what one can own; "kite", "red", "red kite", "flew it whenever the wind was right" */
extern const struct stories_table stories_things;
/* food, piece, full: what can be cut and shared; "apple pie", "slice", "warm apple pie" */
extern const struct stories_table stories_foods;
/* ingredient, some: what goes into a soup; "carrots", "three fat carrots" */
extern const struct stories_table stories_ingredients;

#endif
