/* What the engine's files share. Not for other files.
 *
 * Who may touch what: fields marked (setup) are constant once engine_attach is done; (advance) belong to the thread that holds `advancing`,
 * and others read them only while they hold a unit of the step or have seen step_serial; (owner) belong to the owner of the port.
 *
 * Memory order: begin_step (engine_step.c) fills the fields of the step and then stores unit_limit, step_serial and, last, claim with
 * release. A worker that claims a unit has loaded claim with acquire, so it sees the whole step; and since the step ends only when
 * units_done, to which workers add with release, has counted its unit, the fields stay as they are until it is done with them. */
#ifndef NODE_ENGINE_STATE_H
#define NODE_ENGINE_STATE_H

#include "engine.h"
#include "id_ring.h"
#include "inbox.h"
#include "mesh/telemetry.h"
#include "node/model/matrix.h"
#include "node/model/rows.h"
#include "pace.h"
#include "publisher.h"
#include "request_queue.h"
#include "steplog.h"

enum {
    EAGER_TOKENS = 8,        /* up to this many tokens slices are multiplied in order of arrival */
    ATTEND_CHUNK_TOKENS = 8, /* of a unit of attention, at most */
    ENGINE_INBOXES = MESH_GATHERS_OPEN_MAX,
    ENGINE_PHASES_PER_LAYER = 4,
    ENGINE_MESSAGES_MAX = 64,
    ENGINE_STEPS_KEPT = 64, /* remembered for engine_next_step */
    UNITS_MAX = 8,          /* a worker's: as many tiles as it begins while input is missing */
    TILE_ROWS = 128,
    TILE_ROWS_MAX = 2 * TILE_ROWS, /* not of gate and up, which have two results a row */
    TILE_FLOATS_MAX = TILE_ROWS_MAX
};

struct phase {
    enum phase_kind kind;
    uint32_t layer;
    struct matrix *matrix;        /* this node's rows: one of the engine's matrices */
    struct gather_form form;      /* of the gather it fills; candidates have a form per step */
    uint64_t readers;             /* ranks with rows in the next phase */
    _Atomic uint16_t send_blocks; /* this many finished blocks of a token are worth a datagram */
    float *norm;                  /* (own x rows, padded to 32): weights of the norm that reads its output; NULL elsewhere */
    float *bias;                  /* (qkv_stride) of own rows, where the results stand; NULL: none */
    float *head_norms;            /* (2, head_dim): weights of k's and q's; NULL: none */
};

/* Units of one phase and sub-batch, in their order: eager tiles, tiles, candidates. In attention, KV heads and groups of heads stand among
 * the tiles, each as early as its inputs allow. */
struct segment {
    uint16_t phase, sub;
    uint16_t token_first, token_count; /* rows of its input */
    uint16_t row_first, row_count;     /* of its output: the same, except in the last layer's attention */
    uint32_t unit_first;
    uint32_t eager_units, tile_units, kv_units, attend_units, candidate_units;
    uint16_t chunks; /* of attention */
    _Atomic uint32_t kv_done;
};

enum qkv_part { QKV_K, QKV_V, QKV_Q }; /* of attention's matrices, in this order */

enum unit_kind { UNIT_EAGER, UNIT_TILE, UNIT_KV, UNIT_ATTEND, UNIT_CANDIDATES };

/* In the order of attention's units: a tile of k, v or q, a KV head, or a group of heads, which is a unit for each chunk of tokens. */
struct attention_place {
    enum unit_kind kind;
    uint32_t item;
};

/* What the open step computes of one sequence. */
struct part {
    struct sequence *sequence;
    uint32_t position;                 /* of its first token */
    uint16_t token_first, token_count; /* of the step's tokens */
    bool is_sampled;                   /* its last token */
    struct engine_fault fault;         /* the lowest so far; under fault_lock */
    _Atomic uint64_t digest;           /* own part of the sampled token's */
};

enum slice_state { SLICE_MISSING, SLICE_EAGER, SLICE_PARKED, SLICE_ADDED };

/* --lab pace; pace.c. */
struct worker_pace {
    uint64_t at_ns;   /* the worker's position in the slow node's time: never later than the clock */
    uint64_t mark_ns; /* the clock at that position */
    bool is_held;     /* the unit in hand, only by the pace */
    bool has_held;    /* the unit in hand was held at some time */
    bool has_waited;  /* for input, since its last reading */
};

/* A unit of work that a worker has begun. */
struct unit {
    struct segment *segment; /* NULL: none */
    enum unit_kind kind;
    uint32_t item;
    bool is_started;
    uint32_t slices_added; /* in order */
    uint32_t slices_left;  /* not multiplied yet */
    uint8_t *slice;        /* (slices_max) enum slice_state */
    float *sum;            /* (INBOX_SUB_TOKENS, TILE_FLOATS_MAX); (EAGER_TOKENS, ...) of all but a worker's first */
    float *parked;         /* (slices_max, EAGER_TOKENS, TILE_FLOATS_MAX) */
    uint64_t due_ns;       /* --lab pace: not finished before; 0: no limit */
};

struct worker {
    struct unit units[UNITS_MAX]; /* tiles that wait for the same input, in order; the first is finished first */
    uint32_t unit_first, unit_count;
    struct unit *unit;       /* of these: in hand */
    float *scratch;          /* attention: q, out, and the kernel's */
    struct port_word unsent; /* finished blocks, counted here but not yet told to the peers */
    bool has_unsent;
    uint64_t work_since_poll; /* bytes */
    uint64_t polled_ns;       /* when it has looked for datagrams */
    struct worker_pace pace;
    uint64_t port_ns; /* time spent in the port during this engine_work */
    uint64_t mark_ns; /* time up to which its time is accounted for */
    bool goes_on;     /* mark_ns is still now: it has done nothing since */
    /* written by this worker, read by any thread that asks for figures; engine_time.c */
    _Atomic uint64_t compute_ns, weight_bytes, decode_ns, decode_bytes, send_ns, poll_ns, wait_ns, idle_ns, waited_ns[MESH_RANKS_MAX];
    _Atomic uint32_t doing;                                              /* enum mesh_worker_state */
    _Atomic uint64_t wait_serial, wait_since_ns, wait_what;              /* the wait it is in */
    _Atomic uint64_t stall_serial, stall_ns, stall_begin_ns, stall_what; /* its longest of a step */
} __attribute__((aligned(64)));

/* How steps went, and how long blocks waited; engine_time.c. */
struct engine_times {
    uint64_t step_begin_ns;                    /* (advance) */
    _Atomic uint64_t *phase_begin, *phase_end; /* (phase_count) of the open step; 0: not yet */
    _Atomic uint64_t stepping_ns, positions, tokens;
    atomic_flag lock;                                    /* of what follows */
    struct mesh_histogram *use;                          /* (rank_count) */
    uint64_t count;                                      /* steps that have ended */
    struct mesh_telemetry_step steps[ENGINE_STEPS_KEPT]; /* by count, modulo */
    struct mesh_telemetry_phase *phases;                 /* (ENGINE_STEPS_KEPT, phase_count) */
};

/* Figures up to which runs have been refined; engine_runs.c. */
struct runs_seen {
    uint64_t given_ns, stepping_ns;
};

/* A short record on its way to one peer: its type, and what it says. */
struct message {
    uint16_t to, bytes;
    uint8_t data[ENGINE_MESSAGE_BYTES_MAX + 1];
};

struct engine {
    struct engine_config config; /* (setup) */
    struct engine_hooks hooks;
    const struct model *model;
    uint16_t phase_count;
    struct phase *phase; /* (phase_count) */
    struct gather_form embed_form;
    float *embed_norm;                           /* (dim, padded) layer 0's norm, all rows */
    uint32_t x_rows, z_rows, h_rows, vocab_rows; /* own */
    uint32_t kv_first, kv_count;                 /* own KV heads */
    uint32_t attend_heads;                       /* heads of an attention unit */
    uint32_t qkv_stride;                         /* floats per token */
    uint32_t k_column, v_column, q_column;       /* in a token's qkv */
    struct attention_place *attention;           /* (attention_count) the units of attention's phases, in their order */
    uint32_t attention_count;
    float score_scale;    /* 1 / sqrt(head_dim) */
    size_t kv_head_bytes; /* of K, and of V, of one KV head of one layer */
    size_t kv_slot_bytes; /* of one sequence */
    uint8_t *kv;          /* (slots, layers, kv_count, 2) caches */
    uint32_t slices_max;
    size_t scratch_floats;
    struct inbox_limits inbox_limits;

    struct rows *rows;             /* (phase_count) */
    struct rows *from;             /* those of an earlier engine, while this one loads; NULL: none */
    _Atomic uint32_t loads_left;   /* tiles */
    _Atomic uint64_t copied_bytes; /* of the panels: from there */

    struct port port;
    struct inbox inbox[ENGINE_INBOXES];
    struct gather_form candidate_form[ENGINE_INBOXES];
    uint16_t candidate_first[ENGINE_INBOXES][MESH_RANKS_MAX + 1];
    struct inbox embed; /* layer 0's input, computed by every rank */

    /* The open step. (advance), constant while it is open. */
    _Atomic uint64_t step_serial; /* steps begun; 0 before the first */
    uint64_t step;                /* its number in the log */
    struct part part[STEPLOG_SLOTS_MAX];
    uint16_t part_count, token_count, sample_count;
    uint32_t token[ENGINE_BATCH_MAX];
    uint8_t token_part[ENGINE_BATCH_MAX];     /* whose token it is */
    uint16_t sample_token[STEPLOG_SLOTS_MAX]; /* the tokens whose logits are wanted, ascending */
    float *rope_cos, *rope_sin;               /* (batch, head_dim / 2) */
    float *embed_values;                      /* (2, dim padded to 32) */
    float *residual;                          /* (batch, x_rows padded to 32) */
    float *qkv;                               /* (batch, qkv_stride) */
    float *eager;                             /* (2, eager_floats): results of own slices, see tile.c */
    size_t eager_floats;
    _Atomic uint64_t *eager_done; /* (2, tiles max): serial of the phase it was done for */
    uint32_t eager_tiles;
    _Atomic uint64_t *qkv_done; /* (subs, tiles of attention's phases): likewise */
    float *logits;              /* (slots, vocab_rows padded) of the sampled tokens */
    struct candidate *candidates, *candidate_scratch;
    struct segment *segment; /* (phase_count * subs) */
    uint32_t segment_count;
    _Atomic uint32_t *phase_left; /* (phase_count) units not finished */
    uint32_t unit_count;
    _Atomic uint64_t unit_limit; /* step_serial << 32 | unit_count */
    _Atomic uint32_t units_done;
    _Atomic uint32_t candidates_missing; /* blocks */
    _Atomic uint64_t claim;              /* step_serial << 32 | next unit */
    atomic_flag fault_lock;
    bool step_is_open; /* (advance) */

    atomic_flag advancing;
    struct step_entry entry; /* (advance) the log's next */
    struct steplog log;
    struct sequence *sequence; /* (slots), (advance); is_active, is_kept, positions_done and which tokens: also read by (owner) */
    atomic_flag slot_lock;     /* held to write and, by (owner), to read these */
    struct id_ring ended;      /* from (advance) to (owner): requests that are over */
    struct id_ring dropped;    /* from (owner) to (advance): requests that were cancelled before they were in the log */
    struct id_ring refused;    /* likewise: requests that the sequencer refused */
    struct request_queue queue;
    struct saved_kv saved_kv; /* (advance) of requests that have not begun again */
    _Atomic uint64_t recomputed, reused;
    struct record_kept *kept_reports; /* (owner) (rank_count) what ranks have reported; NULL except on a sequencer that asks for it */
    uint64_t kept_missing;            /* (owner) bit r: rank r has not reported */
    size_t kept_record_bytes;         /* (owner) of the record still to be sent to rank 0; 0: none */
    uint8_t kept_record[RECORD_KEPT_BYTES_MAX];

    /* (owner) */
    uint64_t open_serial;
    uint16_t open_phase;
    struct runs_seen runs_seen;
    struct publisher publisher;
    atomic_flag message_lock;
    struct message message[ENGINE_MESSAGES_MAX];
    uint32_t message_head, message_tail;

    _Atomic uint64_t pace_clock_ns;
    _Atomic uint64_t given_ns; /* for which other threads had processors while workers waited */
    struct engine_times time;
    _Atomic uint64_t steps_ended;
    struct worker *worker; /* (config.worker_count) */
};

/* Add to a figure of this worker's own: no other thread writes it. */
static inline void worker_count(_Atomic uint64_t *figure, uint64_t more)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

static inline uint64_t engine_now(const struct engine *e)
{
    return e->port.now_ns(e->port.clock);
}

/* Identifies a phase of a step, for marks that are never cleared; more than 0. */
static inline uint64_t engine_serial(const struct engine *e, uint16_t phase)
{
    return atomic_load_explicit(&e->step_serial, memory_order_relaxed) * e->phase_count + phase;
}

static inline struct inbox *engine_place(struct engine *e, uint64_t serial, uint16_t phase)
{
    return &e->inbox[(serial * e->phase_count + phase) % ENGINE_INBOXES];
}

/* The inbox of gather `phase` of the open step, or NULL while it is not open on this node. */
static inline struct inbox *engine_inbox(struct engine *e, uint16_t phase)
{
    uint64_t serial = atomic_load_explicit(&e->step_serial, memory_order_acquire);
    struct inbox *inbox = engine_place(e, serial, phase);

    return atomic_load_explicit(&inbox->gather, memory_order_acquire) == serial * e->phase_count + phase ? inbox : NULL;
}

/* The input of a phase; layer 0 reads the embedding. */
static inline struct inbox *engine_input(struct engine *e, uint16_t phase)
{
    return phase == 0 ? &e->embed : engine_inbox(e, (uint16_t)(phase - 1));
}

static inline bool engine_reads(const struct engine *e, uint64_t readers)
{
    return (readers >> e->config.rank & 1) != 0;
}

/* Phases of the endpoint: of the gather in which own blocks are published, and of the one that is read; and the reverse. See
 * engine_star.c. */
static inline uint16_t engine_sent_phase(const struct engine *e, uint16_t phase)
{
    return e->config.is_star ? (uint16_t)(2 * phase + (e->config.rank == 0)) : phase;
}

static inline uint16_t engine_read_phase(const struct engine *e, uint16_t phase)
{
    return e->config.is_star ? (uint16_t)(2 * phase + (e->config.rank != 0)) : phase;
}

static inline uint16_t engine_phase_at(const struct engine *e, uint16_t endpoint_phase)
{
    return e->config.is_star ? endpoint_phase / 2 : endpoint_phase;
}

/* Is there a peer to which this rank's blocks of a gather with these readers are sent? */
static inline bool engine_is_sent(const struct engine *e, uint64_t readers)
{
    const uint64_t others = readers & ~(UINT64_C(1) << e->config.rank);

    return e->port.mesh != NULL && readers != 0 && (others != 0 || (e->config.is_star && e->config.rank != 0));
}

static inline struct part *engine_part(struct engine *e, uint32_t token)
{
    return &e->part[e->token_part[token]];
}

/* Position of a token of the step in its sequence. */
static inline uint32_t engine_position(const struct engine *e, uint32_t token)
{
    const struct part *part = &e->part[e->token_part[token]];

    return part->position + token - part->token_first;
}

static inline bool engine_is_last_layer(const struct engine *e, uint16_t phase)
{
    return phase + 1 < e->phase_count && phase + 1 + ENGINE_PHASES_PER_LAYER >= e->phase_count;
}

/* Rows of the gather that a phase fills. In the last layer they are those of sampled tokens: other tokens are not read any more. */
static inline uint16_t engine_gather_rows(const struct engine *e, uint16_t phase)
{
    if (phase + 1 == e->phase_count)
        return 1; /* candidates are one message */
    return engine_is_last_layer(e, phase) && e->sample_count > 0 ? e->sample_count : e->token_count;
}

/* The token of a row. */
static inline uint32_t engine_row_token(const struct engine *e, uint16_t phase, uint32_t row)
{
    return engine_is_last_layer(e, phase) && e->sample_count > 0 ? e->sample_token[row] : row;
}

/* The part that these logits belong to. */
static inline struct part *engine_sampled_part(struct engine *e, uint32_t sample)
{
    return engine_part(e, e->sample_token[sample]);
}

/* (vocab_rows) of a sampled token. */
static inline float *engine_logits(struct engine *e, uint32_t sample)
{
    return e->logits + sample * ((size_t)(e->vocab_rows + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS * BLOCK_COLUMNS);
}

/* engine.c: between pieces of work, let the network have its turn if this worker has not looked for datagrams for long. */
void engine_poll_if_due(struct engine *e, struct worker *w);

/* engine_step.c: begin steps. True when something happened. */
bool engine_advance(struct engine *e);
void engine_note_fault(struct engine *e, struct part *part, const struct engine_fault *fault);

/* engine_end.c: end the open step, when all of it is there; false when it is not. */
bool engine_end_step(struct engine *e);

/* engine_requests.c: requests as sequences, for the thread that advances. */
struct sequence *engine_find_sequence(struct engine *e, const struct step_part *part); /* started, if it has to be; NULL: void */
void engine_end_request(struct engine *e, struct sequence *sequence, enum engine_done reason, const struct engine_fault *fault);
bool engine_report_dropped(struct engine *e); /* true when there was one */

/* engine_saved_kv.c: keys and values of earlier epochs. */
int engine_open_saved_kv(struct engine *e, struct fail *fail);
void engine_close_saved_kv(struct engine *e);
/* A request begins: what is kept of it, or of the source (not NULL: it has them) comes into its slot. False: not all of it is there. */
bool engine_take_saved_kv(struct engine *e, struct sequence *sequence, uint32_t positions, const struct sequence *source);

/* ---- engine_reuse.c ---- */
/* How many of the first tokens of a request some slot has; 0: too few to matter. As of publisher.reusable. */
uint32_t engine_reusable(void *app, const struct request *request);

/* A slot for a request that begins at a position, and the one that has the positions before (*source, maybe the same; NULL: none). NULL:
 * no slot is free, or the request is not known. (advance) */
struct sequence *engine_start_sequence(struct engine *e, uint64_t request, uint32_t position, const struct sequence **source);
void engine_set_positions(struct engine *e, struct sequence *sequence, uint32_t positions); /* (advance) */
void engine_stop_sequence(struct engine *e, struct sequence *sequence);                     /* (advance) */
void engine_send_kept(struct engine *e);
void engine_hear_kept(struct engine *e, uint16_t rank, const uint8_t *record, size_t bytes);

/* engine_gather.c: opening and freeing gathers, events of the endpoint. */
int engine_on_owned(void *app);
void engine_on_event(void *app, const struct mesh_event *event);
bool engine_on_consume(void *app, const struct port_word *word);
uint64_t engine_readers(const struct engine *e, uint16_t phase); /* of a gather in the open step */

/* engine_star.c; owner. open: MESH_AGAIN as mesh_open_gather. complete: of an endpoint's gather. pass_on: pass on what could not be before;
 * returns the number. part: rank's share of what has arrived; false for none and for the own. */
int engine_star_open(struct engine *e, struct inbox *inbox, const struct mesh_gather *whole);
void engine_star_complete(struct engine *e, struct inbox *inbox, uint16_t endpoint_phase);
bool engine_star_consume(const struct inbox *inbox); /* false: when it is complete at the endpoint, it will be said */
int engine_star_pass_on(struct engine *e);
bool engine_star_part(const struct engine *e, const struct inbox *inbox, uint16_t rank, const struct mesh_event *event,
                      struct mesh_event *part);

/* engine_record.c: sending and receiving records of requests and steps; owner. */
int engine_send_records(struct engine *e); /* how many */
void engine_on_record(struct engine *e, const struct mesh_event *event);
bool engine_has_records(struct engine *e); /* that wait for a peer's queue */

/* unit.c: one unit at a time. */
bool unit_claim(struct engine *e, struct worker *w);
/* While the unit in hand waits for input: begin another tile of the same segment, if there is one left and room for it. */
bool unit_begin_next(struct engine *e, struct worker *w);
/* Of the units begun: the first, which is the only one that may finish, and the one after that in hand, if any. */
bool unit_is_first(const struct worker *w);
void unit_take_first(struct worker *w);
bool unit_take_next(struct worker *w);
bool unit_run(struct engine *e, struct worker *w); /* true: finished; false: waits for something */

/* tile.c, attention.c, head.c: the kinds of units. True: finished. */
bool tile_run_eager(struct engine *e, struct worker *w);
bool tile_run(struct engine *e, struct worker *w);
void attention_tile_done(struct engine *e, const struct segment *segment, uint32_t tile);
bool attention_run_kv(struct engine *e, struct worker *w);
bool attention_run(struct engine *e, struct worker *w);
size_t attention_head_floats(const struct engine *e); /* q, and out, of an attention unit; a worker's scratch begins with these two */
bool head_run_candidates(struct engine *e, struct worker *w);

/* finish.c: finishing a tile's sums. finish_ahead: before a tile is multiplied for a few tokens, prefetch what will be written. */
void finish_ahead(struct engine *e, const struct unit *unit);
void finish_tile(struct engine *e, struct worker *w);
/* Quantise (or copy) own values of one row into a gather. values: (blocks * 32), padded with +0. plain: the same before the norm
 * weight, for the sum of squares; NULL where no norm reads it. */
void finish_blocks(struct engine *e, uint16_t phase, struct inbox *inbox, uint32_t row, uint32_t block, uint32_t blocks,
                   const float *values, const float *plain);
/* Own blocks are in the inbox: count them, and send them to the peers when enough are together. */
void finish_publish(struct engine *e, struct worker *w, uint16_t phase, struct inbox *inbox, uint32_t token_first, uint32_t token_count,
                    uint32_t block_first, uint32_t block_count);

/* engine_time.c: events of a worker: it resumes its unit; it has computed; its unit has to wait; it has no unit. */
void engine_time_begin(struct engine *e, struct worker *w, uint64_t now_ns);
void engine_time_computed(struct worker *w, uint64_t begin_ns, uint64_t end_ns);
void engine_time_waits(struct engine *e, struct worker *w);
void engine_time_rests(struct engine *e, struct worker *w, bool is_open, bool has_worked);
/* Blocks have arrived (owner); a slice is used for the first time; a phase and a step begin and end. */
void engine_time_arrived(struct engine *e, struct inbox *inbox, const struct mesh_event *event);
void engine_time_used(struct engine *e, _Atomic uint64_t *sent);
void engine_time_phase(struct engine *e, uint16_t phase, bool is_end);
void engine_time_step_begins(struct engine *e);
void engine_time_step_ends(struct engine *e);

/* engine.c: ranks, phases and sizes of the endpoint's configuration, without its hashes. */
void engine_mesh_sizes(const struct engine *e, struct mesh_config *config);

/* engine.c: pass a word to the port, accounting for the time; and send what is still unsent. */
void engine_port_post(struct engine *e, struct worker *w, const struct port_word *word);
void engine_send(struct engine *e, struct worker *w);

#endif
