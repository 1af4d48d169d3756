/* The clock of a peer against this node's own: how far it is ahead, how much it gains, and how far both may be off.
 *
 * Each round trip is a sample: the offset in the middle of it, and half of it as the error, which no method avoids as long as the two ways
 * may differ. The sample with the least error now is kept. It ages by what the clocks may have drifted since: DRIFT_PPM at first, and as
 * soon as samples far enough apart bound the drift, by what they leave open, with the drift itself taken out (NTP's clock filter and
 * dispersion, RFC 5905, with bounds in place of averages). A sample that cannot be true together with the kept one means that a clock was
 * stopped, set or slewed: what was known before is forgotten. */
#ifndef MESH_PEER_CLOCK_H
#define MESH_PEER_CLOCK_H

#include <stdint.h>

struct mesh_clock_sample {
    uint64_t at_ns;    /* by this node's clock */
    int64_t ahead_ns;  /* the peer's clock minus this node's */
    uint64_t error_ns; /* of that, either way, at most; 0: there is no sample */
};

struct mesh_peer_clock {
    struct mesh_clock_sample kept;
    struct mesh_clock_sample best, middle, oldest; /* of this window, the one before, and that before it: far enough from one another */
    uint64_t window_ns;                            /* when this window began */
    int64_t drift_ppb;                             /* what the peer's clock gains, in thousand-millionths; never beyond DRIFT_PPM_MAX */
    uint64_t drift_error_ppb;                      /* of that, either way, at most */
};

/* All zeros is a clock that nothing is known of. now_ns never decreases. */
void mesh_peer_clock_take(struct mesh_peer_clock *clock, uint64_t now_ns, uint64_t round_trip_ns, int64_t ahead_ns);

/* The estimate at that time, and its error; 0 and 0 before the first sample. */
int64_t mesh_peer_clock_ahead_ns(const struct mesh_peer_clock *clock, uint64_t now_ns);
uint64_t mesh_peer_clock_error_ns(const struct mesh_peer_clock *clock, uint64_t now_ns);

#endif
