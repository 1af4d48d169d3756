/* Peers of which a model is fetched answer with anything, into a cache that was damaged: only what fits the hashes of the model that it is
 * said to be is kept, and it is fetched, or a message says why not.
 *
 * Input: a byte of flags; with IS_DAMAGED an honest fetch comes first, and then a byte for the number of changes and so many of files in
 * the cache (see damage); then what peers answer (fuzz_peer.h). */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "mesh/seal.h"
#include "node/common/log.h"
#include "node/fetch/model_fetch.h"
#include "tests/fuzz/fuzz_peer.h"

enum { IS_LARGE = 7 /* all of these: several chunks, which take time */, IS_WHOLE = 8, IS_MORE = 16, IS_DAMAGED = 32, IS_ONE = 64 };
enum { SMALL_BYTES = 3000, LARGE_BYTES = 2 * MODEL_CHUNK_BYTES + SMALL_BYTES, CHUNKS = 3, FOLDER_BYTES = 64, NAME_BYTES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[FOLDER_BYTES];
static uint8_t model[LARGE_BYTES], hashes[CHUNKS * MODEL_HASH_BYTES], back[LARGE_BYTES];
static struct model_info info; /* of the honest peers' model */

/* ---- what is around it ---- */

void log_line(const char *format, ...)
{
    (void)format;
}

void log_part(const char *format, ...)
{
    (void)format;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    peer_now_ns += (uint64_t)wanted->tv_sec * 1000000000 + (uint64_t)wanted->tv_nsec;
    return 0;
}

static int64_t peer_answer(unsigned peer, const struct bulk_want *want, uint8_t *out, size_t room)
{
    uint8_t bytes[MODEL_INFO_BYTES_MAX], all = 0xff;
    const uint8_t *from = bytes;
    size_t size = 0;

    (void)peer;
    if (want->resource == BULK_MODEL_INFO)
        size = model_info_write(&info, bytes);
    else if (want->resource == BULK_MODEL_HASHES)
        from = hashes, size = (size_t)model_chunk_count(info.bytes) * MODEL_HASH_BYTES;
    else if (want->resource == BULK_MODEL_HAVE)
        from = &all, size = 1;
    else if (want->resource == BULK_MODEL_BYTES)
        from = model, size = info.bytes;
    else
        return -1;
    if (want->offset >= size)
        return 0;
    size -= want->offset;
    size = size < room ? size : room;
    memcpy(out, from + want->offset, size);
    return (int64_t)size;
}

/* ---- the cache ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static void empty(void)
{
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* One of its files: other bytes somewhere, or cut. */
static void damage(const char *id)
{
    static const char *const files[] = {"hashes", "have", "model.gguf", "hashes"};
    char path[NAME_BYTES];
    uint8_t byte;
    int file;

    snprintf(path, sizeof path, "%s/diolkos-mesh/models/%s/%s", folder, id, files[take(&peer_input, 1) % (sizeof files / sizeof *files)]);
    file = open(path, O_WRONLY);
    require(file >= 0);
    byte = (uint8_t)take(&peer_input, 1);
    if (byte == 0)
        require(ftruncate(file, (off_t)take(&peer_input, 2)) == 0);
    else
        require(pwrite(file, &byte, 1, (off_t)take(&peer_input, 2)) == 1);
    close(file);
}

/* What is there is what it is said to be. */
static void check(const struct model_part *part)
{
    uint8_t hash[MODEL_HASH_BYTES];
    int file;

    if (part->path == NULL)
        return;
    file = open(part->path, O_RDONLY);
    require(file >= 0 && part->count == model_chunk_count(part->info.bytes));
    for (uint32_t chunk = 0; chunk < part->count && chunk < CHUNKS; chunk++) {
        const size_t bytes = model_chunk_bytes(part->info.bytes, chunk);

        if (atomic_load(&part->have[chunk]) == 0)
            continue;
        require(pread(file, back, bytes, (off_t)chunk * MODEL_CHUNK_BYTES) == (ssize_t)bytes);
        mesh_hash32(back, bytes, hash);
        require(memcmp(hash, part->hashes + (size_t)chunk * MODEL_HASH_BYTES, sizeof hash) == 0);
    }
    close(file);
}

static void fetch(unsigned flags)
{
    static const struct mesh_addr addresses[] = {{.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = 7410},
                                                 {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = 7411}};
    const struct model_fetch_config config = {
        .peer = addresses, .peer_count = flags & IS_ONE ? 1 : 2, .cluster = "mesh", .is_quiet = true, .whole = (flags & IS_WHOLE) != 0};
    struct model_part part;
    struct fail fail = {0};
    int result = model_fetch(&config, &part, &fail);

    check(&part);
    if (result == 0) {
        require(part.count > 0 && atomic_load(&part.have[0]) != 0 && model_part_has(&part, NULL) >= config.whole);
        if ((flags & IS_MORE) != 0 && part.count <= CHUNKS) {
            result = model_fetch_more(&config, &part, (const uint8_t *)"\0\1\1", &fail);
            require(result != 0 || part.count == 1 || atomic_load(&part.have[1]) != 0);
            check(&part);
        }
    }
    require(result == 0 || strchr(fail.text, ':') != NULL);
    model_part_release(&part);
    for (unsigned i = 0; i < PEERS_MAX; i++)
        require(!peers[i].is_open);
}

/* ---- one input ---- */

static void make_model(uint64_t bytes)
{
    if (info.bytes == bytes)
        return;
    info = (struct model_info){.bytes = bytes, .head_bytes = 100, .is_strong = mesh_seal_is_available(), .name = "fuzz.gguf"};
    for (uint32_t chunk = 0; chunk < model_chunk_count(bytes); chunk++)
        mesh_hash32(model + (size_t)chunk * MODEL_CHUNK_BYTES, model_chunk_bytes(bytes, chunk), hashes + (size_t)chunk * MODEL_HASH_BYTES);
    require(model_id(bytes, info.fingerprint, hashes, info.id) == 0);
}

static void start(void)
{
    snprintf(folder, sizeof folder, "%s/fuzz_model_fetch.%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    setenv("XDG_CACHE_HOME", folder, 1);
    for (size_t i = 0; i < sizeof model; i++)
        model[i] = (uint8_t)(i * 7 + i / 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[2 * MODEL_HASH_BYTES + 1];
    unsigned flags;

    if (folder[0] == '\0')
        start();
    empty();
    peer_begin(data, size);
    flags = (unsigned)take(&peer_input, 1);
    make_model((flags & IS_LARGE) == IS_LARGE ? LARGE_BYTES : SMALL_BYTES);
    if ((flags & IS_DAMAGED) != 0) {
        peer_begin(data, 0);
        fetch(IS_WHOLE | IS_ONE);
        peer_begin(data + 1, size - 1);
        for (unsigned i = 0; i < MODEL_HASH_BYTES; i++)
            snprintf(id + (size_t)2 * i, 3, "%02x", info.id[i]);
        for (unsigned changes = (unsigned)take(&peer_input, 1) % 4; changes > 0; changes--)
            damage(id);
    }
    fetch(flags);
    empty();
    return 0;
}
