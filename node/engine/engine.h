/* The dataflow engine of one node: computes its rows, exchanges tiles, draws tokens.
 *
 * Every node of a mesh runs the same steps in the same order (steplog.h); a step takes some tokens through all layers, those of several
 * requests together. The result of a request does not depend, to the bit, on the requests that run beside it. Per layer four phases, and
 * one at the end: attention heads -> z, Wo rows -> x, gate and up rows -> h, down rows -> x; output rows -> candidates.
 * The work of a step is a list of units in one fixed order; workers take the next unit, and wait for its input if it has not arrived. A
 * unit depends only on earlier units and on what peers send, so there is no deadlock and no barrier.
 *
 * engine_work never blocks: threads (pool.h) call it in a loop; tests call it from one thread in virtual time. */
#ifndef NODE_ENGINE_H
#define NODE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "node/kernel/kernel.h"
#include "node/model/model.h"
#include "node/model/rowmap.h"
#include "node/model/rows.h"
#include "port.h"
#include "request.h"
#include "saved_kv.h"

/* What is computed between two exchanges, named for the matrices that it begins with. */
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
    uint16_t send_runs; /* runs of blocks in which a worker sends its part of a phase; 0: as many as hide the latency */
    uint16_t tile_rows[PHASE_KINDS]; /* multiples of 32, up to 128 of gate and up, 256 of others; 0: by engine_tile_rows */
    bool keeps;                      /* keys and values are kept from epoch to epoch: every rank says what it has; the same on all */
    bool follows;                    /* the only rank, and without requests of its own: it follows the log that engine_follow is given */
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

/* "length", "end", "context", "cancelled", "error", "refused"; "?" for a number from elsewhere that is none of these */
const char *engine_done_name(enum engine_done reason);

/* A non-finite value: where the first was found (lowest layer, phase, row). Or a rank that sent candidates outside its rows of the
 * vocabulary. */
struct engine_fault {
    uint32_t layer, row;
    uint8_t phase; /* of the layer, 0..3; 4: logits; 5: candidates, and row is the rank */
    bool is_set;
};
enum { ENGINE_FAULT_CANDIDATES = 5 };

struct engine_token {
    uint64_t request;
    uint32_t index; /* among the generated ones, from 0, including those of earlier epochs */
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

/* Called by the thread that ends a step, one call at a time; must not call back into the engine. Any may be NULL. Every node is told of
 * every request in the log, wherever it was submitted; of a request that never gets there, only the node on which it was submitted. */
struct engine_hooks {
    void (*on_step)(void *app, uint64_t now_ns, uint64_t request, uint32_t positions); /* after each step; positions done so far */
    void (*on_token)(void *app, uint64_t now_ns, const struct engine_token *token);
    void (*on_done)(void *app, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault);
    /* This node's raw logits for the token at `position`, of ids id_first ..: valid for the call. */
    void (*on_logits)(void *app, uint64_t request, uint32_t position, uint32_t id_first, uint32_t rows, const float *logits);
    /* Own blocks, as soon as they are computed: valid for the call. Several threads may call at once. */
    void (*on_blocks)(void *app, const struct engine_blocks *blocks);
    void (*on_peer)(void *app, const struct mesh_event *event);                         /* up, refused, gone */
    void (*on_message)(void *app, uint16_t from, const uint8_t *message, size_t bytes); /* engine_post of a peer */
    void *app;
};

struct engine_figures {
    uint64_t compute_ns; /* summed over workers */
    uint64_t weight_bytes_read;
    uint64_t decode_ns, decode_bytes; /* the part of these two for multiplying weights by few tokens, which is as fast as memory is read */
    uint64_t steps, stepping_ns;      /* and the time during which one was open */
    uint64_t positions, tokens;       /* taken through the model; drawn at its end */
    uint64_t recomputed;              /* positions that an earlier engine of this node had computed already (engine_restore) */
    uint64_t reused;                  /* positions of prompts that another request with the same beginning had computed */
    uint64_t copied_bytes;            /* weight bytes copied from an earlier engine's rows (engine_take_rows), not read from the file */
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

/* What this node computes of every layer, and of the vocabulary. */
struct engine_share {
    uint32_t heads, kv_heads, x_rows, h_rows, vocab_rows;
};
void engine_share(const struct engine *engine, struct engine_share *share);

/* For a process that opens one engine after another: keep freed heap pages in the process, since getting new ones is slow. */
void engine_keep_heap(void);

/* Allocate. Then all units of loading are engine_load(engine, i), 0 <= i < engine_load_count(engine), in any order, by any threads. */
int engine_allocate(struct engine *engine, struct fail *fail);
uint32_t engine_load_count(const struct engine *engine);
void engine_load(struct engine *engine, uint32_t index);

/* Another reference to this engine's rows of weights, which may outlive it. For engine_take_rows, or rows_drop. */
struct rows *engine_rows(struct engine *engine);

/* Copy rows that `from` has from there instead of the file. They are those of another engine of the same model, which may go on working.
 * Takes `from`, and releases its matrices as they are used: if nobody else holds it, memory beyond this engine's rows never exceeds the
 * matrices not yet looked at, and one matrix for each loading thread. Before engine_allocate, once. */
void engine_take_rows(struct engine *engine, struct rows *from);

/* The part of the endpoint's configuration that follows from model and plan: phases, sizes, fingerprint, configuration hash. */
void engine_mesh_config(const struct engine *engine, struct mesh_config *config);

/* ---- from one epoch to the next; config.keeps on all ranks ---- */

/* Add to saved_kv all keys and values of running requests, and of restored requests that have not begun again. Only when no thread works on
 * the engine any more. What there is no memory for is not kept, and will be computed again. */
void engine_save_kv(struct engine *engine, struct saved_kv *saved_kv);

/* The running requests, with their computed positions. Returns their number; cached: (ENGINE_SLOTS_MAX). *first, *heads: this rank's KV
 * heads. Any thread, while the engine works. */
struct engine_cached {
    uint64_t request;
    uint32_t positions;
};
uint32_t engine_cached(struct engine *engine, struct engine_cached *cached, uint32_t *first, uint32_t *heads);

/* A piece of the keys and values of a head: of its positions first .. positions-1, both multiples of 16 and computed, layer by layer K,
 * then V. Copies *bytes from offset on, or fewer at the end. False: not available. Any thread, while the engine works. */
bool engine_cached_read(struct engine *engine, uint64_t request, uint32_t head, uint32_t first, uint32_t positions, uint64_t offset,
                        uint8_t *out, size_t *bytes);

/* Go on from these; saved_kv is empty afterwards. Before engine_attach. Later requests begin at the first position that some rank lacks;
 * without this call they begin at 0. */
void engine_restore(struct engine *engine, struct saved_kv *saved_kv);

/* mesh may be NULL for one node. Before the first engine_work. */
void engine_attach(struct engine *engine, struct mesh *mesh, const struct port_driver *driver, uint64_t (*now_ns)(void *), void *clock);

/* Queue a request, on any rank. Copied. It has passed request_check (asserted). False: too many wait, or no memory: try again later, or
 * tell the client. A request whose prompt ends with tokens generated earlier continues as if never interrupted. Any thread. */
bool engine_submit(struct engine *engine, const struct request *request);

/* config.follows: a record of the log (record.h): a request, tokens of one, or the next step. False: malformed, or not possible now. */
bool engine_follow(struct engine *engine, const uint8_t *record, size_t bytes);

/* End a request, wherever it was submitted and whatever its progress; does nothing if it is unknown or over. False: too many cancels are
 * pending, try again. Any thread, and signal handlers. */
bool engine_cancel(struct engine *engine, uint64_t request);

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

/* A waiting worker yielded its processor, and other threads used it for ns. Any thread. */
void engine_note_given(struct engine *engine, uint64_t ns);

/* After engine_work has found nothing for a while: sleep until there is something from the network, at most max_ns. */
enum port_park_result engine_park(struct engine *engine, uint64_t max_ns);

/* End an engine_park of another thread, or else the next one. Any thread, also a signal handler. */
void engine_wake(struct engine *engine);

/* Only keep the network going: while weights are loaded. */
void engine_poll(struct engine *engine);

void engine_figures(const struct engine *engine, struct engine_figures *figures);

/* The endpoint owes nothing, and no message or request waits to be sent. */
bool engine_is_quiet(struct engine *engine);

/* The endpoint's figures; takes the port for the time of the call. */
void engine_peer_stats(struct engine *engine, uint16_t rank, struct mesh_peer_stats *stats);
/* Call look(app) while the port is held: look may read what the owner of the endpoint writes. Any thread. */
void engine_with_port(struct engine *engine, void (*look)(void *app), void *app);

/* A step is open. Any thread. */
bool engine_is_stepping(struct engine *engine);

/* Read what has arrived, on behalf of a worker that may not have been scheduled; takes the port meanwhile. */
void engine_read(struct engine *engine);

/* Bit r: rank r owes this node blocks and sends nothing at all (mesh_silent_ranks); takes the port for the time of the call. */
uint64_t engine_silent_ranks(struct engine *engine);

/* Bit r: rank r is heard, but no large datagrams pass between it and this node (mesh_starved_ranks); takes the port likewise. */
uint64_t engine_starved_ranks(struct engine *engine);
void engine_goodbye(struct engine *engine);

#endif
