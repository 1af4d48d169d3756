/* Datagrams that several captures saw, for comparing their clocks.
 *
 * Of each datagram (sender, receiver, epoch, space, number) the time at which each capture saw it. Memory is bounded however long the
 * captures are: as soon as the table is full, all but those whose hash has one more zero bit are forgotten, so that every capture keeps the
 * same subset. At most SAMPLES_MAX of them, in twice as many places of 48 bytes and 8 for each capture. */
#ifndef DISSECTOR_SAMPLES_H
#define DISSECTOR_SAMPLES_H

#include "mesh/program/fail.h"
#include "packet.h"

enum { SAMPLES_MAX = 1 << 16, SAMPLES_CAPTURES_MAX = 16 };

struct sample {
    uint8_t from[16], to[16]; /* hosts */
    uint64_t hash;            /* of all that identifies it; 0: an empty place */
    uint64_t *ts_ns;          /* (captures) of the captures' clocks; 0: not in that capture */
};

struct samples {
    size_t captures, count;
    uint64_t skipped_bits; /* only hashes without any of these are kept */
    struct sample *table;  /* (2 * SAMPLES_MAX) */
    uint64_t *times;       /* (2 * SAMPLES_MAX, captures) */
};

/* -1 with EXIT_ENVIRONMENT. */
int samples_open(struct samples *samples, size_t captures, struct fail *fail);
void samples_close(struct samples *samples);

/* Of a numbered datagram: which one it is. Never 0. */
uint64_t samples_hash(const struct packet *packet);

/* Take a datagram of an epoch as a capture saw it: its first time counts. */
void samples_add(struct samples *samples, size_t capture, const struct packet *packet);

#endif
