/* The dataflow engine of one node: computes its rows, exchanges tiles, draws tokens.
 *
 * Every node of a mesh runs the same steps in the same order (steplog.h); a step takes some tokens through all layers, those of several
 * requests together. What becomes of a request does not depend on which others run beside it, to the bit. Per layer four phases, and one
 * at the end: attention heads -> z, Wo rows -> x, gate and up rows -> h, down rows -> x; output rows -> candidates.
 * The work of a step is a list of units in one fixed order; workers take the next unit, and wait for its input where it is not there
 * yet. A unit depends only on earlier units and on what peers send, so there is no deadlock, and no barrier.
 *
 * engine_work never blocks: threads (pool.h) call it in a loop; tests call it from one thread in virtual time. */
#ifndef NODE_ENGINE_H
#define NODE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kept.h"
#include "kernel.h"
#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "model.h"
#include "port.h"
#include "request.h"
#include "rowmap.h"
#include "rows.h"
#include "saved.h"

/* What is computed between two exchanges: by the matrices that it begins with. */
enum phase_kind { PHASE_ATTENTION, PHASE_WO, PHASE_GATE_UP, PHASE_DOWN, PHASE_HEAD };
enum { PHASE_KINDS = PHASE_HEAD + 1 };

struct engine_config {
    const struct model *model;
    const struct rowmap *map;
    uint16_t rank;
    uint16_t worker_count;
    uint16_t batch; /* tokens of a step at most, 1..ENGINE_BATCH_MAX */
    uint16_t slots; /* requests that run at once, 1..ENGINE_SLOTS_MAX; each has a KV cache */
    uint32_t ctx;   /* positions of a KV cache */
    enum kv_type kv_type;
    const struct kernel *kernel;
    uint64_t pace_bytes_per_s;                         /* --lab pace; 0: off */
    uint64_t pace_later_bytes_per_s, pace_later_at_ns; /* --lab later: the pace from then on; 0: as before */
    bool is_star;                                      /* --topology star: results go through rank 0; the same on all */
    bool is_whole;      /* --pipeline off: a phase begins with all of its input, and is sent when all of it is done; the same on all */
    uint16_t send_runs; /* of blocks that a worker sends of a phase; 0: as many as hide the latency */
    uint16_t tile_rows[PHASE_KINDS]; /* multiples of 32, up to 128 of gate and up, 256 of others; 0: as engine_tile_rows has it */
    bool keeps;                      /* keys and values go from epoch to epoch: every rank says what it has; the same on all */
    bool follows; /* the only rank, and without requests of its own: its steps are those of a log that is given to engine_follow */
    bool (*is_end)(const void *tokenizer, uint32_t id);
    const void *tokenizer;
};

enum { ENGINE_BATCH_MAX = 512, ENGINE_SLOTS_MAX = 64 };

enum engine_done {
    ENGINE_DONE_LENGTH,
    ENGINE_DONE_END,
    ENGINE_DONE_CONTEXT,
    ENGINE_DONE_CANCELLED,
    ENGINE_DONE_ERROR,
    ENGINE_DONE_REFUSED /* the sequencer had no memory for it */
};

/* A non-finite value: where the first was found (lowest layer, phase, row). Or a rank whose candidates are not its tokens. */
struct engine_fault {
    uint32_t layer, row;
    uint8_t phase; /* of the layer, 0..3; 4: logits; 5: candidates, and row is the rank */
    bool is_set;
};
enum { ENGINE_FAULT_CANDIDATES = 5 };

struct engine_token {
    uint64_t request;
    uint32_t index; /* of the generated ones, from 0; those before this epoch count */
    uint32_t id;
    uint64_t digest; /* of its logits */
};

/* Blocks of a gather that this node has computed. */
struct engine_blocks {
    uint16_t phase, token_first, token_count, block_first, block_count;
    uint16_t blocks; /* of a token, all ranks together */
    uint32_t block_bytes, last_block_bytes;
    const uint8_t *data; /* as on the wire, of the first block of the first token; tokens are token_stride apart */
    size_t token_stride;
};

/* Called by whichever thread ends a step, one at a time; may not call back into the engine. Any may be NULL. Every node hears of every
 * request in the log, wherever it was submitted; of one that never gets there only the node that it was submitted on. */
struct engine_hooks {
    void (*on_step)(void *app, uint64_t now_ns, uint64_t request, uint32_t positions); /* after each step; positions done so far */
    void (*on_token)(void *app, uint64_t now_ns, const struct engine_token *token);
    void (*on_done)(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault);
    /* This node's raw logits for the token at `position`, of ids id_first ..: valid for the call. */
    void (*on_logits)(void *app, uint64_t request, uint32_t position, uint32_t id_first, uint32_t rows, const float *logits);
    /* Own blocks, as soon as they are there: valid for the call. Of several threads at once. */
    void (*on_blocks)(void *app, const struct engine_blocks *blocks);
    void (*on_peer)(void *app, const struct mesh_event *event);                         /* up, refused, gone */
    void (*on_message)(void *app, uint16_t from, const uint8_t *message, size_t bytes); /* engine_post of a peer */
    void *app;
};

struct engine_figures {
    uint64_t compute_ns; /* summed over workers */
    uint64_t weight_bytes_read;
    uint64_t decode_ns, decode_bytes; /* of these two, what was for multiplying weights by few tokens: as fast as memory is read */
    uint64_t steps, stepping_ns;      /* and the time with one open */
    uint64_t positions, tokens;       /* taken through the model; drawn at its end */
    uint64_t recomputed;              /* positions that an earlier engine of this node (engine_restore) had computed as well */
    uint64_t copied_bytes;            /* of the weights: from the rows of an earlier engine (engine_take_rows), not from the file */
};

struct engine;

/* Lay out (no weights yet). NULL and fail set on error. config and what it points to are borrowed until engine_close. */
struct engine *engine_open(const struct engine_config *config, const struct engine_hooks *hooks, struct fail *fail);
void engine_close(struct engine *engine); /* NULL is fine */

/* Bytes this node will hold: weights, KV cache, everything else. */
struct engine_memory {
    uint64_t weight_bytes, kv_bytes, buffer_bytes;
};
void engine_memory(const struct engine *engine, struct engine_memory *memory);

/* What this node computes, of every layer; and of the vocabulary. */
struct engine_share {
    uint32_t heads, kv_heads, x_rows, h_rows, vocab_rows;
};
void engine_share(const struct engine *engine, struct engine_share *share);

/* For a process that opens one engine after another: what the heap gives back stays with it, since pages are slow to be had again. */
void engine_keep_heap(void);

/* Allocate. Then all units of loading are engine_load(engine, i), 0 <= i < engine_load_count(engine), in any order, by any threads. */
int engine_allocate(struct engine *engine, struct fail *fail);
uint32_t engine_load_count(const struct engine *engine);
void engine_load(struct engine *engine, uint32_t index);

/* What this engine has of the weights, as another holder: it may be closed then. For engine_take_rows, or rows_drop. */
struct rows *engine_rows(struct engine *engine);

/* Load what these have from there, not from the file. They are those of another engine of the same model, which may go on working. Takes
 * `from`, and gives it back as it is used: where nobody else holds it, what is beside this engine's rows is never more than what has not
 * been looked at yet, and a matrix for each thread that loads. Before engine_allocate, once. */
void engine_take_rows(struct engine *engine, struct rows *from);

/* The part of the endpoint's configuration that follows from model and plan: phases, sizes, fingerprint, configuration hash. */
void engine_mesh_config(const struct engine *engine, struct mesh_config *config);

/* ---- from one epoch to the next; config.keeps on all ranks ---- */

/* Add to kept all keys and values of the requests that run, and those that were restored and not asked for. When no thread works on the
 * engine any more. Without memory for it something is not kept, and will be computed again. */
void engine_keep(struct engine *engine, struct kept *kept);

/* What runs, and how many of its positions are computed. Returns how many; cached: (ENGINE_SLOTS_MAX). *first, *heads: KV heads that are
 * this rank's. Any thread, while the engine works. */
struct engine_cached {
    uint64_t request;
    uint32_t positions;
};
uint32_t engine_cached(struct engine *engine, struct engine_cached *cached, uint32_t *first, uint32_t *heads);

/* A piece of the keys and values of a head: of its positions first .. positions-1, both multiples of 16 and computed, layer by layer K,
 * then V; *bytes of them from offset on, or fewer where they end. False: this is not there. Any thread, while the engine works. */
bool engine_cached_read(struct engine *engine, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, uint64_t offset,
                        uint8_t *out, size_t *bytes);

/* Go on from these; kept is empty then. Before engine_attach. Requests that come then begin at the first position that some rank does not
 * have, and at 0 without this call. */
void engine_restore(struct engine *engine, struct kept *kept);

/* mesh may be NULL for one node. Before the first engine_work. */
void engine_attach(struct engine *engine, struct mesh *mesh, const struct port_driver *driver, uint64_t (*now_ns)(void *), void *clock);

/* Queue a request, on any rank. Copied. It has passed request_check (asserted). False: too many wait, or no memory: try again later, or
 * tell the client. A request whose prompt ends with tokens generated before goes on as if nothing had been. Any thread. */
bool engine_submit(struct engine *engine, const struct request *request);

/* config.follows: a record of the log (record.h): a request, tokens of one, or the next step. False: malformed, or not possible now. */
bool engine_follow(struct engine *engine, const uint8_t *record, size_t bytes);

/* End a request, wherever it was submitted and however far it is; nothing happens to one that is not known or over. False: too many are
 * being cancelled, try again. Any thread, and signal handlers. */
bool engine_cancel(struct engine *engine, uint64_t request);

/* All requests that are not over, with their tokens so far: those that run, in this node's order of the log, and those of this node (on the
 * sequencer: of all nodes) that wait. Each can be submitted to another engine as it is; request.origin says where it was submitted. Two
 * nodes' snapshots differ by the few steps that one is ahead, and in what waits. Not from a hook. 0, or -1 with fail set: out of memory;
 * saved is to be released in either case. */
int engine_snapshot(struct engine *engine, struct saved *saved, struct fail *fail);

/* Send a short message to one peer's on_message, reliably. False: queue full, try again after some work. Any thread. */
enum { ENGINE_MESSAGE_BYTES_MAX = 256 };
bool engine_post(struct engine *engine, uint16_t to, const uint8_t *message, size_t bytes);

enum engine_work_result {
    ENGINE_WORKED,  /* made progress */
    ENGINE_WAITING, /* a step is open, input is missing */
    ENGINE_IDLE     /* no step is open */
};

/* Do one piece of work as worker `worker` (0..worker_count-1; one thread per worker at a time), polling the network when due. */
enum engine_work_result engine_work(struct engine *engine, uint16_t worker);

/* A worker that waited gave its processor away, and somebody else used it for so long. Any thread. */
void engine_note_given(struct engine *engine, uint64_t ns);

/* After engine_work has had nothing for a while: sleep until the network has something, at most max_ns. */
enum port_park_result engine_park(struct engine *engine, uint64_t max_ns);

/* End somebody's engine_park, or else the next one. Any thread, also a signal handler. */
void engine_wake(struct engine *engine);

/* Only keep the network going: while weights are loaded. */
void engine_poll(struct engine *engine);

void engine_figures(const struct engine *engine, struct engine_figures *figures);

/* The endpoint owes nothing, and no message or request waits to be sent. */
bool engine_is_quiet(struct engine *engine);

/* The endpoint's figures; takes the port for the time of the call. */
void engine_peer_stats(struct engine *engine, uint16_t rank, struct mesh_peer_stats *stats);
/* Call look(app) while the port is held: what the owner of the endpoint writes may be read. Any thread. */
void engine_with_port(struct engine *engine, void (*look)(void *app), void *app);

/* A step is open. Any thread. */
bool engine_is_stepping(struct engine *engine);

/* Read what has arrived, in the place of a worker that may not have been given a processor; takes the port for that time. */
void engine_read(struct engine *engine);

/* Bit r: rank r owes this node blocks and says nothing at all (mesh_silent_ranks); takes the port for the time of the call. */
uint64_t engine_silent_ranks(struct engine *engine);

/* Bit r: between this node and rank r, which is heard, nothing large passes (mesh_starved_ranks); takes the port likewise. */
uint64_t engine_starved_ranks(struct engine *engine);
void engine_goodbye(struct engine *engine);

#endif
