/* The inside of a rerun, shared by its files and by nobody else. */
#ifndef MESH_RERUN_PARTS_H
#define MESH_RERUN_PARTS_H

#include "mesh/cluster.h"
#include "mesh/rerun.h"
#include "mesh/session.h"

/* A gather that the new core has open, and the memory for its blocks. */
struct mesh_rerun_gather {
    struct mesh_rerun_gather *next;
    uint64_t step;
    uint16_t phase, token_count, block_count, own_first, own_end;
    bool is_read, is_complete;
    bool is_known; /* all of the own blocks that were published: none was a hash only */
    uint8_t *data; /* (token_count, block_count, block_bytes) */
    uint32_t block_bytes, last_block_bytes;
    uint8_t published[]; /* (token_count, block_count) */
};

struct mesh_rerun {
    struct mesh *mesh; /* one of the three, or none yet */
    struct mesh_cluster *cluster;
    struct mesh_sessions *sessions;
    void *memory; /* of it */
    struct mesh_tap tap;
    void (*hash)(const void *data, size_t bytes, uint8_t out[16]);

    uint64_t now_ns;
    uint16_t rank, rank_count, phase_count;
    uint64_t has_peer; /* ranks whose address is set */
    bool has_group;
    struct mesh_rerun_gather *gathers;
    bool has_opened; /* a gather, the last one of these */
    uint64_t opened_step;
    uint16_t opened_phase;
    bool sends_known, receives_known; /* records: no payload was a hash only */

    uint64_t index, input_index;            /* of the entry that is fed, and of the last input */
    const struct mesh_tape_entry *expected; /* NULL: what the core tells now is more than the tape has */
    bool is_answered;
    uint8_t *input_bytes; /* record of the last input */
    size_t input_size, input_capacity;
    uint8_t *kept[2]; /* records of the difference's expected and actual entries */
    struct mesh_rerun_difference difference;
    struct mesh_rerun_stats stats;
    const char *reason;
    uint8_t packet[UINT16_MAX + 1];
};

/* 0, or an error, with rerun->reason set; 1 when the input cannot be given, with the difference's reason set. */
typedef int mesh_rerun_call_fn(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry);

struct mesh_addr mesh_rerun_addr(const uint8_t ip[16], uint16_t port, uint32_t scope);

/* ---- rerun_cluster.c ---- */
void mesh_rerun_cluster_time(struct mesh_rerun *rerun, uint64_t at_ns);

/* By kind; NULL: of another core. */
extern mesh_rerun_call_fn *const mesh_rerun_mesh_calls[MESH_TAPE_KINDS], *const mesh_rerun_cluster_calls[MESH_TAPE_KINDS],
                                                                             *const mesh_rerun_sessions_calls[MESH_TAPE_KINDS];

int mesh_rerun_refuse(struct mesh_rerun *rerun, int err, const char *reason);
int mesh_rerun_impossible(struct mesh_rerun *rerun, const char *reason);
int mesh_rerun_check_begin(struct mesh_rerun *rerun, uint16_t format, const uint8_t hash[16]); /* of a core with a hash */
void *mesh_rerun_take_memory(struct mesh_rerun *rerun, size_t bytes); /* for a core; NULL: no room. Drops the one before */
size_t mesh_rerun_packet(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry); /* its datagram into rerun->packet */
int mesh_rerun_record(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry);    /* its record, all payload, or MESH_EINVAL */

/* ---- rerun_sessions.c ---- */
bool mesh_rerun_sessions_knows(const struct mesh_rerun *rerun, const struct mesh_tape_entry *actual); /* its payload's content */
bool mesh_rerun_sessions_have_more(struct mesh_rerun *rerun);

/* ---- rerun_mesh.c ---- */
void mesh_rerun_mesh_told(struct mesh_rerun *rerun, const struct mesh_tape_entry *actual);
bool mesh_rerun_mesh_knows(const struct mesh_rerun *rerun, const struct mesh_tape_entry *actual); /* its payload's content */
void mesh_rerun_mesh_time(struct mesh_rerun *rerun, uint64_t at_ns);
void mesh_rerun_free_gathers(struct mesh_rerun *rerun);

#endif
