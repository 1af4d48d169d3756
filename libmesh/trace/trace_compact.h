/* Records of calls (mesh/tape.h) without what they have in common with earlier ones, and back: coding 4 of chunks, whose layout is in
 * docs/TRACE.md.
 *
 * A record is compared with the last one that was probably like it, byte by byte. Which bytes differ goes into the marks, these bytes and
 * differences of times into the values, payloads into the data, unless they are there already: what is published is sent next. */
#ifndef MESH_TRACE_COMPACT_H
#define MESH_TRACE_COMPACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct compact;

enum {
    COMPACT_TRAILER_BYTES = 12, /* of a blob: sizes of data, values and marks, the latter as they are before they are packed */
    COMPACT_CHECKSUM_BYTES = 16 /* before it: a frame that zstd skips, and so do readers that do not know it */
};

struct compact *mesh_compact_open(void);          /* NULL without memory */
void mesh_compact_close(struct compact *compact); /* takes NULL */

/* Nothing is in it any more. */
void mesh_compact_clear(struct compact *compact);

/* Add a record: `fixed` bytes, then `payload` bytes, as mesh_tape_measure says. False without memory: then it is not in it. */
bool mesh_compact_put(struct compact *compact, const uint8_t *record, size_t fixed, size_t payload);

/* Bytes of the records that are in it. */
size_t mesh_compact_bytes(const struct compact *compact);

/* The blob of what is in it, valid until the next call; NULL without memory. It can be asked for again, also with more in it. pack:
 * compresses the marks into out, of which there are `room` bytes, and returns how many it took; 0: it cannot. seed: of its checksum, a
 * hash of what this is to cover besides the blob. */
const uint8_t *mesh_compact_finish(struct compact *compact,
                                   size_t (*pack)(void *user, const uint8_t *data, size_t size, uint8_t *out, size_t room), void *user,
                                   uint64_t seed, size_t *bytes);

/* Whether a blob is as it was written, with that seed; also one without a checksum, as earlier recorders wrote it. */
bool mesh_compact_is_intact(const uint8_t *blob, size_t bytes, uint64_t seed);

/* The parts of a blob, borrowed from it. False: they do not fit into it. marks are packed, into marks_bytes. */
struct compact_parts {
    const uint8_t *data, *values, *packed;
    size_t data_bytes, values_bytes, marks_bytes, packed_bytes;
};
bool mesh_compact_split(const uint8_t *blob, size_t bytes, struct compact_parts *parts);

/* The records, exactly `bytes` of them. marks: unpacked. MESH_ETRUNCATED: damaged; MESH_ENOMEM. */
int mesh_compact_read(const struct compact_parts *parts, const uint8_t *marks, uint8_t *records, size_t bytes);

#endif
