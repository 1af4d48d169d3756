/* An attacker on the path without the key: it hears every datagram that processes send and replays some of them, to any process, at any
 * time, with the original or another source address. Everything it sends was once sent by a process, so all of it can be opened; but each
 * process, like a node's filter, drops numbers that it has already received from the same sender and numbers older than the last 512. The
 * attacker loses and changes nothing. Its behaviour follows from a seed. */
#ifndef TEST_SIMATTACK_H
#define TEST_SIMATTACK_H

#include "simmembers.h"

enum { SIMATTACK_LATE = 512, SIMATTACK_EARLY = 512, SIMATTACK_SENDERS = 64, SIMATTACK_NUMBERS = 512 };

/* Numbers of one process that a place has received. */
struct simattack_filter {
    uint8_t incarnation[16];
    uint64_t highest, used, numbers[SIMATTACK_NUMBERS / 64];
};

struct simattack_heard {
    struct mesh_addr from;
    size_t bytes;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
};

struct simattack {
    struct simmembers *members; /* NULL: there is none */
    uint64_t seed, gap_ns_max, next_ns;
    uint64_t heard, tries, played, dropped;
    struct simattack_filter filter[SIMMEMBERS_MAX][SIMATTACK_SENDERS];
    uint64_t taken;
    uint32_t processes[SIMMEMBERS_MAX];            /* whose filters these are */
    struct simattack_heard late[SIMATTACK_LATE];   /* the most recent datagrams */
    struct simattack_heard early[SIMATTACK_EARLY]; /* a sample of all datagrams */
};

/* gap_ns_max: between two replayed datagrams. */
void simattack_begin(struct simattack *attack, struct simmembers *members, uint64_t seed, uint64_t gap_ns_max);

/* As mesh_sim_run, with replays meanwhile; attack may be NULL. paused: places that receive nothing now. */
bool simattack_run(struct simattack *attack, struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app, uint64_t paused);

/* Replay the last datagram of this type; 0: of any type. from: the claimed source; SIMMEMBERS_MAX: the original one. Returns false when
 * none was heard, or it was not accepted. */
bool simattack_play(struct simattack *attack, unsigned type, uint16_t from, uint16_t to);

#endif
