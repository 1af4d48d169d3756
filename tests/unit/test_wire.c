#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "mesh/wire.h"
#include "word_hash.h"

static uint64_t seed;

static uint64_t next_random(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return seed >> 11;
}

static bool is_bytes(const struct mesh_wire_field *field)
{
    return field->type == MESH_WIRE_b16 || field->type == MESH_WIRE_b32;
}

static void store(uint8_t *at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* A valid part of random values, written without the codec. */
static void fill_part(const struct mesh_wire_part *part, uint8_t *out)
{
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];
        uint64_t span = field->max - field->min;

        if (is_bytes(field))
            for (unsigned k = 0; k < field->size; k++)
                out[field->wire_offset + k] = (uint8_t)(field->max ? next_random() : 0);
        else
            store(out + field->wire_offset, field->size, field->min + (span == UINT64_MAX ? next_random() : next_random() % (span + 1)));
    }
}

/* The numbers of types have gaps. */
static unsigned next_type(unsigned type)
{
    do
        type++;
    while (type < MESH_TYPE_COUNT && !mesh_wire_message(type));
    return type;
}

static unsigned random_type(void)
{
    unsigned type;

    do
        type = 1 + (unsigned)(next_random() % (MESH_TYPE_COUNT - 1));
    while (!mesh_wire_message(type));
    return type;
}

static size_t count_offset(const struct mesh_wire_part *part)
{
    return MESH_HEADER_BYTES + part->fields[part->field_count - 1].wire_offset;
}

static bool has_list(const struct mesh_wire_part *part)
{
    return part->tail == MESH_TAIL_RANGES || part->tail == MESH_TAIL_MEMBERS;
}

static uint8_t *fill_message(unsigned type, uint8_t *packet, size_t *bytes)
{
    const struct mesh_wire_part *part = mesh_wire_message(type);
    size_t fixed = MESH_HEADER_BYTES + part->wire_bytes;

    memset(packet, 0, 65536);
    fill_part(&mesh_wire_header, packet);
    packet[2] = MESH_WIRE_VERSION;
    packet[3] = (uint8_t)type;
    fill_part(part, packet + MESH_HEADER_BYTES);
    *bytes = fixed;
    if (part->tail == MESH_TAIL_DATA)
        *bytes = fixed + 77;
    if (has_list(part)) {
        const struct mesh_wire_part *entry = part->tail == MESH_TAIL_RANGES ? &mesh_wire_range : &mesh_wire_member;

        store(packet + count_offset(part), 2, 3);
        for (unsigned i = 0; i < 3; i++)
            fill_part(entry, packet + fixed + i * entry->wire_bytes);
        *bytes = fixed + 3u * entry->wire_bytes;
    }
    if (part->tail == MESH_TAIL_PADDING) {
        store(packet + MESH_HEADER_BYTES, 4, 1300);
        *bytes = 1300;
    }
    return packet;
}

static uint8_t packet_a[65536], packet_b[65536];

static void every_message_survives_decoding_and_encoding(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++)
        for (unsigned type = next_type(0); type < MESH_TYPE_COUNT; type = next_type(type)) {
            struct mesh_message message;
            size_t bytes;

            fill_message(type, packet_a, &bytes);
            assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), 0);
            assert_int_equal(mesh_wire_encode(&message, packet_b, sizeof packet_b), bytes);
            assert_memory_equal(packet_a, packet_b, bytes);
        }
}

static void every_truncation_and_extension_is_refused(void **state)
{
    (void)state;
    for (unsigned type = next_type(0); type < MESH_TYPE_COUNT; type = next_type(type)) {
        const struct mesh_wire_part *part = mesh_wire_message(type);
        struct mesh_message message;
        size_t bytes, fixed = (size_t)MESH_HEADER_BYTES + part->wire_bytes;

        fill_message(type, packet_a, &bytes);
        for (size_t shorter = 0; shorter < (part->tail == MESH_TAIL_DATA ? fixed + 1 : bytes); shorter++)
            assert_int_equal(mesh_wire_decode(packet_a, shorter, &message), MESH_ETRUNCATED);
        if (part->tail != MESH_TAIL_DATA)
            assert_int_equal(mesh_wire_decode(packet_a, bytes + 1, &message), MESH_ETRUNCATED);
    }
}

static uint64_t largest(const struct mesh_wire_field *field)
{
    return field->size == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * field->size)) - 1;
}

static void check_field(unsigned type, const struct mesh_wire_field *field, size_t part_offset, bool changes_size)
{
    struct mesh_message message;
    size_t bytes;
    uint8_t *at = fill_message(type, packet_a, &bytes) + part_offset + field->wire_offset;

    if (is_bytes(field)) {
        at[field->size - 1] = 1;
        assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), field->max ? 0 : MESH_ERANGE);
        return;
    }
    if (!changes_size) {
        store(at, field->size, field->min);
        assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), 0);
        store(at, field->size, field->max);
        assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), 0);
    }
    if (field->min > 0) {
        store(at, field->size, field->min - 1);
        assert_int_not_equal(mesh_wire_decode(packet_a, bytes, &message), 0);
    }
    if (field->max < largest(field)) {
        store(at, field->size, field->max + 1);
        assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), field->wire_offset || part_offset ? MESH_ERANGE : MESH_ETYPE);
    }
}

static void every_field_is_refused_one_beyond_its_limits(void **state)
{
    (void)state;
    for (unsigned type = next_type(0); type < MESH_TYPE_COUNT; type = next_type(type)) {
        const struct mesh_wire_part *part = mesh_wire_message(type);

        for (unsigned i = 0; i < part->field_count; i++)
            check_field(type, &part->fields[i], MESH_HEADER_BYTES,
                        has_list(part) ? i == part->field_count - 1u : part->tail == MESH_TAIL_PADDING);
        for (unsigned i = 0; i < mesh_wire_header.field_count; i++)
            if (strcmp(mesh_wire_header.fields[i].name, "version") != 0 && strcmp(mesh_wire_header.fields[i].name, "type") != 0)
                check_field(type, &mesh_wire_header.fields[i], 0, false);
    }
    for (unsigned i = 0; i < mesh_wire_range.field_count; i++)
        check_field(MESH_TYPE_NAK, &mesh_wire_range.fields[i], MESH_HEADER_BYTES + 12u + 2u * mesh_wire_range.wire_bytes, false);
    for (unsigned i = 0; i < mesh_wire_member.field_count; i++)
        check_field(MESH_TYPE_PLAN, &mesh_wire_member.fields[i],
                    MESH_HEADER_BYTES + mesh_wire_message(MESH_TYPE_PLAN)->wire_bytes + 2u * mesh_wire_member.wire_bytes, false);
}

static void other_versions_types_and_protocols_are_told_apart(void **state)
{
    struct mesh_message message;
    uint8_t unused = 1;
    size_t bytes;

    (void)state;
    fill_message(MESH_TYPE_PING, packet_a, &bytes);
    packet_a[2] = MESH_WIRE_VERSION + 1;
    assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), MESH_EVERSION);
    assert_int_equal(mesh_wire_decode_header(packet_a, bytes, &message.header), 0);
    packet_a[2] = MESH_WIRE_VERSION;
    packet_a[3] = MESH_TYPE_COUNT;
    assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), MESH_ETYPE);
    packet_a[3] = 0;
    assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), MESH_ETYPE);
    while (mesh_wire_message(unused))
        unused++;
    packet_a[3] = unused;
    assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), MESH_ETYPE);
    packet_a[3] = MESH_TYPE_PING;
    packet_a[0] ^= 1;
    assert_int_equal(mesh_wire_decode(packet_a, bytes, &message), MESH_ETYPE);
}

static void integers_are_little_endian_at_their_documented_offsets(void **state)
{
    struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                              .version = 1,
                                              .type = MESH_TYPE_TILE,
                                              .src = 0x0102,
                                              .dst = MESH_DST_ALL,
                                              .number = UINT64_C(0x1122334455667788),
                                              .have_step = MESH_STEP_NONE},
                                   .as.tile = {.step = 5, .phase = 3, .token_count = 1, .block_first = 0x0a0b, .block_count = 1},
                                   .data = (const uint8_t *)"x",
                                   .data_bytes = 1};

    (void)state;
    assert_int_equal(mesh_wire_encode(&message, packet_a, sizeof packet_a), 83);
    assert_memory_equal(packet_a, "Dm\1\4", 4);
    assert_memory_equal(packet_a + 6, "\2\1\377\377", 4);
    assert_memory_equal(packet_a + 16, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    assert_memory_equal(packet_a + 56, "\5\0\0\0\0\0\0\0", 8);
    assert_memory_equal(packet_a + 72, "\3\0\0\0\1\0\x0b\x0a\1\0x", 11);
}

static void random_bytes_behind_a_valid_header_decode_only_in_range(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct mesh_message message;
        size_t bytes;

        fill_message(random_type(), packet_a, &bytes);
        packet_a[next_random() % bytes] ^= (uint8_t)(1u << next_random() % 8);
        /* Whatever decodes can be encoded again; the encoder asserts every range. */
        if (mesh_wire_decode(packet_a, bytes, &message) == 0)
            assert_int_equal(mesh_wire_encode(&message, packet_b, sizeof packet_b), bytes);
    }
}

/* What is on the wire: the order of fields, their types and ranges; not their names. */
static uint64_t hash_part(uint64_t hash, const struct mesh_wire_part *part)
{
    hash = word_hash(word_hash(hash, part->number), part->tail);
    for (unsigned i = 0; i < part->field_count; i++) {
        const struct mesh_wire_field *field = &part->fields[i];

        hash = word_hash(word_hash(word_hash(hash, field->type), field->min), field->max);
    }
    return hash;
}

/* Members and watchers are told apart by it before it is known which message came. */
static void messages_outside_of_epochs_begin_with_their_sender(void **state)
{
    (void)state;
    for (unsigned type = MESH_TYPE_ASK; type < MESH_TYPE_COUNT; type = next_type(type)) {
        const struct mesh_wire_field *first = mesh_wire_message(type)->fields;

        if (strcmp(first->name, "incarnation") != 0 || first->struct_offset != 0)
            fail_msg("%s begins with %s", mesh_wire_message(type)->name, first->name);
    }
}

/* Two programs that disagree on it drop one another's datagrams, and each says that they are malformed. */
static void the_layout_is_that_of_its_version(void **state)
{
    const uint64_t known = UINT64_C(0x43b3ca835b7b6fda);
    uint64_t hash = WORD_HASH_OF_NOTHING;

    (void)state;
    hash = hash_part(hash_part(hash_part(hash, &mesh_wire_header), &mesh_wire_range), &mesh_wire_member);
    for (unsigned type = next_type(0); type < MESH_TYPE_COUNT; type = next_type(type))
        hash = hash_part(hash, mesh_wire_message(type));
    assert_int_equal(MESH_WIRE_VERSION, 1);
    if (hash != known)
        fail_msg("the layout of messages is another one. If a release has the old one, raise MESH_WIRE_VERSION (mesh/wire.h) and "
                 "MESH_TRACE_SCHEMA with MESH_TRACE_SCHEMA_MIN (mesh/trace.h), since old nodes would drop such messages as malformed, and "
                 "old traces lack the columns; for a new message that nodes can do without, the latter two only. Record "
                 "tests/traces/lossy.db anew (tests/tools/record-lossy). Then write UINT64_C(0x%016" PRIx64 ") here",
                 hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_decoding_and_encoding),
        cmocka_unit_test(every_truncation_and_extension_is_refused),
        cmocka_unit_test(every_field_is_refused_one_beyond_its_limits),
        cmocka_unit_test(other_versions_types_and_protocols_are_told_apart),
        cmocka_unit_test(integers_are_little_endian_at_their_documented_offsets),
        cmocka_unit_test(random_bytes_behind_a_valid_header_decode_only_in_range),
        cmocka_unit_test(messages_outside_of_epochs_begin_with_their_sender),
        cmocka_unit_test(the_layout_is_that_of_its_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
