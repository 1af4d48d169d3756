/* Long runs of bytes over a client session: what is asked for, how it comes, and the side that asks. bulk_host.h is the other one.
 *
 * A client GETs a range of a *resource*: a kind and arguments, whose meaning is that of whoever provides it. DATA comes in order of offset,
 * in pieces, then END, or REFUSED with why; several GETs may be open at once. How fast it comes the session's own channel decides.
 * Records, little-endian, the first byte the kind; they go through the same session as those of talk.h:
 *   get:   u8 5, u32 tag, u8 resource, u64 offset, u64 bytes (all ones: to its end), u8 count, count bytes of arguments
 *   stop:  u8 6, u32 tag
 *   data:  u8 32, u32 tag, u64 offset, the bytes      end:  u8 33, u32 tag, u64 offset after the last      refused:  u8 34, u32 tag, text
 * What is read is the other side's word: nothing in it is trusted, and whoever asks checks what it got. */
#ifndef NODE_BULK_H
#define NODE_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "caller.h"

enum bulk_kind { BULK_GET = 5, BULK_STOP, BULK_DATA = 32, BULK_END, BULK_REFUSED };

/* Resources. A number is never given another meaning. */
enum bulk_resource { BULK_MODEL_INFO = 1, BULK_MODEL_HASHES, BULK_MODEL_BYTES, BULK_KV, BULK_MODEL_HAVE, BULK_RESOURCES = 16 };

enum {
    BULK_OPEN_MAX = 8,          /* GETs of one session at once */
    BULK_ARGS_BYTES_MAX = 64,   /* of arguments */
    BULK_DATA_BYTES_MAX = 18000 /* of a DATA record: 16 datagrams, of which none is nearly empty */
};

#define BULK_TO_END UINT64_MAX

struct bulk_want {
    uint8_t resource;
    uint8_t args[BULK_ARGS_BYTES_MAX];
    size_t args_bytes;
    uint64_t offset, bytes; /* BULK_TO_END: all that follows */
};

/* A record, read: what points, points into it. */
struct bulk_record {
    enum bulk_kind kind;
    uint32_t tag;
    struct bulk_want want; /* GET */
    uint64_t offset;       /* DATA, END */
    const uint8_t *data;   /* DATA; REFUSED: the text, not terminated */
    size_t data_bytes;
};

/* This record is one for bulk_read, and not of talk.h. */
bool bulk_is_one(const uint8_t *record, size_t bytes);

/* 0, or -1: not of this form. */
int bulk_read(struct bulk_record *out, const uint8_t *record, size_t bytes);

/* Into record (capacity at least BULK_DATA_BYTES_MAX + 64); the size. Sizes within their limits (asserted). */
size_t bulk_write(const struct bulk_record *in, uint8_t *record);

/* The text of REFUSED for messages: its beginning, in printable ASCII. */
enum { BULK_WHY_BYTES = 240 };
void bulk_why(const struct bulk_record *refused, char out[BULK_WHY_BYTES]);

/* ---- the side that asks ---- */

struct bulk_open {
    uint32_t tag;
    uint64_t next, end;
};

/* What is asked of one node. One thread at a time; several may each have one of their own. */
struct bulk {
    struct mesh_caller *caller; /* borrowed */
    uint32_t tag;
    struct bulk_open open[BULK_OPEN_MAX];
    unsigned open_count;
};

/* caller: open; from now on it carries nothing else. */
void bulk_init(struct bulk *bulk, struct mesh_caller *caller);

/* GET: at most BULK_OPEN_MAX are open (asserted). *tag names it in what comes. -1: the session is over. */
int bulk_ask(struct bulk *bulk, const struct bulk_want *want, uint32_t *tag, struct fail *fail);

/* 1: *got, DATA, END or REFUSED of a GET that is open, valid until the next call; DATA continues where the last one ended, and stays within
 * what was asked for. 0: nothing within the time. -1: the session is over, or what came breaks these rules. */
int bulk_next(struct bulk *bulk, struct bulk_record *got, uint64_t timeout_ns, struct fail *fail);

/* All of one range, as far as there is: its size, at most want->bytes, which out has room for. -1 with fail set: refused, the session is
 * over, or nothing came for timeout_ns. Nothing else may be open. */
int64_t bulk_get(struct bulk *bulk, const struct bulk_want *want, uint8_t *out, uint64_t timeout_ns, struct fail *fail);

#endif
