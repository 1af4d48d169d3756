/* A rank's application in tests: processes the gathers of a simshape as the engine does, and checks every byte and event.
 *
 * It publishes its blocks of a gather, in tiles of varying size and order, only when the preceding gather that it reads is complete; opens
 * gathers ahead; sends and checks records. It knows no network: the simulator and the UDP driver both call simapp_work. */
#ifndef SIMAPP_H
#define SIMAPP_H

#include "simshape.h"

enum { SIMAPP_SLOTS = 16, SIMAPP_TILES_MAX = 64 };

struct simapp_gather {
    uint64_t gather;
    uint8_t *data;    /* (tokens, stride) */
    uint8_t *arrived; /* (tokens, blocks): 1 when it has arrived */
    uint32_t missing; /* blocks still to come from others */
    bool is_open, is_complete, is_consumed;
};

struct simapp {
    struct mesh *mesh;
    const struct simshape *shape;
    uint16_t rank;
    uint8_t open_ahead; /* gathers opened beyond the one being published */
    bool is_started;
    uint32_t tile_ns_max;         /* maximum virtual time of a tile */
    uint64_t to_open, to_publish; /* numbers of gathers */
    uint32_t tile;                /* of to_publish: tiles published */
    uint64_t freed_count, exchanged_count;
    uint64_t up; /* bit r: handshake with rank r complete */
    uint32_t refused_count, gone_count;
    uint16_t records_sent[MESH_RANKS_MAX], records_received[MESH_RANKS_MAX];
    struct simapp_gather slots[SIMAPP_SLOTS];
    uint8_t *record;
    char reason[MESH_REASON_BYTES]; /* of the last refusal */
    char error[200];                /* the first error; empty: none */
};

void simapp_init(struct simapp *app, const struct simshape *shape, uint16_t rank);
void simapp_release(struct simapp *app);

/* Drain events and do one piece of work; returns the virtual nanoseconds it took (mesh_sim_work_fn). */
uint64_t simapp_work(void *app, uint64_t now_ns);

/* Everything is exchanged, checked, freed and acknowledged. */
bool simapp_is_done(const struct simapp *app);

/* The state of its progress, for messages. */
void simapp_describe(const struct simapp *app, char *out, size_t bytes);

#endif
