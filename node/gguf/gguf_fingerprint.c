/* A fingerprint that is cheap for files of any size, since it reads only places of the tensor data. */
#include <assert.h>
#include <string.h>

#include "gguf_internal.h"
#include "node/common/bytes.h"
#include "node/common/hash.h"

enum { LANES = 4, PLACES_MAX = 4096, PLACE_BYTES = 64 };

/* Word i of every 32 bytes goes to lane i; the last bytes are padded with zeros, so sizes must be mixed in elsewhere. */
static void absorb(uint64_t lanes[LANES], const uint8_t *data, size_t size)
{
    while (size >= 8 * LANES) {
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = hash_mix64(lanes[i] ^ bytes_load(data + 8 * i, 8));
        data += 8 * LANES;
        size -= 8 * LANES;
    }
    for (size_t i = 0; size > 0; i++) {
        const size_t part = size < 8 ? size : 8;

        lanes[i] = hash_mix64(lanes[i] ^ bytes_load(data, part));
        data += part;
        size -= part;
    }
}

/* Place i starts at i * range / steps, written so that nothing overflows; the last place is the end of the file. */
static uint64_t place_at(const struct gguf *gguf, size_t i)
{
    const size_t range = gguf->size - gguf->data_start - PLACE_BYTES, steps = PLACES_MAX - 1;

    return gguf->data_start + range / steps * i + range % steps * i / steps;
}

/* For a file on disk all places are requested at once; and they are read with calls, since pages of the mapping would come with
 * neighbours. */
static void absorb_places(const struct gguf *gguf, uint64_t lanes[LANES])
{
    uint8_t buffer[PLACE_BYTES];

    for (size_t i = 0; i < PLACES_MAX; i++)
        gguf_ahead(gguf, place_at(gguf, i), PLACE_BYTES);
    for (size_t i = 0; i < PLACES_MAX; i++)
        absorb(lanes, gguf_bytes(gguf, place_at(gguf, i), PLACE_BYTES, buffer), PLACE_BYTES);
}

static void compute(const struct gguf *gguf, uint8_t out[32])
{
    const uint8_t *tensors = gguf->data + gguf->data_start;
    const size_t size = gguf->size - gguf->data_start;
    uint64_t lanes[LANES];

    for (size_t i = 0; i < LANES; i++)
        lanes[i] = hash_words3(i, gguf->size, gguf->data_start);
    absorb(lanes, gguf->data, gguf->data_start);
    if (size <= PLACES_MAX * PLACE_BYTES)
        absorb(lanes, tensors, size);
    else
        absorb_places(gguf, lanes);
    for (size_t i = 0; i < LANES; i++) {
        const uint64_t word = hash_words3(lanes[0] + i, lanes[1], hash_words3(lanes[2], lanes[3], i));

        bytes_store(out + 8 * i, word, 8);
    }
}

void gguf_fingerprint(const struct gguf *gguf, uint8_t out[32])
{
    if (gguf->has_fingerprint)
        memcpy(out, gguf->fingerprint, sizeof gguf->fingerprint);
    else
        compute(gguf, out);
}

void gguf_keep_fingerprint(struct gguf *gguf, const uint8_t known[32])
{
    uint8_t fingerprint[32];

    if (known == NULL)
        gguf_fingerprint(gguf, fingerprint);
    memcpy(gguf->fingerprint, known != NULL ? known : fingerprint, sizeof gguf->fingerprint);
    gguf->has_fingerprint = true;
}

int64_t gguf_modified_ns(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

bool gguf_is_intact(const struct gguf *gguf, const uint8_t fingerprint[32], int64_t *seen_ns)
{
    const int64_t before_ns = *seen_ns != 0 ? *seen_ns : gguf->modified_ns;
    uint8_t present[32];
    struct stat status;

    assert(gguf->is_mapped);
    if (fstat(gguf->file, &status) < 0)
        return true; /* whoever reads it learns why */
    if ((uint64_t)status.st_size != gguf->size)
        return false;
    *seen_ns = gguf_modified_ns(&status);
    if (*seen_ns == before_ns)
        return true;
    compute(gguf, present);
    return memcmp(present, fingerprint, sizeof present) == 0;
}
