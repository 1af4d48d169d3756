/* A recording played into a fleet: its clock moves on request: on by any time, to the next token, and back.
 *
 * Going back starts at the beginning and takes in all records until then. The fleet's own clock is the recording's, so nothing depends on
 * when it is watched. Reads files, and no other clock. One thread. */
#ifndef MONITOR_PLAYER_H
#define MONITOR_PLAYER_H

#include "fleet.h"
#include "recorded.h"

struct player {
    struct recorded *recorded; /* borrowed */
    struct fleet *fleet;       /* borrowed; initialised by the caller, and cleared to go back */
    uint64_t interval_ns;      /* between ticks */
    struct recorded_record record;
    bool has_record;
    int64_t now_ns, next_tick_ns;         /* wall clock */
    bool is_over;                         /* all records are taken in, with a tick at the end */
    size_t token;                         /* tokens drawn until now, except after steps by token */
    void (*tell)(void *app, double part); /* set by the caller, NULL: none. Called again and again while playing on to some time, with the
                                             part of the recording until then that has been played */
    void *app;
};

/* 0, or -1 with fail set, as with all that follow. */
int player_open(struct player *player, struct recorded *recorded, struct fleet *fleet, uint64_t interval_ns, struct fail *fail);

/* Back to the beginning. */
int player_rewind(struct player *player, struct fail *fail);

/* Set another interval, from the last tick on. */
void player_set_interval(struct player *player, uint64_t interval_ns);

/* Advance by that time, or to the end. */
int player_advance(struct player *player, uint64_t ns, struct fail *fail);

/* Advance to the next tick: false when the recording is over. */
int player_tick(struct player *player, struct fail *fail);

/* Go to the token after the present one, or (by < 0) before it, and on to the report of its step, a second at most. Does nothing without
 * tokens. */
int player_step(struct player *player, int by, struct fail *fail);

/* The fleet's monotonic clock. */
uint64_t player_now_ns(const struct player *player);

/* Seconds since the beginning, and in all. */
double player_seconds(const struct player *player);
double player_seconds_total(const struct player *player);

#endif
