#include "playback.h"

static const double speeds[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000};

enum { SPEEDS = sizeof speeds / sizeof *speeds };

/* The next speed of the list; the speed of the option may lie between two of them. */
static void change_speed(struct playback *playback, bool is_faster)
{
    int at = is_faster ? 0 : SPEEDS - 1;

    while (is_faster ? at < SPEEDS - 1 && speeds[at] <= playback->speed : at > 0 && speeds[at] >= playback->speed)
        at += is_faster ? 1 : -1;
    playback->speed = speeds[at];
}

void playback_act(struct playback *playback, enum action action, int argument)
{
    if (action == ACTION_SPEED)
        change_speed(playback, argument > 0);
    else if (action == ACTION_STEP_TOKEN)
        playback->wants_tokens += argument;
    else
        playback->wants_begin = true;
}
