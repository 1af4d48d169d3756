/* One node of a mesh, from laying out its share to saying goodbye: engine, endpoint, socket and worker threads together. */
#ifndef NODE_MEMBER_H
#define NODE_MEMBER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "member_report.h"
#include "mesh/udp.h"
#include "node/engine/engine.h"
#include "node/epoch/recording.h"
#include "node/tokenizer/tokenizer.h"

struct member_config {
    const struct model *model;
    const struct tokenizer *tokenizer;
    const struct rowmap *map;
    uint16_t rank;
    uint16_t threads;
    uint16_t batch;
    uint32_t ctx;
    enum kv_type kv_type;
    const struct kernel *kernel;
    struct mesh_lab lab;
    bool is_star, is_whole;        /* as of struct engine_config */
    struct mesh_udp *udp;          /* bound; NULL for one node. Borrowed */
    const struct mesh_addr *peers; /* (ranks): where everybody is */
    const uint8_t *incarnation;    /* (MESH_INCARNATION_BYTES), drawn for this start. Borrowed */
    uint32_t epoch;
    uint64_t join_timeout_ns;
    const pid_t *processes;                 /* (ranks) on this machine, by rank, where this process knows them; else 0. Borrowed */
    bool is_single;                         /* nobody watches the other ranks' processes: their closed ports tell of their ends */
    struct recording *recording;            /* NULL: nothing is recorded. Borrowed */
    const volatile sig_atomic_t *interrupt; /* not 0: a signal ends the wait for the others; NULL: none does. Borrowed */
};

/* A generated token, in order. */
struct member_token {
    uint32_t id;
    uint64_t digest;
    uint64_t when_ns;
};

struct member;

/* Lays out only; see member_memory. */
struct member *member_open(const struct member_config *config, struct fail *fail);
void member_close(struct member *member);
void member_memory(const struct member *member, struct engine_memory *memory);

/* Start threads: load, join, then work until member_finish or, on ranks other than 0, until rank 0 has finished. */
int member_start(struct member *member, struct fail *fail);

/* Wait until all nodes have joined and loaded. watch(app) is called from time to time; -1 from it ends the wait. */
int member_wait_ready(struct member *member, int (*watch)(void *app, struct fail *fail), void *app, struct fail *fail);

/* Rank 0: start the request; then take tokens as they come. member_next_token: 1 a token, 0 the generation has ended, -1 failed. */
int member_submit(struct member *member, const struct request *request, struct fail *fail);
int member_next_token(struct member *member, struct member_token *token, int (*watch)(void *app, struct fail *fail), void *app,
                      struct fail *fail);
void member_cancel(struct member *member); /* signal-safe */

/* How and when it ended: valid after member_next_token returned 0. */
struct member_outcome {
    enum engine_done reason;
    struct engine_fault fault;
    uint64_t submitted_ns, first_token_ns, done_ns;
    uint32_t tokens;
};
void member_outcome(const struct member *member, struct member_outcome *outcome);

/* Rank 0: tell all others to finish, gather their reports (ranks), stop. Others: wait for that, linger, stop. */
void member_finish(struct member *member, struct member_report *reports);
int member_serve(struct member *member, struct fail *fail);

#endif
