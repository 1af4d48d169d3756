#include "train_header.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mesh/program/json.h"
#include "node/common/bytes.h"
#include "node/common/hash.h"

enum { VERSION = 1, VERSION_AT = 8, SETUP_AT = 12, SETUP_BYTES = 92, HASH_AT = 120 };

/* Room for a value; and, in a message about differences, around the name and the list of them. */
enum { VALUE_TEXT_MAX = 32, TEXT_AROUND = 110 };

static const uint8_t magic[8] = "DmTrain";

enum kind { NUMBER, REAL, HASH };

/* In the order of the file. Names are those of the options. */
#define FIELDS(F)                       \
    F(dim, NUMBER, "dim")               \
    F(hidden, NUMBER, "hidden")         \
    F(layers, NUMBER, "layers")         \
    F(heads, NUMBER, "heads")           \
    F(kv_heads, NUMBER, "kv-heads")     \
    F(vocab, NUMBER, "vocab")           \
    F(ctx, NUMBER, "ctx")               \
    F(batch, NUMBER, "batch")           \
    F(steps, NUMBER, "steps")           \
    F(warmup, NUMBER, "warmup")         \
    F(rate, REAL, "rate")               \
    F(rate_min, REAL, "rate-min")       \
    F(decay, REAL, "decay")             \
    F(clip, REAL, "clip")               \
    F(held_out, REAL, "held-out")       \
    F(seed, NUMBER, "seed")             \
    F(text_bytes, NUMBER, "text bytes") \
    F(text_hash, HASH, "text hash")

#define MEMBER_BYTES(member)            sizeof(((struct train_setup *)0)->member)
#define FIELD(member, kind, name)       {name, offsetof(struct train_setup, member), MEMBER_BYTES(member), kind},
#define FIELD_BYTES(member, kind, name) +MEMBER_BYTES(member)

static const struct field {
    const char *name;
    size_t offset, bytes; /* in struct train_setup; the same number of bytes in a file */
    enum kind kind;
} fields[] = {FIELDS(FIELD)};

enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static_assert(FIELDS(FIELD_BYTES) == SETUP_BYTES, "another setup is another version");
static_assert(sizeof(struct train_setup) - SETUP_BYTES < 8, "a field of the setup is not in the table");

/* A field's value, or its bits. */
static uint64_t get_bits(const struct train_setup *setup, const struct field *field)
{
    const char *at = (const char *)setup + field->offset;
    uint32_t narrow;
    uint64_t wide;

    if (field->bytes == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static void set_bits(struct train_setup *setup, const struct field *field, uint64_t wide)
{
    char *at = (char *)setup + field->offset;
    const uint32_t narrow = (uint32_t)wide;

    if (field->bytes == sizeof narrow)
        memcpy(at, &narrow, sizeof narrow);
    else
        memcpy(at, &wide, sizeof wide);
}

static float to_real(uint64_t bits)
{
    const uint32_t narrow = (uint32_t)bits;
    float value;

    memcpy(&value, &narrow, sizeof value);
    return value;
}

static void print_value(const struct field *field, uint64_t bits, char out[VALUE_TEXT_MAX])
{
    static_assert((int)VALUE_TEXT_MAX >= (int)JSON_NUMBER_MAX, "a float fits");
    if (field->kind == REAL)
        json_float_text(to_real(bits), out);
    else
        snprintf(out, VALUE_TEXT_MAX, field->kind == HASH ? "%016" PRIx64 : "%" PRIu64, bits);
}

void train_header_put(const struct train_header *header, uint8_t out[TRAIN_CHECKPOINT_HEADER_BYTES])
{
    struct bytes writer = bytes_writer(out, TRAIN_CHECKPOINT_HEADER_BYTES);

    memcpy(out, magic, sizeof magic);
    bytes_advance(&writer, sizeof magic);
    bytes_put_u32(&writer, VERSION);
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        bytes_put(&writer, get_bits(&header->setup, &fields[i]), fields[i].bytes);
    bytes_put_u64(&writer, header->step);
    bytes_put_u64(&writer, header->count);
    assert(bytes_size(&writer) == HASH_AT);
    bytes_put_u64(&writer, hash_bytes(0, out, HASH_AT));
    assert(bytes_ok(&writer) && bytes_left(&writer) == 0);
}

static uint64_t load_u32(const uint8_t *at)
{
    struct bytes reader = bytes_reader(at, 4);

    return bytes_get_u32(&reader);
}

static uint64_t load_u64(const uint8_t *at)
{
    struct bytes reader = bytes_reader(at, 8);

    return bytes_get_u64(&reader);
}

/* Is this a checkpoint, of a known version, with a complete header? */
static int check_frame(const uint8_t *head, size_t head_size, const char *name, struct fail *fail)
{
    if (head_size == 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: the file is empty: copy it again, or use an earlier checkpoint", name);
    if (memcmp(head, magic, head_size < sizeof magic ? head_size : sizeof magic) != 0)
        return fail_set(fail, EXIT_BAD_FILE, "%s: does not begin with \"DmTrain\", so it is no training checkpoint: name another file",
                        name);
    if (head_size >= SETUP_AT && load_u32(head + VERSION_AT) != VERSION)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: format version at offset %d is %" PRIu64 ", this program knows %d: use the one that wrote it", name,
                        VERSION_AT, load_u32(head + VERSION_AT), VERSION);
    if (head_size < TRAIN_CHECKPOINT_HEADER_BYTES)
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: ends at %zu bytes, within its header of %d: it is truncated: copy it again, or use an earlier checkpoint",
                        name, head_size, TRAIN_CHECKPOINT_HEADER_BYTES);
    if (load_u64(head + HASH_AT) != hash_bytes(0, head, HASH_AT))
        return fail_set(fail, EXIT_BAD_FILE,
                        "%s: the hash at offset %d is not that of the header: it is damaged: copy it again, or use an earlier checkpoint",
                        name, HASH_AT);
    return 0;
}

static int check_values(const struct train_header *header, const char *name, struct fail *fail)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        if (fields[i].kind == REAL && !isfinite(to_real(get_bits(&header->setup, &fields[i]))))
            return fail_set(fail, EXIT_BAD_FILE, "%s: %s in the header is not a finite number: no run has this: use an earlier checkpoint",
                            name, fields[i].name);
    if (header->step > header->setup.steps)
        return fail_set(fail, EXIT_BAD_FILE, "%s: step %" PRIu64 " of %" PRIu64 ": no run has this: use an earlier checkpoint", name,
                        header->step, header->setup.steps);
    return 0;
}

/* A file is as long as its header says. */
static int check_size(const struct train_header *header, uint64_t file_size, const char *name, struct fail *fail)
{
    uint64_t records, weights, expected = TRAIN_CHECKPOINT_HEADER_BYTES + TRAIN_CHECKPOINT_HASH_BYTES;

    if (__builtin_mul_overflow(header->step, (uint64_t)TRAIN_CHECKPOINT_RECORD_BYTES, &records) ||
        __builtin_mul_overflow(header->count, (uint64_t)TRAIN_CHECKPOINT_WEIGHT_BYTES, &weights) ||
        __builtin_add_overflow(expected, records, &expected) || __builtin_add_overflow(expected, weights, &expected))
        return fail_set(fail, EXIT_BAD_FILE, "%s: its %" PRIu64 " steps and %" PRIu64 " weights are more than a file can hold: %s", name,
                        header->step, header->count, "use an earlier checkpoint");
    if (file_size != expected)
        return fail_set(fail, EXIT_BAD_FILE, "%s: has %" PRIu64 " bytes, its header asks for %" PRIu64 ": it is %s: %s", name, file_size,
                        expected, file_size < expected ? "truncated" : "longer than what was written",
                        "copy it again, or use an earlier checkpoint");
    return 0;
}

int train_header_get(struct train_header *header, const uint8_t *head, size_t head_size, uint64_t file_size, const char *name,
                     struct fail *fail)
{
    struct bytes reader = bytes_reader(head, head_size);
    struct train_header found = {0};

    assert(head_size <= TRAIN_CHECKPOINT_HEADER_BYTES && head_size <= file_size);
    if (check_frame(head, head_size, name, fail) < 0)
        return -1;
    bytes_advance(&reader, SETUP_AT);
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        set_bits(&found.setup, &fields[i], bytes_get(&reader, fields[i].bytes));
    found.step = bytes_get_u64(&reader);
    found.count = bytes_get_u64(&reader);
    assert(bytes_ok(&reader) && bytes_size(&reader) == HASH_AT);
    if (check_values(&found, name, fail) < 0 || check_size(&found, file_size, name, fail) < 0)
        return -1;
    *header = found;
    return 0;
}

/* The list of differences, as far as it fits; the rest is counted. */
struct differences {
    char text[sizeof((struct fail *)0)->text];
    size_t used, size;
    unsigned count, left_out;
};

static void add_difference(struct differences *list, const char *name, const char *found, const char *expected)
{
    char piece[2 * VALUE_TEXT_MAX + 48];
    const int size = snprintf(piece, sizeof piece, list->count == 0 ? "%s %s (asked for %s)" : ", %s %s (%s)", name, found, expected);

    assert(size > 0 && (size_t)size < sizeof piece);
    list->count++;
    if (list->left_out > 0 || (size_t)size >= list->size - list->used) {
        list->left_out++;
        return;
    }
    memcpy(list->text + list->used, piece, (size_t)size + 1);
    list->used += (size_t)size;
}

int train_header_compare(const struct train_header *header, const struct train_setup *setup, uint64_t count, const char *name,
                         struct fail *fail)
{
    static const struct field weights = {.name = "weights", .kind = NUMBER};
    struct differences list = {.size = sizeof list.text - TEXT_AROUND - strlen(name)};
    char found[VALUE_TEXT_MAX], expected[VALUE_TEXT_MAX], more[32] = "";

    for (unsigned i = 0; i <= FIELD_COUNT; i++) {
        const struct field *field = i < FIELD_COUNT ? &fields[i] : &weights;
        const uint64_t here = i < FIELD_COUNT ? get_bits(&header->setup, field) : header->count;
        const uint64_t there = i < FIELD_COUNT ? get_bits(setup, field) : count;

        if (here == there)
            continue;
        print_value(field, here, found);
        print_value(field, there, expected);
        add_difference(&list, field->name, found, expected);
    }
    if (list.count == 0)
        return 0;
    if (list.left_out > 0)
        snprintf(more, sizeof more, " and %u more", list.left_out);
    return fail_set(fail, EXIT_USAGE, "%s: belongs to another run: the checkpoint has %s%s: give the options and the text of that run",
                    name, list.text, more);
}
