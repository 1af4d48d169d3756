/* How a trace ends, in words: whether the run ended, or only the recording did. */
#ifndef REPLAY_ENDING_H
#define REPLAY_ENDING_H

#include "mesh/trace.h"

enum { ENDING_TEXT_BYTES = 500 };

/* "ends early: recorded until ...": to be put after the name of the file. */
void ending_text(const struct mesh_trace_ending *ending, char text[ENDING_TEXT_BYTES]);

/* A word for JSON. */
const char *ending_word(enum mesh_trace_ending_kind kind);

#endif
