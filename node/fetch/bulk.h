/* Bulk transfer over a client session: requests, records, and the requesting side. bulk_host.h is the other side.
 *
 * A client GETs a range of a *resource*: a kind and arguments, whose meaning its provider defines. DATA comes in pieces, in order of
 * offset, then END; or REFUSED with the reason. Several GETs may be open at once. The session's channel limits the rate. Records,
 * little-endian, the first byte the kind; they go through the same session as those of client_message.h:
 *   get:   u8 5, u32 tag, u8 resource, u64 offset, u64 bytes (all ones: to its end), u8 count, count bytes of arguments
 *   stop:  u8 6, u32 tag
 *   data:  u8 32, u32 tag, u64 offset, the bytes      end:  u8 33, u32 tag, u64 offset after the last      refused:  u8 34, u32 tag, text
 * Nothing that the other side sends is trusted; the requesting side checks what it gets. */
#ifndef NODE_BULK_H
#define NODE_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/client/client_session.h"

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

/* This record is for bulk_read, not for client_message.h. */
bool bulk_is_one(const uint8_t *record, size_t bytes);

/* 0, or -1: not of this form. */
int bulk_read(struct bulk_record *out, const uint8_t *record, size_t bytes);

/* Into record (capacity at least BULK_DATA_BYTES_MAX + 64); the size. Sizes within their limits (asserted). */
size_t bulk_write(const struct bulk_record *in, uint8_t *record);

/* The text of REFUSED for messages: its beginning, as printable ASCII. */
enum { BULK_WHY_BYTES = 240 };
void bulk_why(const struct bulk_record *refused, char out[BULK_WHY_BYTES]);

/* ---- the requesting side ---- */

struct bulk_open {
    uint32_t tag;
    uint64_t next, end;
};

/* Requests to one node. One thread at a time; several threads may each have one of their own. */
struct bulk {
    struct mesh_client *client; /* borrowed */
    uint32_t tag;
    struct bulk_open open[BULK_OPEN_MAX];
    unsigned open_count;
};

/* client is open, and carries nothing else from now on. */
void bulk_init(struct bulk *bulk, struct mesh_client *client);

/* GET: at most BULK_OPEN_MAX are open (asserted). *tag identifies its answers. -1: the session is over. */
int bulk_ask(struct bulk *bulk, const struct bulk_want *want, uint32_t *tag, struct fail *fail);

/* 1: *got is a DATA, END or REFUSED of an open GET, valid until the next call; DATA continues where the last one ended, and stays within
 * the requested range. 0: nothing within the timeout. -1: the session is over, or the peer violated the protocol. */
int bulk_next(struct bulk *bulk, struct bulk_record *got, uint64_t timeout_ns, struct fail *fail);

#endif
