#include "model_cache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "mesh/program/replace_file.h"
#include "mesh/seal.h"
#include "node/common/bytes.h"
#include "node/common/memory_text.h"

enum {
    ID_TEXT_BYTES = 2 * MODEL_HASH_BYTES + 1,
    LOCK_POLL_NS = 100000000,
    STEP_CHUNKS = 16,
    LIST_HEAD_BYTES = 16 + 8 + 1 + MODEL_HASH_BYTES
};

static const char list_magic[16] = "mesh-model-1\n";

/* ---- names ---- */

static void show_id(const uint8_t *id, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[id[i] >> 4];
        out[2 * i + 1] = digits[id[i] & 15];
    }
    out[2 * bytes] = '\0';
}

__attribute__((format(printf, 1, 2))) static char *join(const char *format, ...)
{
    char *text = NULL;
    va_list list;

    va_start(list, format);
    if (vasprintf(&text, format, list) < 0)
        text = NULL;
    va_end(list);
    return text;
}

static int no_memory(struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

char *model_cache_root(struct fail *fail)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool has_cache = cache != NULL && cache[0] == '/';
    char *root;

    if (!has_cache && (home == NULL || home[0] != '/')) {
        fail_set(fail, EXIT_ENVIRONMENT, "cache: neither XDG_CACHE_HOME nor HOME names a folder: set one, or give -m MODEL.gguf");
        return NULL;
    }
    /* A missing home, as of a system user, is not to be made: the model would be on a disk where nobody looks for it. */
    if (!has_cache && !is_folder(home)) {
        fail_set(fail, EXIT_ENVIRONMENT, "cache: HOME is %.300s, which is no folder: set XDG_CACHE_HOME to one, or give -m MODEL.gguf",
                 home);
        return NULL;
    }
    root = has_cache ? join("%s/diolkos-mesh", cache) : join("%s/.cache/diolkos-mesh", home);
    if (root == NULL)
        no_memory(fail);
    return root;
}

/* Create all missing folders of the path. */
static int make_folders(const char *path, struct fail *fail)
{
    char *part = strdup(path);
    int result = 0;

    if (part == NULL)
        return no_memory(fail);
    for (char *slash = strchr(part + 1, '/'); result == 0; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            result = fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot be made: %s: set XDG_CACHE_HOME to a folder that can be written",
                              part, strerror(errno));
        if (slash == NULL)
            break;
        *slash = '/';
    }
    free(part);
    return result;
}

/* ---- opening ---- */

static int open_in(const struct model_cache *cache, const char *name, int flags, struct fail *fail)
{
    char *path = join("%s/%s", cache->folder, name);
    int descriptor;

    if (path == NULL)
        return no_memory(fail);
    descriptor = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot be opened: %s: %s", path, strerror(errno),
                 fail_advice(errno, "check its permissions, or remove its folder"));
    free(path);
    return descriptor;
}

static int take_lock(struct model_cache *cache, uint64_t wait_ns, struct fail *fail)
{
    cache->lock = open_in(cache, "lock", O_RDWR | O_CREAT, fail);
    if (cache->lock < 0)
        return -1;
    while (flock(cache->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: cannot be locked: %s: set XDG_CACHE_HOME to a local disk", cache->folder,
                            strerror(errno));
        if (wait_ns < LOCK_POLL_NS)
            return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: another process has it: wait until it is done", cache->folder);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_POLL_NS}, NULL);
        wait_ns -= LOCK_POLL_NS;
    }
    return 0;
}

static ssize_t read_at(int descriptor, void *data, size_t bytes, off_t offset)
{
    size_t done = 0;

    while (done < bytes) {
        const ssize_t got = pread(descriptor, (uint8_t *)data + done, bytes - done, offset + (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int write_at(int descriptor, const void *data, size_t bytes, off_t offset)
{
    size_t done = 0;

    while (done < bytes) {
        const ssize_t put = pwrite(descriptor, (const uint8_t *)data + done, bytes - done, offset + (off_t)done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        done += (size_t)put;
    }
    return 0;
}

/* The list is trusted if it matches the id. */
static void read_list(struct model_cache *cache)
{
    const size_t size = LIST_HEAD_BYTES + (size_t)cache->count * MODEL_HASH_BYTES;
    uint8_t *all = malloc(size), id[MODEL_HASH_BYTES];
    struct fail ignored;
    const int descriptor = open_in(cache, "hashes", O_RDONLY, &ignored);

    if (all != NULL && descriptor >= 0 && read_at(descriptor, all, size, 0) == (ssize_t)size &&
        model_id(cache->info.bytes, cache->info.fingerprint, all + LIST_HEAD_BYTES, id) == 0 &&
        memcmp(id, cache->info.id, sizeof id) == 0) {
        memcpy(cache->hashes, all + LIST_HEAD_BYTES, size - LIST_HEAD_BYTES);
        cache->has_hashes = true;
    }
    if (descriptor >= 0)
        close(descriptor);
    free(all);
}

static int refuse_write(const struct model_cache *cache, struct fail *fail)
{
    char text[MEMORY_TEXT_BYTES];

    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: writing failed: %s: check its disk", cache->path, strerror(errno));
    memory_text(cache->info.bytes, text);
    return fail_set(fail, EXIT_ENVIRONMENT,
                    "%.300s: no room for the model: %s: all of it takes %s: make room, or set XDG_CACHE_HOME to a larger disk; what is "
                    "there is kept, and the next start goes on from it",
                    cache->path, strerror(errno), text);
}

static int open_files(struct model_cache *cache, struct fail *fail)
{
    struct stat status;

    cache->file = open_in(cache, "model.gguf", O_RDWR | O_CREAT, fail);
    if (cache->file < 0)
        return -1;
    cache->map = open_in(cache, "have", O_RDWR | O_CREAT, fail);
    if (cache->map < 0)
        return -1;
    if (fstat(cache->file, &status) < 0 ||
        ((uint64_t)status.st_size != cache->info.bytes && ftruncate(cache->file, (off_t)cache->info.bytes) < 0))
        return refuse_write(cache, fail);
    return 0;
}

static int open_folder(struct model_cache *cache, const char *root, const uint8_t *id, uint64_t wait_ns, struct fail *fail)
{
    char text[ID_TEXT_BYTES];

    *cache = (struct model_cache){.file = -1, .map = -1, .lock = -1};
    show_id(id, MODEL_HASH_BYTES, text);
    cache->folder = join("%s/models/%s", root, text);
    cache->path = join("%s/models/%s/model.gguf", root, text);
    if (cache->folder == NULL || cache->path == NULL)
        return no_memory(fail);
    return make_folders(cache->folder, fail) < 0 ? -1 : take_lock(cache, wait_ns, fail);
}

static int open_rest(struct model_cache *cache, const struct model_info *info, struct fail *fail)
{
    cache->info = *info;
    cache->count = model_chunk_count(info->bytes);
    cache->hashes = calloc(cache->count, MODEL_HASH_BYTES);
    cache->have = calloc(cache->count, 1);
    if (cache->hashes == NULL || cache->have == NULL)
        return no_memory(fail);
    read_list(cache);
    return open_files(cache, fail);
}

int model_cache_open(struct model_cache *cache, const char *root, const struct model_info *info, uint64_t wait_ns, struct fail *fail)
{
    return open_folder(cache, root, info->id, wait_ns, fail) < 0 ? -1 : open_rest(cache, info, fail);
}

int model_cache_reopen(struct model_cache *cache, const char *root, const uint8_t id[MODEL_HASH_BYTES], uint64_t wait_ns, struct fail *fail)
{
    struct model_info info = {.is_strong = mesh_seal_is_available()};
    uint8_t head[LIST_HEAD_BYTES];
    struct bytes bytes = bytes_reader(head, sizeof head);
    int descriptor;

    if (open_folder(cache, root, id, wait_ns, fail) < 0)
        return -1;
    memcpy(info.id, id, sizeof info.id);
    descriptor = open_in(cache, "hashes", O_RDONLY, fail);
    if (descriptor < 0)
        return -1;
    if (read_at(descriptor, head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head, list_magic, sizeof list_magic) != 0)
        info.bytes = 0;
    else if (bytes_advance(&bytes, sizeof list_magic))
        info.bytes = bytes_get_u64(&bytes);
    close(descriptor);
    memcpy(info.fingerprint, head + sizeof head - MODEL_HASH_BYTES, sizeof info.fingerprint);
    if (info.bytes == 0 || info.bytes > (uint64_t)MODEL_CHUNKS_MAX * MODEL_CHUNK_BYTES)
        return fail_set(fail, EXIT_ENVIRONMENT, "%.300s: damaged: remove it", cache->folder);
    if (open_rest(cache, &info, fail) < 0)
        return -1;
    return cache->has_hashes ? 0 : fail_set(fail, EXIT_ENVIRONMENT, "%.300s: damaged: remove it", cache->folder);
}

void model_cache_close(struct model_cache *cache)
{
    const int descriptors[] = {cache->file, cache->map, cache->lock};

    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    free(cache->folder);
    free(cache->path);
    free(cache->hashes);
    free(cache->have);
    *cache = (struct model_cache){.file = -1, .map = -1, .lock = -1};
}

/* ---- the list ---- */

int model_cache_set_hashes(struct model_cache *cache, const uint8_t *hashes, struct fail *fail)
{
    uint8_t id[MODEL_HASH_BYTES], head[LIST_HEAD_BYTES];
    struct bytes bytes = bytes_writer(head, sizeof head);
    char *path = join("%s/hashes", cache->folder);
    struct replace_file file;
    int result = -1;

    if (path == NULL || model_id(cache->info.bytes, cache->info.fingerprint, hashes, id) < 0) {
        free(path);
        return no_memory(fail);
    }
    if (memcmp(id, cache->info.id, sizeof id) != 0) {
        free(path);
        return 0;
    }
    memcpy(head, list_magic, sizeof list_magic);
    bytes_advance(&bytes, sizeof list_magic);
    bytes_put_u64(&bytes, cache->info.bytes);
    bytes_put_u8(&bytes, cache->info.is_strong);
    memcpy(head + bytes_size(&bytes), cache->info.fingerprint, MODEL_HASH_BYTES);
    if (replace_file_open(&file, path, fail) == 0) {
        result = replace_file_write(&file, head, sizeof head, fail);
        if (result == 0)
            result = replace_file_write(&file, hashes, (size_t)cache->count * MODEL_HASH_BYTES, fail);
        result = replace_file_end(&file, result, fail);
    }
    free(path);
    if (result < 0)
        return -1;
    memcpy(cache->hashes, hashes, (size_t)cache->count * MODEL_HASH_BYTES);
    cache->has_hashes = true;
    return 1;
}

/* ---- chunks ---- */

static bool fits(const struct model_cache *cache, uint32_t chunk, const uint8_t *data)
{
    uint8_t hash[MODEL_HASH_BYTES];

    mesh_hash32(data, model_chunk_bytes(cache->info.bytes, chunk), hash);
    return memcmp(hash, cache->hashes + (size_t)chunk * MODEL_HASH_BYTES, sizeof hash) == 0;
}

static int mark(const struct model_cache *cache, uint32_t chunk, uint8_t is_there, struct fail *fail)
{
    return write_at(cache->map, &is_there, 1, (off_t)chunk) < 0 ? refuse_write(cache, fail) : 0;
}

static int check_chunk(struct model_cache *cache, uint32_t chunk, uint8_t *data, struct fail *fail)
{
    const uint32_t bytes = model_chunk_bytes(cache->info.bytes, chunk);
    const ssize_t got = read_at(cache->file, data, bytes, (off_t)chunk * MODEL_CHUNK_BYTES);

    if (got == (ssize_t)bytes && fits(cache, chunk, data)) {
        cache->have[chunk] = 1;
        cache->have_count++;
        return 0;
    }
    cache->bad_count++; /* also an unreadable chunk: it is written anew */
    return mark(cache, chunk, 0, fail);
}

int model_cache_check(struct model_cache *cache, const uint8_t *wanted, void (*step)(void *app, uint32_t done), void *app,
                      struct fail *fail)
{
    uint8_t *said = calloc(cache->count, 1), *data = malloc(MODEL_CHUNK_BYTES);
    int result = said == NULL || data == NULL ? no_memory(fail) : 0;

    assert(cache->has_hashes);
    cache->bad_count = 0;
    if (result == 0 && read_at(cache->map, said, cache->count, 0) < 0)
        memset(said, 1, cache->count); /* the hashes will tell */
    for (uint32_t chunk = 0; chunk < cache->count && result == 0; chunk++) {
        if (said[chunk] != 0 && cache->have[chunk] == 0 && (wanted == NULL || wanted[chunk] != 0))
            result = check_chunk(cache, chunk, data, fail);
        if (step != NULL && chunk % STEP_CHUNKS == 0)
            step(app, chunk);
    }
    free(said);
    free(data);
    return result;
}

int model_cache_put(struct model_cache *cache, uint32_t chunk, const uint8_t *data, struct fail *fail)
{
    assert(chunk < cache->count && cache->has_hashes);
    if (!fits(cache, chunk, data))
        return 0;
    if (write_at(cache->file, data, model_chunk_bytes(cache->info.bytes, chunk), (off_t)chunk * MODEL_CHUNK_BYTES) < 0)
        return refuse_write(cache, fail);
    if (mark(cache, chunk, 1, fail) < 0)
        return -1;
    if (cache->have[chunk] == 0)
        cache->have_count++;
    cache->have[chunk] = 1;
    return 1;
}

int model_cache_has_room(const struct model_cache *cache, const uint8_t *wanted, struct fail *fail)
{
    char needs[MEMORY_TEXT_BYTES], has[MEMORY_TEXT_BYTES];
    struct statvfs disk;
    struct stat status;
    uint64_t there, free_bytes, missing = 0;

    if (fstatvfs(cache->file, &disk) < 0 || fstat(cache->file, &status) < 0)
        return 0; /* writing will show */
    for (uint32_t chunk = 0; chunk < cache->count; chunk++)
        missing += wanted[chunk] != 0 && cache->have[chunk] == 0 ? model_chunk_bytes(cache->info.bytes, chunk) : 0;
    there = (uint64_t)status.st_blocks * 512;
    free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (missing <= free_bytes || there >= cache->info.bytes || cache->info.bytes - there <= free_bytes)
        return 0;
    memory_text(missing, needs);
    memory_text(free_bytes, has);
    return fail_set(fail, EXIT_ENVIRONMENT,
                    "%.300s: no room for the model: it needs %s more, and its disk has %s: make room, or set XDG_CACHE_HOME to a larger "
                    "disk; what is there is kept",
                    cache->path, needs, has);
}

/* ---- what a cluster had last ---- */

static char *last_path(const char *root, const char *name)
{
    uint8_t hash[16];
    char text[2 * sizeof hash + 1];

    mesh_hash16(name, strlen(name), hash);
    show_id(hash, sizeof hash, text);
    return join("%s/last-%s", root, text);
}

/* Best effort: it only helps a start at which nobody answers. */
void model_cache_remember(const char *root, const char *name, const uint8_t id[MODEL_HASH_BYTES])
{
    char *path = last_path(root, name);
    struct replace_file file;
    struct fail ignored;

    if (path != NULL && replace_file_open(&file, path, &ignored) == 0)
        replace_file_end(&file, replace_file_write(&file, id, MODEL_HASH_BYTES, &ignored), &ignored);
    free(path);
}

int model_cache_recall(const char *root, const char *name, uint8_t id[MODEL_HASH_BYTES])
{
    char *path = last_path(root, name);
    const int descriptor = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    int result = -1;

    if (descriptor >= 0 && read_at(descriptor, id, MODEL_HASH_BYTES, 0) == MODEL_HASH_BYTES)
        result = 0;
    if (descriptor >= 0)
        close(descriptor);
    free(path);
    return result;
}
