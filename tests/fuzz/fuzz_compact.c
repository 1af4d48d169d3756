/* Any bytes as the blob of a chunk: it is refused, or read into exactly as many bytes as requested, from which a blob can be made again.
 *
 * The first two bytes of the input are the number of bytes of records requested; the rest is the blob with its marks. */
#include <stdlib.h>
#include <string.h>

#include "libmesh/trace/trace_compact.h"
#include "mesh/tape.h"

enum { SIZE_BYTES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static size_t copy_marks(void *user, const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    (void)user;
    require(size <= room);
    memcpy(out, data, size);
    return size;
}

/* As in mesh_trace_get_chunk, without compression. */
static bool read_blob(const uint8_t *blob, size_t blob_bytes, uint8_t *records, size_t bytes)
{
    struct compact_parts parts;

    if (!mesh_compact_split(blob, blob_bytes, &parts) || parts.marks_bytes > parts.packed_bytes)
        return false;
    return mesh_compact_read(&parts, parts.packed, records, bytes) == 0;
}

/* False when they are no records of calls; reading does not check this. */
static bool put_all(struct compact *compact, const uint8_t *records, size_t bytes)
{
    size_t fixed, payload;

    for (size_t at = 0; at < bytes; at += fixed + payload) {
        if (mesh_tape_measure(records + at, bytes - at, &fixed, &payload) != 0 || bytes - at - fixed < payload)
            return false;
        require(mesh_compact_put(compact, records + at, fixed, payload));
    }
    return true;
}

static void write_again(const uint8_t *records, size_t bytes)
{
    struct compact *compact = mesh_compact_open();
    uint8_t *back = malloc(bytes);
    const uint8_t *blob;
    size_t blob_bytes;

    require(compact != NULL && back != NULL);
    if (put_all(compact, records, bytes)) {
        blob = mesh_compact_finish(compact, copy_marks, NULL, bytes, &blob_bytes);
        require(blob != NULL && mesh_compact_is_intact(blob, blob_bytes, bytes) && read_blob(blob, blob_bytes, back, bytes));
        require(memcmp(back, records, bytes) == 0);
    }
    free(back);
    mesh_compact_close(compact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SIZE_BYTES)
        return 0;
    const size_t bytes = (size_t)data[0] | (size_t)data[1] << 8;
    uint8_t *records = malloc(bytes > 0 ? bytes : 1); /* not larger, so that writes beyond the end are detected */

    require(records != NULL);
    if (read_blob(data + SIZE_BYTES, size - SIZE_BYTES, records, bytes) && bytes > 0)
        write_again(records, bytes);
    free(records);
    return 0;
}
