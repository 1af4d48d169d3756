#include "train_checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/program/replace_file.h"
#include "node/common/bytes.h"
#include "node/common/hash.h"
#include "train_header.h"

enum { FLOAT_BYTES = 4, VECTORS = 3, SPREAD = 2 };

/* No single read or write crosses the end of a hashed piece. */
static_assert(TRAIN_CHECKPOINT_HEADER_BYTES % TRAIN_CHECKPOINT_RECORD_BYTES == 0, "records begin at a multiple of their size");
static_assert(TRAIN_CHECKPOINT_PIECE_BYTES % TRAIN_CHECKPOINT_RECORD_BYTES == 0, "a piece holds whole records");

static const char *const vector_names[VECTORS] = {"weight", "momentum", "spread"};

/* The end of a name that is too long for a message. */
static const char *shown(const char *name)
{
    const size_t size = strlen(name);

    return size > TRAIN_HEADER_NAME_MAX ? name + (size - TRAIN_HEADER_NAME_MAX) : name;
}

static bool is_sound(unsigned vector, float value)
{
    return isfinite(value) && !(vector == SPREAD && value < 0);
}

static const char *unsound(float value)
{
    return isfinite(value) ? "negative" : "not a finite number";
}

/* ---- writing ---- */

struct writer {
    struct replace_file file;
    const char *name;
    uint64_t hash; /* of the pieces before this one */
    size_t used;
    uint8_t piece[TRAIN_CHECKPOINT_PIECE_BYTES];
};

static int write_piece(struct writer *writer, struct fail *fail)
{
    writer->hash = hash_bytes(writer->hash, writer->piece, writer->used);
    if (replace_file_write(&writer->file, writer->piece, writer->used, fail) < 0)
        return -1;
    writer->used = 0;
    return 0;
}

static int write_float(struct writer *writer, float value, struct fail *fail)
{
    struct bytes cursor;

    if (writer->used == sizeof writer->piece && write_piece(writer, fail) < 0)
        return -1;
    cursor = bytes_writer(writer->piece + writer->used, FLOAT_BYTES);
    bytes_put_f32(&cursor, value);
    writer->used += FLOAT_BYTES;
    return 0;
}

static int write_record(struct writer *writer, const struct train_record *record, struct fail *fail)
{
    if (write_float(writer, record->loss, fail) < 0 || write_float(writer, record->held_out, fail) < 0 ||
        write_float(writer, record->rate, fail) < 0)
        return -1;
    return write_float(writer, record->gradient, fail);
}

static int write_vector(struct writer *writer, const struct train_state *state, unsigned vector, struct fail *fail)
{
    const float *const vectors[VECTORS] = {state->weights, state->momentum, state->spread};

    for (size_t i = 0; i < state->count; i++) {
        if (!is_sound(vector, vectors[vector][i]))
            return fail_set(fail, EXIT_DIFFERENCE,
                            "%s: not written: %s %zu is %s: the run has diverged: begin again with a lower learning rate", writer->name,
                            vector_names[vector], i, unsound(vectors[vector][i]));
        if (write_float(writer, vectors[vector][i], fail) < 0)
            return -1;
    }
    return 0;
}

static int write_hash(struct writer *writer, struct fail *fail)
{
    uint8_t hash[TRAIN_CHECKPOINT_HASH_BYTES];
    struct bytes cursor = bytes_writer(hash, sizeof hash);

    if (write_piece(writer, fail) < 0)
        return -1;
    bytes_put_u64(&cursor, writer->hash);
    return replace_file_write(&writer->file, hash, sizeof hash, fail);
}

static int write_state(struct writer *writer, const struct train_state *state, struct fail *fail)
{
    const struct train_header header = {.setup = state->setup, .step = state->step, .count = state->count};

    train_header_put(&header, writer->piece);
    writer->used = TRAIN_CHECKPOINT_HEADER_BYTES;
    for (uint64_t i = 0; i < state->step; i++) {
        assert(state->record[i].step == i + 1);
        if (write_record(writer, &state->record[i], fail) < 0)
            return -1;
    }
    for (unsigned vector = 0; vector < VECTORS; vector++)
        if (write_vector(writer, state, vector, fail) < 0)
            return -1;
    return write_hash(writer, fail);
}

int train_checkpoint_save(const struct train_state *state, const char *path, struct fail *fail)
{
    struct writer writer = {.name = shown(path)};
    int result;

    assert(state->step <= state->setup.steps && (state->step == 0 || state->record != NULL));
    if (replace_file_open(&writer.file, path, fail) < 0)
        return -1;
    result = write_state(&writer, state, fail);
    if (result == 0)
        result = replace_file_sync(&writer.file, fail);
    return replace_file_end(&writer.file, result, fail);
}

/* ---- reading ---- */

struct reader {
    FILE *file;
    const char *name;
    uint64_t left; /* bytes before the final hash that are not in the piece yet */
    uint64_t hash; /* of the pieces up to this one */
    size_t used, filled;
    uint8_t piece[TRAIN_CHECKPOINT_PIECE_BYTES];
};

static int refuse_read(const struct reader *reader, struct fail *fail)
{
    if (ferror(reader->file))
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: reading failed: %s: check the disk, or use an earlier checkpoint", reader->name,
                        strerror(errno));
    return fail_set(fail, EXIT_ENVIRONMENT, "%s: became shorter while it was read: another program writes it: end that, and try again",
                    reader->name);
}

static int start_reader(struct reader *reader, uint64_t size, struct fail *fail)
{
    reader->left = size - TRAIN_CHECKPOINT_HASH_BYTES;
    reader->hash = 0;
    reader->used = reader->filled = 0;
    if (fseek(reader->file, 0, SEEK_SET) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be read again: %s: copy it to a local disk", reader->name, strerror(errno));
    return 0;
}

/* The next bytes of the file, known to exist; NULL when they could not be read. Valid until the next call. */
static const uint8_t *take(struct reader *reader, size_t size, struct fail *fail)
{
    if (reader->used == reader->filled) {
        reader->filled = reader->left < sizeof reader->piece ? (size_t)reader->left : sizeof reader->piece;
        if (fread(reader->piece, 1, reader->filled, reader->file) != reader->filled) {
            refuse_read(reader, fail);
            return NULL;
        }
        reader->left -= reader->filled;
        reader->hash = hash_bytes(reader->hash, reader->piece, reader->filled);
        reader->used = 0;
    }
    reader->used += size;
    assert(reader->used <= reader->filled);
    return reader->piece + reader->used - size;
}

static int read_record(struct reader *reader, uint64_t step, struct train_record *out, struct fail *fail)
{
    const uint8_t *bytes = take(reader, TRAIN_CHECKPOINT_RECORD_BYTES, fail);
    struct bytes cursor;

    if (bytes == NULL)
        return -1;
    cursor = bytes_reader(bytes, TRAIN_CHECKPOINT_RECORD_BYTES);
    out->step = step;
    out->loss = bytes_get_f32(&cursor);
    out->held_out = bytes_get_f32(&cursor);
    out->rate = bytes_get_f32(&cursor);
    out->gradient = bytes_get_f32(&cursor);
    return 0;
}

static int read_records(struct reader *reader, uint64_t steps, struct train_state *state, struct fail *fail)
{
    struct train_record record;

    for (uint64_t i = 0; i < steps; i++) {
        if (read_record(reader, i + 1, &record, fail) < 0)
            return -1;
        if (state != NULL)
            state->record[i] = record;
    }
    return 0;
}

static int read_vector(struct reader *reader, unsigned vector, uint64_t count, float *out, struct fail *fail)
{
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *bytes = take(reader, FLOAT_BYTES, fail);
        struct bytes cursor;
        float value;

        if (bytes == NULL)
            return -1;
        cursor = bytes_reader(bytes, FLOAT_BYTES);
        value = bytes_get_f32(&cursor);
        if (!is_sound(vector, value))
            return fail_set(fail, EXIT_BAD_FILE, "%s: %s %" PRIu64 " is %s: no run can go on from it: use an earlier checkpoint",
                            reader->name, vector_names[vector], i, unsound(value));
        if (out != NULL)
            out[i] = value;
    }
    return 0;
}

static int check_hash(struct reader *reader, uint64_t size, struct fail *fail)
{
    uint8_t hash[TRAIN_CHECKPOINT_HASH_BYTES];
    struct bytes cursor = bytes_reader(hash, sizeof hash);

    assert(reader->left == 0 && reader->used == reader->filled);
    if (fread(hash, 1, sizeof hash, reader->file) != sizeof hash)
        return refuse_read(reader, fail);
    if (bytes_get_u64(&cursor) != reader->hash)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: the hash at offset %" PRIu64
                        " is not that of what stands before it: it is damaged: copy it again, or use an earlier checkpoint",
                        reader->name, size - TRAIN_CHECKPOINT_HASH_BYTES);
    return 0;
}

/* Read the file from beginning to end; its values go into the state, or nowhere when that is NULL. */
static int read_all(struct reader *reader, const struct train_header *header, uint64_t size, struct train_state *state, struct fail *fail)
{
    float *const vectors[VECTORS] = {state ? state->weights : NULL, state ? state->momentum : NULL, state ? state->spread : NULL};

    if (start_reader(reader, size, fail) < 0 || take(reader, TRAIN_CHECKPOINT_HEADER_BYTES, fail) == NULL ||
        read_records(reader, header->step, state, fail) < 0)
        return -1;
    for (unsigned vector = 0; vector < VECTORS; vector++)
        if (read_vector(reader, vector, header->count, vectors[vector], fail) < 0)
            return -1;
    return check_hash(reader, size, fail);
}

static int make_room(struct train_state *state, uint64_t steps, const char *name, struct fail *fail)
{
    size_t bytes;
    struct train_record *record;

    if (steps <= state->record_capacity)
        return 0;
    record = __builtin_mul_overflow(steps, sizeof *record, &bytes) ? NULL : realloc(state->record, bytes);
    if (record == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: no memory for the records of its %" PRIu64 " steps: close other programs", name,
                        steps);
    state->record = record;
    state->record_capacity = (size_t)steps;
    return 0;
}

static int read_header(FILE *file, uint64_t size, const char *name, struct train_header *header, struct fail *fail)
{
    uint8_t bytes[TRAIN_CHECKPOINT_HEADER_BYTES];
    const size_t expected = size < sizeof bytes ? (size_t)size : sizeof bytes;
    const struct reader reader = {.file = file, .name = name};

    if (fread(bytes, 1, expected, file) != expected)
        return refuse_read(&reader, fail);
    return train_header_get(header, bytes, expected, size, name, fail);
}

int train_checkpoint_read(struct train_state *state, FILE *file, uint64_t size, const char *name, struct fail *fail)
{
    struct reader reader = {.file = file, .name = shown(name)};
    struct train_header header;

    if (read_header(file, size, reader.name, &header, fail) < 0 ||
        train_header_compare(&header, &state->setup, state->count, reader.name, fail) < 0 ||
        read_all(&reader, &header, size, NULL, fail) < 0 || make_room(state, header.step, reader.name, fail) < 0 ||
        read_all(&reader, &header, size, state, fail) < 0)
        return -1;
    state->step = header.step;
    return 0;
}

int train_checkpoint_read_setup(FILE *file, uint64_t size, const char *name, struct train_setup *setup, uint64_t *step, struct fail *fail)
{
    struct train_header header;

    if (read_header(file, size, shown(name), &header, fail) < 0)
        return -1;
    *setup = header.setup;
    *step = header.step;
    return 0;
}

static int check_status(int descriptor, const char *name, uint64_t *size, struct fail *fail)
{
    struct stat status;

    if (fstat(descriptor, &status) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be examined: %s: copy it to a local disk", name, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return fail_set(fail, EXIT_BAD_FILE, "%s: is a directory: name a checkpoint in it", name);
    if (!S_ISREG(status.st_mode))
        return fail_set(fail, EXIT_BAD_FILE, "%s: is no regular file: it is read twice, so copy it to a file first", name);
    *size = (uint64_t)status.st_size;
    return 0;
}

static FILE *open_path(const char *path, uint64_t *size, struct fail *fail)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file;

    if (descriptor < 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be opened: %s: %s", shown(path), strerror(errno),
                 fail_advice(errno, "check its name and permissions"));
        return NULL;
    }
    if (check_status(descriptor, shown(path), size, fail) < 0) {
        close(descriptor);
        return NULL;
    }
    file = fdopen(descriptor, "rb");
    if (file == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be opened: %s: close other programs", shown(path), strerror(errno));
        close(descriptor);
    }
    return file;
}

int train_checkpoint_load(struct train_state *state, const char *path, struct fail *fail)
{
    uint64_t size;
    FILE *file = open_path(path, &size, fail);
    int result;

    if (file == NULL)
        return -1;
    result = train_checkpoint_read(state, file, size, path, fail);
    fclose(file);
    return result;
}

int train_checkpoint_peek(const char *path, struct train_setup *setup, uint64_t *step, struct fail *fail)
{
    uint64_t size;
    FILE *file = open_path(path, &size, fail);
    int result;

    if (file == NULL)
        return -1;
    result = train_checkpoint_read_setup(file, size, path, setup, step, fail);
    fclose(file);
    return result;
}
