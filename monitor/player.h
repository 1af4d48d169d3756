/* A recording played into a fleet: its clock goes on as it is told, by any time, to the next token, and back.
 *
 * Going back begins anew and takes in all until then. The fleet's own clock is the recording's, so nothing depends on when it is watched.
 * Reads files, and knows no other clock. One thread. */
#ifndef MONITOR_PLAYER_H
#define MONITOR_PLAYER_H

#include "fleet.h"
#include "recorded.h"

struct player {
    struct recorded *recorded; /* borrowed */
    struct fleet *fleet;       /* borrowed; initialised, and cleared when it goes back */
    uint64_t interval_ns;      /* between ticks */
    struct recorded_record record;
    bool has_record;
    int64_t now_ns, next_tick_ns; /* wall clock */
    bool is_over;                 /* all is taken in, with a tick at the end */
    size_t token;                 /* tokens drawn until now, but for steps by token */
};

/* 0, or -1 with fail set, as all that follow. */
int player_open(struct player *player, struct recorded *recorded, struct fleet *fleet, uint64_t interval_ns, struct fail *fail);

/* From the beginning again. */
int player_rewind(struct player *player, struct fail *fail);

/* Another interval, from the last tick on. */
void player_set_interval(struct player *player, uint64_t interval_ns);

/* On for so long, or to the end. */
int player_advance(struct player *player, uint64_t ns, struct fail *fail);

/* On to the next tick: false when it is over. */
int player_tick(struct player *player, struct fail *fail);

/* To the token after, or (by < 0) before the present one; and on to what is reported of its step, a second at most. Without any nothing
 * happens. */
int player_step(struct player *player, int by, struct fail *fail);

/* The fleet's monotonic clock. */
uint64_t player_now_ns(const struct player *player);

/* Since the beginning, and in all. */
double player_seconds(const struct player *player);
double player_seconds_total(const struct player *player);

#endif
