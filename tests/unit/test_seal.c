/* Keys and single datagrams: vectors made by another implementation; and only the sealed bytes open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "seal_case.h"

#ifdef MESH_HAVE_SODIUM
#include <sodium.h>
#endif

enum { PACKET_MAX = 2100, RECORD_BYTES = 300 };

static const struct mesh_seal_key some_key = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};
static const enum mesh_security both[] = {MESH_SECURITY_AUTH, MESH_SECURITY_SEAL};

static void need_libsodium(void)
{
    if (!mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
}

static void assert_hex(const uint8_t *found, const char *hex)
{
    uint8_t expected[PACKET_MAX];
    const size_t bytes = seal_case_from_hex(hex, expected);

    assert_memory_equal(found, expected, bytes);
}

/* ---- vectors: made with Python's hashlib.blake2b and OpenSSL's ChaCha20-Poly1305, and printed in docs/PROTOCOL.md ---- */

static const char epoch_key_hex[] = "81a713e25a42c9ecf63cc68c874bb135145795a128b1367025badb6615b0bfd2";

static void keys_are_those_of_the_document(void **state)
{
    const struct mesh_key key = seal_case_key();
    struct mesh_seal_key made;

    (void)state;
    need_libsodium();
    assert_int_equal(mesh_seal_key_of_epoch(&made, &key, seal_case_cluster, SEAL_CASE_EPOCH, seal_case_epoch_id, seal_case_incarnation[1]),
                     0);
    assert_hex(made.bytes, epoch_key_hex);
    assert_int_equal(mesh_seal_key_of_process(&made, &key, seal_case_cluster, seal_case_incarnation[1]), 0);
    assert_hex(made.bytes, "3667ad6fee9330af91b60b98016595539f71a2b61852cfea32e4ff778af94cb2");
    assert_int_equal(mesh_seal_key_of_session(&made, &key, seal_case_cluster, seal_case_incarnation[1], seal_case_incarnation[2]), 0);
    assert_hex(made.bytes, "46101c10c6d8c7e68258f6ba23d60098256da7a8b11af0b8a0333d2385ed75a5");
}

/* A PING of rank 1 whose clock shows 123456789, before and after. */
struct vector {
    const char *what, *key, *plain, *sealed;
    enum mesh_security security;
};

static const struct vector vectors[] = {
    {"sealed, to rank 0", epoch_key_hex,
     "446d010a0000010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "0000000000000000000000000000000015cd5b0700000000",
     "446d010a0c00010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "5b8fb3c462fdff7644c6cc47c2570bb20e4d40e719cce90a",
     MESH_SECURITY_SEAL},
    {"sealed, to everybody", epoch_key_hex,
     "446d010a01000100ffff0000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "0000000000000000000000000000000015cd5b0700000000",
     "446d010a0d000100ffff0000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "c6665f3450ba4e509f9d7301afd9f244835a1b456c76db68",
     MESH_SECURITY_SEAL},
    {"authenticated, to rank 0", epoch_key_hex,
     "446d010a0000010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "0000000000000000000000000000000015cd5b0700000000",
     "446d010a0400010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "c7c5eb346954df61c60fe957522d676915cd5b0700000000",
     MESH_SECURITY_AUTH},
    {"sealed, outside of epochs", "3667ad6fee9330af91b60b98016595539f71a2b61852cfea32e4ff778af94cb2",
     "446d010a0000010003000000000000000500000000000000ffffffffffffffff15cd5b0700000000"
     "00000000000000000000000000000000808182838485868788898a8b8c8d8e8f15cd5b0700000000",
     "446d010a0c00010003000000000000000500000000000000ffffffffffffffff15cd5b0700000000"
     "ae352a42a64b003e5305e9f2ed538f70808182838485868788898a8b8c8d8e8feee2cc7122ad6ede",
     MESH_SECURITY_SEAL},
};

static void datagrams_are_those_of_the_document(void **state)
{
    (void)state;
    need_libsodium();
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const struct vector *vector = &vectors[i];
        struct mesh_seal_key key;
        uint8_t packet[PACKET_MAX];
        const size_t bytes = seal_case_from_hex(vector->plain, packet);

        print_message("%s\n", vector->what);
        seal_case_from_hex(vector->key, key.bytes);
        assert_int_equal(mesh_seal_packet(&key, vector->security, packet, bytes), 0);
        assert_hex(packet, vector->sealed);
        assert_int_equal(mesh_open_packet(&key, vector->security, packet, bytes), 0);
        assert_hex(packet, vector->plain);
    }
}

#ifdef MESH_HAVE_SODIUM
/* The library's own ChaCha20-Poly1305 gives the same bytes for every length, also beyond one pass of the keystream. */
static void datagrams_of_every_size_are_those_of_the_library(void **state)
{
    static uint8_t packet[65536], expected[65536];
    static const size_t larger[] = {4095, 4096, 4097, 8952, 32000, 65507};
    const size_t small = 2300;

    (void)state;
    need_libsodium();
    for (size_t i = MESH_HEADER_BYTES; i < small + sizeof larger / sizeof *larger; i++) {
        const size_t bytes = i < small ? i : larger[i - small];
        uint8_t nonce[12] = {3}, tag[16];

        seal_case_record(packet, 3, 1, 1);
        nonce[4] = 1;
        for (size_t k = MESH_HEADER_BYTES; k < bytes; k++)
            packet[k] = (uint8_t)(k * 13 + bytes);
        memcpy(expected, packet, bytes);
        expected[4] |= MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED;
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(expected + MESH_HEADER_BYTES, tag, NULL, expected + MESH_HEADER_BYTES,
                                                           bytes - MESH_HEADER_BYTES, expected, MESH_HEADER_BYTES, NULL, nonce,
                                                           some_key.bytes);
        memcpy(expected + offsetof(struct mesh_header_bytes, tag), tag, sizeof tag);
        assert_int_equal(mesh_seal_packet(&some_key, MESH_SECURITY_SEAL, packet, bytes), 0);
        assert_memory_equal(packet, expected, bytes);
        assert_int_equal(mesh_open_packet(&some_key, MESH_SECURITY_SEAL, packet, bytes), 0);
        for (size_t k = MESH_HEADER_BYTES; k < bytes; k++)
            assert_int_equal(packet[k], (uint8_t)(k * 13 + bytes));
    }
}
#endif

/* ---- round trips ---- */

static void what_is_sealed_opens_to_the_same_bytes(void **state)
{
    static const size_t sizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 300, 1344, 2000};

    (void)state;
    need_libsodium();
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (unsigned shift = 0; shift < 4; shift++) { /* any alignment */
                uint8_t plain[PACKET_MAX], room[PACKET_MAX + 4], *packet = room + shift;
                const size_t bytes = seal_case_record(plain, shift ? 0 : MESH_DST_ALL, 9 + i, sizes[i]);

                memcpy(packet, plain, bytes);
                assert_int_equal(mesh_seal_packet(&some_key, both[m], packet, bytes), 0);
                assert_memory_not_equal(packet, plain, bytes);
                assert_int_equal(mesh_open_packet(&some_key, both[m], packet, bytes), 0);
                assert_memory_equal(packet, plain, bytes);
            }
}

static void a_sealed_header_is_readable_and_its_payload_is_not(void **state)
{
    uint8_t plain[PACKET_MAX], packet[PACKET_MAX];
    const size_t bytes = seal_case_record(plain, 0, 9, RECORD_BYTES);
    struct mesh_header header;
    size_t equal = 0;

    (void)state;
    need_libsodium();
    memcpy(packet, plain, bytes);
    mesh_seal_packet(&some_key, MESH_SECURITY_SEAL, packet, bytes);
    assert_int_equal(mesh_wire_decode_header(packet, bytes, &header), 0);
    assert_int_equal(header.flags, MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED);
    assert_int_equal(header.number, 9);
    for (size_t i = MESH_HEADER_BYTES; i < bytes; i++)
        equal += packet[i] == plain[i];
    assert_in_range(equal, 0, 16);
}

static void an_authenticated_payload_is_readable(void **state)
{
    uint8_t plain[PACKET_MAX], packet[PACKET_MAX];
    const size_t bytes = seal_case_record(plain, 0, 9, RECORD_BYTES);
    struct mesh_header header;

    (void)state;
    need_libsodium();
    memcpy(packet, plain, bytes);
    mesh_seal_packet(&some_key, MESH_SECURITY_AUTH, packet, bytes);
    assert_int_equal(mesh_wire_decode_header(packet, bytes, &header), 0);
    assert_int_equal(header.flags, MESH_FLAG_AUTHENTICATED);
    assert_memory_equal(packet + MESH_HEADER_BYTES, plain + MESH_HEADER_BYTES, bytes - MESH_HEADER_BYTES);
}

static void without_security_nothing_changes(void **state)
{
    uint8_t plain[PACKET_MAX], packet[PACKET_MAX];
    const size_t bytes = seal_case_record(plain, 0, 9, RECORD_BYTES);

    (void)state;
    memcpy(packet, plain, bytes);
    assert_int_equal(mesh_seal_packet(&some_key, MESH_SECURITY_NONE, packet, bytes), 0);
    assert_int_equal(mesh_open_packet(&some_key, MESH_SECURITY_NONE, packet, bytes), 0);
    assert_memory_equal(packet, plain, bytes);
}

/* ---- what does not open ---- */

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    need_libsodium();
    for (size_t m = 0; m < 2; m++) {
        uint8_t sealed[PACKET_MAX];
        const size_t bytes = seal_case_record(sealed, 0, 9, RECORD_BYTES);

        mesh_seal_packet(&some_key, both[m], sealed, bytes);
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            uint8_t packet[PACKET_MAX];

            memcpy(packet, sealed, bytes);
            packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (mesh_open_packet(&some_key, both[m], packet, bytes) != MESH_EAUTH)
                fail_msg("security %d: bit %zu of byte %zu may be flipped", both[m], bit % 8, bit / 8);
            packet[bit / 8] ^= (uint8_t)(1u << bit % 8); /* and nothing else was changed */
            assert_memory_equal(packet, sealed, bytes);
        }
    }
}

static void every_other_length_is_refused(void **state)
{
    (void)state;
    need_libsodium();
    for (size_t m = 0; m < 2; m++) {
        uint8_t sealed[PACKET_MAX] = {0}, packet[PACKET_MAX];
        const size_t bytes = seal_case_record(sealed, 0, 9, RECORD_BYTES);

        mesh_seal_packet(&some_key, both[m], sealed, bytes);
        for (size_t other = 0; other < bytes + 20; other++) {
            memcpy(packet, sealed, sizeof packet);
            assert_int_equal(mesh_open_packet(&some_key, both[m], packet, other), other == bytes ? 0 : MESH_EAUTH);
        }
    }
}

static void another_key_or_kind_of_security_is_refused(void **state)
{
    struct mesh_seal_key other = some_key;

    (void)state;
    need_libsodium();
    other.bytes[31] ^= 1;
    for (size_t m = 0; m < 2; m++) {
        uint8_t sealed[PACKET_MAX], packet[PACKET_MAX];
        const size_t bytes = seal_case_record(sealed, 0, 9, RECORD_BYTES);

        memcpy(packet, sealed, bytes);
        assert_int_equal(mesh_open_packet(&some_key, both[m], packet, bytes), MESH_EAUTH); /* plain */
        mesh_seal_packet(&some_key, both[m], sealed, bytes);
        memcpy(packet, sealed, bytes);
        assert_int_equal(mesh_open_packet(&other, both[m], packet, bytes), MESH_EAUTH);
        memcpy(packet, sealed, bytes);
        assert_int_equal(mesh_open_packet(&some_key, both[!m], packet, bytes), MESH_EAUTH);
        packet[4] ^= MESH_FLAG_SEALED; /* nor does claiming the other kind help */
        assert_int_equal(mesh_open_packet(&some_key, both[!m], packet, bytes), MESH_EAUTH);
    }
}

static void what_has_no_number_of_its_own_is_not_sealed(void **state)
{
    uint8_t packet[PACKET_MAX];
    const size_t bytes = seal_case_record(packet, 0, 0, RECORD_BYTES);

    (void)state;
    assert_int_equal(mesh_seal_packet(&some_key, MESH_SECURITY_SEAL, packet, bytes), MESH_EINVAL);
    seal_case_record(packet, 0, 1, RECORD_BYTES);
    packet[4] |= MESH_FLAG_ALL; /* a number of the space to all ranks in a datagram to one: two spaces would share a nonce */
    assert_int_equal(mesh_seal_packet(&some_key, MESH_SECURITY_SEAL, packet, bytes), MESH_EINVAL);
    seal_case_record(packet, MESH_DST_ALL, 1, RECORD_BYTES);
    packet[4] &= (uint8_t)~MESH_FLAG_ALL;
    assert_int_equal(mesh_seal_packet(&some_key, MESH_SECURITY_SEAL, packet, bytes), MESH_EINVAL);
    for (size_t shorter = 0; shorter < MESH_HEADER_BYTES; shorter++)
        assert_int_equal(mesh_seal_packet(&some_key, MESH_SECURITY_SEAL, packet, shorter), MESH_EINVAL);
}

/* ---- nonces ---- */

/* What a datagram's payload is XORed with. */
static void keystream(const struct mesh_seal_key *key, uint16_t dst, uint64_t number, uint8_t out[RECORD_BYTES])
{
    uint8_t plain[PACKET_MAX], packet[PACKET_MAX];
    const size_t bytes = seal_case_record(plain, dst, number, RECORD_BYTES);

    memcpy(packet, plain, bytes);
    assert_int_equal(mesh_seal_packet(key, MESH_SECURITY_SEAL, packet, bytes), 0);
    for (size_t i = 0; i < RECORD_BYTES; i++)
        out[i] = packet[MESH_RECORD_OVERHEAD_BYTES + i] ^ plain[MESH_RECORD_OVERHEAD_BYTES + i];
}

static void no_two_datagrams_of_a_sender_share_a_keystream(void **state)
{
    static const uint16_t places[] = {0, 2, 3, 255, 256, 65534, MESH_DST_ALL};
    static const uint64_t numbers[] = {1, 2, 255, 256, 65536, UINT64_C(1) << 32, UINT64_C(1) << 40, UINT64_MAX - 1};
    enum { PLACES = sizeof places / sizeof *places, NUMBERS = sizeof numbers / sizeof *numbers };
    static uint8_t streams[PLACES * NUMBERS][RECORD_BYTES];

    (void)state;
    need_libsodium();
    for (size_t p = 0; p < PLACES; p++)
        for (size_t n = 0; n < NUMBERS; n++)
            keystream(&some_key, places[p], numbers[n], streams[p * NUMBERS + n]);
    for (size_t a = 0; a < PLACES * NUMBERS; a++)
        for (size_t b = a + 1; b < PLACES * NUMBERS; b++)
            assert_memory_not_equal(streams[a], streams[b], 16);
}

static void every_input_of_a_key_makes_another_key(void **state)
{
    struct mesh_key key = seal_case_key(), other_key = seal_case_key();
    struct mesh_seal_key made[9];
    uint8_t id[MESH_EPOCH_ID_BYTES], incarnation[MESH_INCARNATION_BYTES];

    (void)state;
    need_libsodium();
    other_key.bytes[0] ^= 0x80;
    memcpy(id, seal_case_epoch_id, sizeof id);
    memcpy(incarnation, seal_case_incarnation[1], sizeof incarnation);
    id[15] ^= 1;          /* the other half of a partition */
    incarnation[15] ^= 1; /* the same node, started again */
    mesh_seal_key_of_epoch(&made[0], &key, "a", 7, seal_case_epoch_id, seal_case_incarnation[1]);
    mesh_seal_key_of_epoch(&made[1], &other_key, "a", 7, seal_case_epoch_id, seal_case_incarnation[1]);
    mesh_seal_key_of_epoch(&made[2], &key, "b", 7, seal_case_epoch_id, seal_case_incarnation[1]);
    mesh_seal_key_of_epoch(&made[3], &key, "a", 7 + 65536, seal_case_epoch_id, seal_case_incarnation[1]);
    mesh_seal_key_of_epoch(&made[4], &key, "a", 7, id, seal_case_incarnation[1]);
    mesh_seal_key_of_epoch(&made[5], &key, "a", 7, seal_case_epoch_id, incarnation);
    mesh_seal_key_of_process(&made[6], &key, "a", seal_case_incarnation[1]);
    mesh_seal_key_of_session(&made[7], &key, "a", seal_case_incarnation[1], incarnation);
    mesh_seal_key_of_session(&made[8], &key, "a", incarnation, seal_case_incarnation[1]);
    for (size_t a = 0; a < 9; a++)
        for (size_t b = a + 1; b < 9; b++)
            assert_memory_not_equal(made[a].bytes, made[b].bytes, MESH_KEY_BYTES);
}

static void a_cluster_has_a_name_of_at_most_64_bytes(void **state)
{
    const struct mesh_key key = seal_case_key();
    struct mesh_seal_key made;
    char name[66];

    (void)state;
    need_libsodium();
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    assert_int_equal(mesh_seal_key_of_process(&made, &key, name, seal_case_incarnation[0]), 0);
    name[64] = 'n';
    name[65] = '\0';
    assert_int_equal(mesh_seal_key_of_process(&made, &key, name, seal_case_incarnation[0]), MESH_EINVAL);
    assert_int_equal(mesh_seal_key_of_process(&made, &key, "", seal_case_incarnation[0]), 0);
}

static void keys_are_made_exactly_where_something_can_be_sealed(void **state)
{
    const int expected = mesh_seal_is_available() ? 0 : MESH_ESYSTEM;
    const struct mesh_key key = seal_case_key();
    struct mesh_seal_key made;

    (void)state;
    assert_int_equal(mesh_seal_key_of_epoch(&made, &key, "a", 7, seal_case_epoch_id, seal_case_incarnation[1]), expected);
    assert_int_equal(mesh_seal_key_of_process(&made, &key, "a", seal_case_incarnation[1]), expected);
    assert_int_equal(mesh_seal_key_of_session(&made, &key, "a", seal_case_incarnation[1], seal_case_incarnation[2]), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_document),
        cmocka_unit_test(datagrams_are_those_of_the_document),
#ifdef MESH_HAVE_SODIUM
        cmocka_unit_test(datagrams_of_every_size_are_those_of_the_library),
#endif
        cmocka_unit_test(what_is_sealed_opens_to_the_same_bytes),
        cmocka_unit_test(a_sealed_header_is_readable_and_its_payload_is_not),
        cmocka_unit_test(an_authenticated_payload_is_readable),
        cmocka_unit_test(without_security_nothing_changes),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(every_other_length_is_refused),
        cmocka_unit_test(another_key_or_kind_of_security_is_refused),
        cmocka_unit_test(what_has_no_number_of_its_own_is_not_sealed),
        cmocka_unit_test(no_two_datagrams_of_a_sender_share_a_keystream),
        cmocka_unit_test(every_input_of_a_key_makes_another_key),
        cmocka_unit_test(a_cluster_has_a_name_of_at_most_64_bytes),
        cmocka_unit_test(keys_are_made_exactly_where_something_can_be_sealed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
