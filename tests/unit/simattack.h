/* Somebody on the path without the key: hears every datagram that processes send, and plays some of them back, to anybody, at any time and
 * as if they came from where they did or from somebody else. What it says is what somebody has said, so all of it can be opened, but as a
 * node's gate does, each process drops what it has had from the same sender, and what is older than its last 512 numbers. It loses and
 * changes nothing. What it does follows from a seed. */
#ifndef TEST_SIMATTACK_H
#define TEST_SIMATTACK_H

#include "simmembers.h"

enum { SIMATTACK_LATE = 512, SIMATTACK_EARLY = 512, SIMATTACK_SENDERS = 64, SIMATTACK_NUMBERS = 512 };

/* Numbers that a place has had of a process. */
struct simattack_gate {
    uint8_t incarnation[16];
    uint64_t highest, used, numbers[SIMATTACK_NUMBERS / 64];
};

struct simattack_heard {
    uint16_t from;
    size_t bytes;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
};

struct simattack {
    struct simmembers *members; /* NULL: there is none */
    uint64_t seed, gap_ns_max, next_ns;
    uint64_t heard, tries, played, dropped;
    struct simattack_gate gate[SIMMEMBERS_MAX][SIMATTACK_SENDERS];
    uint64_t taken;
    uint32_t processes[SIMMEMBERS_MAX];            /* whose gates these are */
    struct simattack_heard late[SIMATTACK_LATE];   /* the last ones */
    struct simattack_heard early[SIMATTACK_EARLY]; /* some of all */
};

/* gap_ns_max: between two that are played back. */
void simattack_begin(struct simattack *attack, struct simmembers *members, uint64_t seed, uint64_t gap_ns_max);

/* As mesh_sim_run, with what is played back meanwhile; attack may be NULL. paused: places that take nothing now. */
bool simattack_run(struct simattack *attack, struct mesh_sim *sim, uint64_t deadline_ns, bool (*done)(void *), void *app, uint64_t paused);

/* Play the last one of this type back; 0: of any. from: as if it came from there; SIMMEMBERS_MAX: from where it did. False: it was not
 * heard, or not taken. */
bool simattack_play(struct simattack *attack, unsigned type, uint16_t from, uint16_t to);

#endif
