/* A recording as the person at the keyboard knows it: how far it is played, how fast, and what is wanted of it until that is done. */
#ifndef MONITOR_PLAYBACK_H
#define MONITOR_PLAYBACK_H

#include <stdbool.h>
#include <stddef.h>

#include "keys.h"

struct playback {
    bool is_on; /* else a living mesh is watched */
    bool is_over;
    double speed;
    double seconds, total;         /* since its beginning */
    size_t token, tokens;          /* which one was drawn last; all */
    int wants_tokens, wants_ticks; /* steps */
    bool wants_begin;
};

/* ACTION_SPEED, ACTION_STEP_TOKEN or ACTION_BEGIN. */
void playback_act(struct playback *playback, enum action action, int argument);

#endif
