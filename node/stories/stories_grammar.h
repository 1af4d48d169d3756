/* The grammar of stories: templates of typed slots and alternatives, expanded to text.
 *
 *     {hero}          the first text of the slot; {hero.his} the named one; {Hero} with a capital. A slot's text is the same each time.
 *     {he} {him} ...  texts of the slot "hero", where no slot has that name
 *     {says friend}   the phrase of that name, in which {x} is the slot; without a slot {x} stays what it was, at first the hero
 *     {a}             "a" or "an", as the next word wants
 *     [one|two|]      one of the alternatives, each equally likely
 *     [?one|two]      in one of four cases one of the alternatives, else nothing
 *     [@sea one|@!sea two]   only alternatives whose guards hold, see STORIES_TAGS; several guards must all hold: @sea@human
 *     ^               a capital follows; it need not be said at the beginning of a sentence, except after ?" and !"
 *     \n              a new paragraph
 *
 * What becomes of spaces, capitals and articles is told in stories_text.h. What is wrong with a template (a slot that is not there, a
 * bracket that is not closed, guards that leave nothing) is a bug of the program: it is asserted, and stories_grammar_check finds it in
 * alternatives that are not taken, too. Everything is decided by keys: the same scene and key give the same text on any machine. */
#ifndef NODE_STORIES_GRAMMAR_H
#define NODE_STORIES_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stories_text.h"

enum { STORIES_SLOTS_MAX = 14 };

struct stories_slot {
    const char *name;
    const char *const *columns; /* names of its texts, NULL after the last */
    const char *const *texts;   /* as many templates */
    uint64_t key;               /* decides the alternatives within them */
};

struct stories_scene {
    struct stories_slot slots[STORIES_SLOTS_MAX];
    size_t slot_count;
    uint32_t facts; /* tags that hold */
};

/* Append the template's expansion, and a space if it does not begin a paragraph. */
void stories_grammar_expand(struct stories_text *text, const struct stories_scene *scene, const char *template, uint64_t key);

/* Whether every reference in the template, in all its alternatives, can be resolved and every bracket closes; else *reason points to where
 * it goes wrong. Phrases that are referred to are checked as deep as they go. */
bool stories_grammar_check(const struct stories_scene *scene, const char *template, const char **reason);

#endif
