#include "gguf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf_guard.h"
#include "gguf_internal.h"
#include "node/common/read_cached.h"

enum { AHEAD_BYTES = 1 << 20 };

static struct gguf *create(const char *name, struct fail *fail)
{
    struct gguf *gguf = calloc(1, sizeof *gguf);

    if (gguf != NULL)
        gguf->path = strdup(name);
    if (gguf == NULL || gguf->path == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "%s: out of memory: close other programs", name);
        free(gguf);
        return NULL;
    }
    return gguf;
}

void gguf_release_pages(const struct gguf *gguf)
{
    if (gguf->is_mapped)
        madvise((void *)(uintptr_t)gguf->data, gguf->size, MADV_DONTNEED);
}

void gguf_close(struct gguf *gguf)
{
    if (gguf == NULL)
        return;
    if (gguf->is_mapped) {
        gguf_guard_remove(gguf);
        munmap((void *)(uintptr_t)gguf->data, gguf->size);
        close(gguf->file);
    }
    free(gguf->values);
    free(gguf->tensors);
    free(gguf->value_order);
    free(gguf->tensor_order);
    free(gguf->path);
    free(gguf);
}

struct gguf *gguf_parse(const char *name, const uint8_t *data, size_t size, struct fail *fail)
{
    struct gguf *gguf = create(name, fail);

    if (gguf == NULL)
        return NULL;
    gguf->data = data;
    gguf->size = size;
    if (gguf_read(gguf, fail) < 0) {
        gguf_close(gguf);
        return NULL;
    }
    return gguf;
}

static int map_descriptor(struct gguf *gguf, int descriptor, struct fail *fail)
{
    const char *path = gguf_shown_path(gguf);
    struct stat status;

    if (fstat(descriptor, &status) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be examined: %s: copy it to a local disk", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return fail_set(fail, EXIT_BAD_FILE, "%s: is a directory: name a .gguf file in it", path);
    if (!S_ISREG(status.st_mode))
        return fail_set(fail, EXIT_BAD_FILE, "%s: is no regular file: a model is mapped into memory, so copy it to a file first", path);
    if (status.st_size == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: the file is empty: copy it again", path);
    if ((uint64_t)status.st_size > PTRDIFF_MAX)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: %llu bytes cannot be mapped on this machine: use a 64-bit system", path,
                        (unsigned long long)status.st_size);

    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);

    if (data == MAP_FAILED)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be mapped into memory: %s: %s", path, strerror(errno),
                        errno == ENOMEM ? "raise the limit of address space (ulimit -v)" : "copy it to a local disk");
    gguf->data = data;
    gguf->size = (size_t)status.st_size;
    gguf->modified_ns = gguf_modified_ns(&status);
    gguf->is_mapped = true;
    gguf->file = descriptor;
    gguf_guard_add(gguf);
    return 0;
}

struct gguf *gguf_open(const char *path, struct fail *fail)
{
    struct gguf *gguf = create(path, fail);

    if (gguf == NULL)
        return NULL;

    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be opened: %s: %s", gguf_shown_path(gguf), strerror(errno),
                 fail_advice(errno, "check its name and permissions"));
        gguf_close(gguf);
        return NULL;
    }

    if (map_descriptor(gguf, descriptor, fail) < 0)
        close(descriptor);
    else if (gguf_read(gguf, fail) == 0)
        return gguf;
    gguf_close(gguf);
    return NULL;
}

const uint8_t *gguf_bytes(const struct gguf *gguf, uint64_t offset, size_t size, uint8_t *buffer)
{
    assert(offset <= gguf->size && size <= gguf->size - offset);
    if (!gguf->is_mapped || buffer == NULL)
        return gguf->data + offset;
    for (size_t done = 0; done < size;) {
        const ssize_t got = pread(gguf->file, buffer + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            gguf_guard_failed(gguf);
            return gguf->data + offset;
        }
        done += (size_t)got;
    }
    return buffer;
}

static bool is_present(const struct gguf *gguf, uint64_t offset)
{
    char byte;

    return read_cached(gguf->file, &byte, 1, offset) == 1;
}

/* Asking for all pages of a file that is in memory takes a tenth as long as reading it, so it is done only for pieces whose middle is not
 * in memory; the ends may have been read with neighbouring data. */
void gguf_ahead(const struct gguf *gguf, uint64_t offset, uint64_t size)
{
    if (!gguf->is_mapped)
        return;
    /* The kernel would read only the beginning of a range of more than a few MiB. */
    for (uint64_t done = 0; done < size; done += AHEAD_BYTES) {
        const uint64_t left = size - done, bytes = left < AHEAD_BYTES ? left : AHEAD_BYTES;

        if (!is_present(gguf, offset + done + bytes / 2))
            (void)posix_fadvise(gguf->file, (off_t)(offset + done), (off_t)bytes, POSIX_FADV_WILLNEED);
    }
}

const uint8_t *gguf_tensor_bytes(const struct gguf_tensor *tensor, uint64_t at, size_t size, uint8_t *buffer)
{
    assert(at <= tensor->data_size && size <= tensor->data_size - at);
    return tensor->gguf == NULL ? tensor->data + at : gguf_bytes(tensor->gguf, gguf_offset(tensor->gguf, tensor->data) + at, size, buffer);
}

void gguf_tensor_ahead(const struct gguf_tensor *tensor, uint64_t at, uint64_t size)
{
    if (tensor->gguf != NULL)
        gguf_ahead(tensor->gguf, gguf_offset(tensor->gguf, tensor->data) + at, size);
}

const char *gguf_path(const struct gguf *gguf)
{
    return gguf->path;
}

int gguf_duplicate(const struct gguf *gguf)
{
    assert(gguf->is_mapped);
    return fcntl(gguf->file, F_DUPFD_CLOEXEC, 0);
}

const char *gguf_shown_path(const struct gguf *gguf)
{
    const size_t size = strlen(gguf->path);

    return size > GGUF_SHOWN_PATH_MAX ? gguf->path + (size - GGUF_SHOWN_PATH_MAX) : gguf->path;
}

void gguf_show_name(const struct gguf_string *name, char out[GGUF_SHOWN_NAME_BYTES])
{
    enum { SHOWN_MAX = GGUF_SHOWN_NAME_BYTES - sizeof "..." };
    const size_t size = name->size < SHOWN_MAX ? name->size : SHOWN_MAX;

    for (size_t i = 0; i < size; i++)
        out[i] = name->text[i] >= ' ' && name->text[i] <= '~' ? name->text[i] : '?';
    memcpy(out + size, size < name->size ? "..." : "", size < name->size ? sizeof "..." : 1);
}

uint32_t gguf_version(const struct gguf *gguf)
{
    return gguf->version;
}

uint64_t gguf_file_bytes(const struct gguf *gguf)
{
    return gguf->size;
}

uint64_t gguf_data_start(const struct gguf *gguf)
{
    return gguf->data_start;
}

uint64_t gguf_offset(const struct gguf *gguf, const uint8_t *data)
{
    assert(data >= gguf->data && data <= gguf->data + gguf->size);
    return (uint64_t)(data - gguf->data);
}

size_t gguf_value_count(const struct gguf *gguf)
{
    return gguf->value_count;
}

const struct gguf_value *gguf_value_at(const struct gguf *gguf, size_t index)
{
    assert(index < gguf->value_count);
    return &gguf->values[index];
}

size_t gguf_tensor_count(const struct gguf *gguf)
{
    return gguf->tensor_count;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index)
{
    assert(index < gguf->tensor_count);
    return &gguf->tensors[index];
}

int gguf_string_compare(const struct gguf_string *a, const struct gguf_string *b)
{
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return memcmp(a->text, b->text, a->size);
}

const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key)
{
    const struct gguf_string wanted = {key, strlen(key)};
    size_t low = 0;
    size_t high = gguf->value_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct gguf_value *value = &gguf->values[gguf->value_order[middle]];
        const int order = gguf_string_compare(&wanted, &value->key);

        if (order == 0)
            return value;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
    const struct gguf_string wanted = {name, strlen(name)};
    size_t low = 0;
    size_t high = gguf->tensor_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct gguf_tensor *tensor = &gguf->tensors[gguf->tensor_order[middle]];
        const int order = gguf_string_compare(&wanted, &tensor->name);

        if (order == 0)
            return tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
