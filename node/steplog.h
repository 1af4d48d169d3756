/* The step log: the one order of steps, published by the sequencer (the lowest rank), and the request it is about.
 *
 * An entry says which positions of which request a step computes, and whether the last one is sampled. Entries are published a few steps
 * ahead, so they cost no latency; a step begins only on a known entry. An entry whose request has ended meanwhile (everybody notices
 * at the same token) is void and skipped by all. Records on the wire are little-endian:
 *   request: u8 1, u32 id, u32 prompt_count, u32 predict, sampling, u8 flags     tokens: u8 2, u32 id, u32 first, u32 count, count x u32
 *   step:    u8 3, u64 step, u32 request, u32 position, u16 count, u8 flags      message: u8 4, bytes */
#ifndef NODE_STEPLOG_H
#define NODE_STEPLOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fail.h"
#include "request.h"

enum {
    STEPLOG_ENTRIES_MAX = 64,
    STEPLOG_AHEAD = 3, /* entries published that are not over */
    STEPLOG_TOKENS_PER_RECORD = 8000,
    STEPLOG_RECORD_BYTES_MAX = 13 + 4 * STEPLOG_TOKENS_PER_RECORD
};

enum record_type { RECORD_REQUEST = 1, RECORD_TOKENS, RECORD_STEP, RECORD_MESSAGE };

struct step_entry {
    uint64_t step;
    uint32_t request;
    uint32_t position; /* of the first token */
    uint16_t count;    /* tokens; 0: only tells of a cancel */
    bool is_sampled;   /* the last token's logits are drawn from */
    bool is_cancelled; /* the request ends here */
};

/* A request as it runs: the same on every node. */
struct sequence {
    struct request request; /* prompt is not used: see token */
    uint32_t *token;        /* (ctx) prompt and generated */
    uint32_t ctx;
    uint32_t token_count; /* known: prompt and generated */
    uint32_t generated;
    uint32_t positions_done;
    bool is_active;
};

/* Written by the owner of the port, read by who begins steps; the lock is held for a few loads. */
struct steplog {
    atomic_flag lock;
    struct step_entry entry[STEPLOG_ENTRIES_MAX];
    uint64_t known;          /* entries 0 .. known-1 have been seen */
    _Atomic uint64_t over;   /* entries 0 .. over-1: their steps have ended, or were void */
    struct request arrived;  /* a request whose entries have not begun */
    uint32_t *arrived_token; /* (ctx) */
    uint32_t arrived_count;
    bool has_arrived;
    uint32_t ctx;
};

int steplog_init(struct steplog *log, struct sequence *sequence, uint32_t ctx, struct fail *fail);
void steplog_release(struct steplog *log, struct sequence *sequence);

void steplog_add(struct steplog *log, const struct step_entry *entry);
bool steplog_next(struct steplog *log, struct step_entry *entry); /* the entry of the next step, if known */
void steplog_step_over(struct steplog *log);                      /* the entry that steplog_next gives: go on to the one behind it */

/* The request of an entry becomes the running one. False: not known (entries come after their request). */
bool steplog_start(struct steplog *log, struct sequence *sequence, uint32_t request);

/* Take a record from the sequencer. 0, or -1: malformed. */
int steplog_take_record(struct steplog *log, const uint8_t *record, size_t bytes);

/* The sequencer's side: a request and its entries on their way to the peers. Owner of the port only, but for submit and cancel. */
struct record_sender {
    struct request request;
    uint32_t *prompt;
    atomic_int state; /* 0 free, 1 submitted, 2 sending tokens, 3 sending steps */
    atomic_bool want_cancel;
    atomic_bool has_ended; /* everybody knows: plan nothing more */
    uint32_t next_id;
    uint32_t part;     /* next record of the request */
    uint32_t position; /* of the next entry */
    bool is_planned;   /* no more entries to come */
    uint64_t step;     /* of the next entry */
    uint16_t sent_to;  /* ranks that have the record in hand */
    uint8_t record[STEPLOG_RECORD_BYTES_MAX];
    size_t record_bytes;     /* 0: none in hand */
    struct step_entry entry; /* in hand, when it is a step */
    bool has_entry;
};

enum { SENDER_FREE, SENDER_SUBMITTED, SENDER_REQUEST, SENDER_STEPS };

bool sender_submit(struct record_sender *sender, const struct request *request);

/* Make the next record, if one is due, into sender->record. batch: tokens per step; ctx: positions there are. */
bool sender_next(struct record_sender *sender, struct steplog *log, uint16_t batch, uint32_t ctx);

/* Every peer has the record in hand. */
void sender_sent(struct record_sender *sender, struct steplog *log);

/* Forget the request, once it has ended and no record is in hand. */
void sender_end(struct record_sender *sender);

#endif
