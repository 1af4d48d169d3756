/* A conversation, packed: turns of who speaks and what they say, one after the other.
 *
 * Each turn is u8 role, u32 bytes (little-endian), text. The text is any bytes; nothing in it is special. */
#ifndef NODE_CHAT_TURNS_H
#define NODE_CHAT_TURNS_H

#include <stdbool.h>
#include <stddef.h>

#include "mesh/program/fail.h"

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

enum { CHAT_TURN_OVERHEAD = 5 }; /* bytes of a turn besides its text */

struct chat_turn {
    enum chat_role role;
    const char *text; /* (text_size) */
    size_t text_size;
};

/* Appends a turn to the *size bytes in `packed`. False: there is no room for it, and nothing has changed. */
bool chat_turns_put(char *packed, size_t capacity, size_t *size, const struct chat_turn *turn);

/* Takes the first turn off: *packed and *size are then the rest, and the turn's text points into what was packed. 1: a turn, 0: the end,
 * -1: no turn begins here, and nothing has changed. */
int chat_turns_next(const char **packed, size_t *size, struct chat_turn *turn);

/* Is it a conversation that a model can answer: at most one system text, at the beginning, then turns of the user and the assistant
 * alternately, the first and the last of the user? -1: EXIT_USAGE. */
int chat_turns_check(const char *packed, size_t size, struct fail *fail);

#endif
