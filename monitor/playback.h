/* A recording as the user sees it: its position, its speed, and the steps asked for and not yet done. */
#ifndef MONITOR_PLAYBACK_H
#define MONITOR_PLAYBACK_H

#include <stdbool.h>
#include <stddef.h>

#include "keys.h"

struct playback {
    bool is_on; /* else a live mesh is watched */
    bool is_over;
    double speed;
    double seconds, total;         /* since its beginning */
    size_t token, tokens;          /* of the last token drawn; of all */
    int wants_tokens, wants_ticks; /* steps */
    bool wants_begin;
};

/* ACTION_SPEED, ACTION_STEP_TOKEN or ACTION_BEGIN. */
void playback_act(struct playback *playback, enum action action, int argument);

#endif
