#include "peer_clock.h"

#include <stdbool.h>

enum {
    DRIFT_PPM = 100, /* of two clocks that nothing sets: quartzes are specified to some 50 each */
    UNKNOWN_PPB = DRIFT_PPM * 1000,
    DRIFT_PPM_MAX = 1000, /* more is no drift: a clock is being set */
    WANDER_PPB = 1000,    /* drift changes with the temperature */
    FIRST_NS = 100000000  /* the pings at the start are close together: the best of them begins the measurement of the drift */
};
#define WINDOW_NS  UINT64_C(16000000000)
#define AGE_NS_MAX UINT64_C(3600000000000)
#define ERROR_MAX  (UINT64_MAX / 8) /* so that sums do not wrap */

static uint64_t age_of(const struct mesh_clock_sample *sample, uint64_t now_ns)
{
    const uint64_t age_ns = now_ns > sample->at_ns ? now_ns - sample->at_ns : 0;

    return age_ns < AGE_NS_MAX ? age_ns : AGE_NS_MAX;
}

/* What a clock gains in that time. */
static int64_t gain_ns(uint64_t age_ns, int64_t drift_ppb)
{
    return (int64_t)(age_ns / 1000) * drift_ppb / 1000000;
}

/* Sums wrap: a peer's clock may show any number. */
static int64_t plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static uint64_t distance(int64_t a, int64_t b)
{
    const int64_t difference = (int64_t)((uint64_t)a - (uint64_t)b);

    return difference < 0 ? -(uint64_t)difference : (uint64_t)difference;
}

int64_t mesh_peer_clock_ahead_ns(const struct mesh_peer_clock *clock, uint64_t now_ns)
{
    return plus(clock->kept.ahead_ns, gain_ns(age_of(&clock->kept, now_ns), clock->drift_ppb));
}

uint64_t mesh_peer_clock_error_ns(const struct mesh_peer_clock *clock, uint64_t now_ns)
{
    return clock->kept.error_ns + (uint64_t)gain_ns(age_of(&clock->kept, now_ns), (int64_t)clock->drift_error_ppb);
}

static void forget(struct mesh_peer_clock *clock, const struct mesh_clock_sample *sample)
{
    *clock = (struct mesh_peer_clock){.kept = *sample, .oldest = *sample, .window_ns = sample->at_ns, .drift_error_ppb = UNKNOWN_PPB};
}

/* The drift between two samples, if that leaves less open than `open_ppb`. */
static void learn(struct mesh_peer_clock *clock, const struct mesh_clock_sample *from, const struct mesh_clock_sample *to,
                  uint64_t open_ppb)
{
    const uint64_t ns = age_of(from, to->at_ns), us = ns / 1000, error_ns = from->error_ns + to->error_ns;
    const uint64_t gained_ns = distance(to->ahead_ns, from->ahead_ns);
    uint64_t error_ppb;

    if (us == 0 || ns == AGE_NS_MAX || gained_ns > us / (1000 / DRIFT_PPM_MAX) || error_ns > us * DRIFT_PPM / 1000)
        return;
    error_ppb = error_ns * 1000000 / us + WANDER_PPB;
    if (error_ppb >= open_ppb)
        return;
    clock->drift_ppb = (int64_t)(gained_ns * 1000000 / us);
    if ((int64_t)((uint64_t)to->ahead_ns - (uint64_t)from->ahead_ns) < 0)
        clock->drift_ppb = -clock->drift_ppb;
    clock->drift_error_ppb = error_ppb;
}

/* The drift is learned anew with each window, or it would be that of a lucky moment hours ago. */
static void end_window(struct mesh_peer_clock *clock, uint64_t now_ns)
{
    if (clock->best.error_ns > 0) {
        clock->drift_ppb = 0;
        clock->drift_error_ppb = UNKNOWN_PPB;
        learn(clock, &clock->oldest, &clock->best, UNKNOWN_PPB);
        if (clock->middle.error_ns > 0)
            clock->oldest = clock->middle;
        clock->middle = clock->best;
    }
    clock->best = (struct mesh_clock_sample){0};
    clock->window_ns = now_ns;
}

static bool contradicts(const struct mesh_peer_clock *clock, const struct mesh_clock_sample *sample)
{
    return distance(sample->ahead_ns, mesh_peer_clock_ahead_ns(clock, sample->at_ns)) >
           sample->error_ns + mesh_peer_clock_error_ns(clock, sample->at_ns);
}

void mesh_peer_clock_take(struct mesh_peer_clock *clock, uint64_t now_ns, uint64_t round_trip_ns, int64_t ahead_ns)
{
    const uint64_t error_ns = round_trip_ns / 2 + round_trip_ns % 2;
    const struct mesh_clock_sample sample = {
        .at_ns = now_ns, .ahead_ns = ahead_ns, .error_ns = error_ns < ERROR_MAX ? error_ns : ERROR_MAX};

    if (clock->kept.error_ns == 0 || contradicts(clock, &sample)) {
        forget(clock, &sample);
        return;
    }
    if (now_ns - clock->window_ns >= WINDOW_NS)
        end_window(clock, now_ns);
    if (sample.error_ns <= mesh_peer_clock_error_ns(clock, now_ns)) {
        clock->kept = sample;
        learn(clock, &clock->oldest, &sample, clock->drift_error_ppb);
    }
    if (clock->best.error_ns == 0 || sample.error_ns <= clock->best.error_ns)
        clock->best = sample;
    if (clock->middle.error_ns == 0 && now_ns - clock->window_ns < FIRST_NS && sample.error_ns < clock->oldest.error_ns)
        clock->oldest = sample;
}
