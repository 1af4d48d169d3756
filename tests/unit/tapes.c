#include "tapes.h"

#include <stdlib.h>
#include <string.h>

#include "libmesh/core/mix.h"

static uint64_t hash(void *user, const uint8_t *data, size_t bytes)
{
    uint64_t value = bytes;

    (void)user;
    for (size_t i = 0; i < bytes; i++)
        value = mesh_mix64(value ^ data[i]);
    return value;
}

static void put(void *user, const struct mesh_tape_entry *told)
{
    struct tape *tape = user;
    struct mesh_tape_entry entry = *told;
    size_t bytes;

    if (tape->leaves_payloads)
        mesh_tape_leave_out(&entry, hash, NULL);
    bytes = mesh_tape_record_bytes(&entry);
    if (tape->size + bytes > tape->capacity) {
        tape->capacity = 2 * (tape->size + bytes);
        tape->bytes = realloc(tape->bytes, tape->capacity);
        if (!tape->bytes)
            abort();
    }
    tape->size += mesh_tape_encode(&entry, tape->bytes + tape->size, bytes);
    tape->count++;
}

void tape_init(struct tape *tape)
{
    memset(tape, 0, sizeof *tape);
    tape->tap = (struct mesh_tap){put, tape};
}

void tape_release(struct tape *tape)
{
    free(tape->bytes);
    tape->bytes = NULL;
}

bool tape_next(const struct tape *tape, size_t *at, struct mesh_tape_entry *entry)
{
    size_t used;

    if (*at == tape->size)
        return false;
    if (mesh_tape_decode(tape->bytes + *at, tape->size - *at, entry, &used) != 0)
        abort();
    *at += used;
    return true;
}

void tape_copy(struct tape *to, const struct tape *from, bool (*change)(void *app, uint64_t index, struct mesh_tape_entry *entry),
               void *app)
{
    struct mesh_tape_entry entry;
    uint64_t index = 0;

    tape_init(to);
    for (size_t at = 0; tape_next(from, &at, &entry); index++)
        if (change(app, index, &entry))
            put(to, &entry);
}

int tape_rerun(const struct tape *tape, struct mesh_rerun **rerun)
{
    struct mesh_tape_entry entry;
    int err = mesh_rerun_open(rerun, tape->hash);

    for (size_t at = 0; err == 0 && tape_next(tape, &at, &entry);)
        err = mesh_rerun_feed(*rerun, &entry);
    return err ? err : mesh_rerun_finish(*rerun);
}
