/* AES-256-GCM: vectors made by another implementation; only the sealed bytes open; and when an epoch's members use it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "seal_case.h"

enum { PACKET_MAX = 2100, RECORD_BYTES = 300, FLAGS_AT = 4 };

static const struct mesh_seal_key some_key = {{1, 2, 3, 4, 5, 6, 7, 8, 9}};
static const enum mesh_security both[] = {MESH_SECURITY_AUTH, MESH_SECURITY_SEAL};

static void need_aes(void)
{
    uint8_t packet[PACKET_MAX];
    struct mesh_aes *aes = mesh_seal_is_available() && mesh_aes_is_available() ? mesh_aes_new(&some_key) : NULL;
    const bool seals = aes != NULL && mesh_seal_packet_aes(aes, MESH_SECURITY_SEAL, packet, seal_case_record(packet, 0, 9, 1)) == 0;

    mesh_aes_free(aes);
    if (!seals) {
        print_message("built without a library that has AES, or that is libgcrypt in FIPS mode\n");
        skip();
    }
}

/* Skips the test where the processor lacks the instructions: without them AES is not used. */
static void need_fast_aes(void)
{
    if (!mesh_aes_is_fast()) {
        print_message("this processor has no instructions for AES\n");
        skip();
    }
}

/* ---- single datagrams ---- */

/* The PING of docs/PROTOCOL.md, under the sender's key of that example: made with Python's hashlib.blake2b and OpenSSL's AES-256-GCM. */
static const struct vector {
    const char *plain, *sealed;
    enum mesh_security security;
} vectors[] = {
    {"446d010a0000010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "0000000000000000000000000000000015cd5b0700000000",
     "446d010a2c00010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "b245d76cce62b4b00e7511d9d02fb9ab91d865383327824e",
     MESH_SECURITY_SEAL},
    {"446d010a01000100ffff0000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "0000000000000000000000000000000015cd5b0700000000",
     "446d010a2d000100ffff0000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "6a7d5b6180cbf977b9793a56ce50817450406b57421403e0",
     MESH_SECURITY_SEAL},
    {"446d010a0000010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "0000000000000000000000000000000015cd5b0700000000",
     "446d010a2400010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
     "2b83a9c7af25e18b1f14e5a4d6379fa015cd5b0700000000",
     MESH_SECURITY_AUTH},
};

static void datagrams_are_those_of_the_document(void **state)
{
    struct mesh_seal_key key;
    struct mesh_aes *aes;

    (void)state;
    need_aes();
    seal_case_from_hex("81a713e25a42c9ecf63cc68c874bb135145795a128b1367025badb6615b0bfd2", key.bytes);
    aes = mesh_aes_new(&key);
    assert_non_null(aes);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint8_t packet[PACKET_MAX], expected[PACKET_MAX];
        const size_t bytes = seal_case_from_hex(vectors[i].plain, packet);

        seal_case_from_hex(vectors[i].sealed, expected);
        assert_int_equal(mesh_seal_packet_aes(aes, vectors[i].security, packet, bytes), 0);
        assert_memory_equal(packet, expected, bytes);
        assert_int_equal(mesh_open_packet_aes(aes, vectors[i].security, packet, bytes), 0);
        seal_case_from_hex(vectors[i].plain, expected);
        assert_memory_equal(packet, expected, bytes);
    }
    mesh_aes_free(aes);
}

static void what_is_sealed_opens_to_the_same_bytes(void **state)
{
    static const size_t sizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 300, 1344, 2000};
    struct mesh_aes *aes;

    (void)state;
    need_aes();
    aes = mesh_aes_new(&some_key);
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (unsigned shift = 0; shift < 4; shift++) { /* any alignment */
                uint8_t plain[PACKET_MAX], room[PACKET_MAX + 4], *packet = room + shift;
                const size_t bytes = seal_case_record(plain, shift ? 0 : MESH_DST_ALL, 9 + i, sizes[i]);

                memcpy(packet, plain, bytes);
                assert_int_equal(mesh_seal_packet_aes(aes, both[m], packet, bytes), 0);
                assert_memory_not_equal(packet, plain, bytes);
                assert_int_equal(mesh_open_packet_aes(aes, both[m], packet, bytes), 0);
                assert_memory_equal(packet, plain, bytes);
            }
    mesh_aes_free(aes);
}

static void every_flipped_bit_and_other_length_is_refused_without_a_trace(void **state)
{
    struct mesh_aes *aes;

    (void)state;
    need_aes();
    aes = mesh_aes_new(&some_key);
    for (size_t m = 0; m < 2; m++) {
        uint8_t sealed[PACKET_MAX] = {0}, packet[PACKET_MAX], before[PACKET_MAX];
        const size_t bytes = seal_case_record(sealed, 0, 9, RECORD_BYTES);

        mesh_seal_packet_aes(aes, both[m], sealed, bytes);
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            memcpy(packet, sealed, bytes);
            packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
            memcpy(before, packet, bytes);
            if (mesh_open_packet_aes(aes, both[m], packet, bytes) != MESH_EAUTH)
                fail_msg("security %d: bit %zu of byte %zu may be flipped", both[m], bit % 8, bit / 8);
            assert_memory_equal(packet, before, bytes);
            memcpy(packet, sealed, bytes);
            assert_int_equal(mesh_open_packet_aes(aes, both[m], packet, bytes), 0); /* and the next one opens */
        }
        for (size_t other = 0; other < bytes + 20; other++) {
            memcpy(packet, sealed, sizeof packet);
            assert_int_equal(mesh_open_packet_aes(aes, both[m], packet, other), other == bytes ? 0 : MESH_EAUTH);
        }
    }
    mesh_aes_free(aes);
}

/* Nor does claiming the other cipher help. */
static void neither_cipher_opens_what_the_other_has_sealed(void **state)
{
    struct mesh_aes *aes;

    (void)state;
    need_aes();
    aes = mesh_aes_new(&some_key);
    for (size_t m = 0; m < 2; m++) {
        uint8_t packet[PACKET_MAX];
        const size_t bytes = seal_case_record(packet, 0, 9, RECORD_BYTES);

        mesh_seal_packet_aes(aes, both[m], packet, bytes);
        assert_int_equal(mesh_open_packet(&some_key, both[m], packet, bytes), MESH_EAUTH);
        packet[FLAGS_AT] ^= MESH_FLAG_AES;
        assert_int_equal(mesh_open_packet(&some_key, both[m], packet, bytes), MESH_EAUTH);
        seal_case_record(packet, 0, 9, RECORD_BYTES);
        mesh_seal_packet(&some_key, both[m], packet, bytes);
        assert_int_equal(mesh_open_packet_aes(aes, both[m], packet, bytes), MESH_EAUTH);
        packet[FLAGS_AT] ^= MESH_FLAG_AES;
        assert_int_equal(mesh_open_packet_aes(aes, both[m], packet, bytes), MESH_EAUTH);
    }
    mesh_aes_free(aes);
}

/* ---- an epoch ---- */

static struct mesh_sealer rank_of[SEAL_CASE_RANKS];
static uint64_t number;

/* without: the ranks that do not have AES. */
static void open_ranks(uint64_t without)
{
    need_fast_aes();
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++) {
        const struct mesh_key key = seal_case_key();
        const struct mesh_sealer_config config = {.security = MESH_SECURITY_SEAL,
                                                  .key = &key,
                                                  .cluster = seal_case_cluster,
                                                  .epoch = SEAL_CASE_EPOCH,
                                                  .epoch_id = seal_case_epoch_id,
                                                  .incarnation = seal_case_incarnation,
                                                  .rank = rank,
                                                  .rank_count = SEAL_CASE_RANKS,
                                                  .has_no_aes = (without >> rank & 1) != 0};

        assert_int_equal(mesh_sealer_init(&rank_of[rank], &config), 0);
    }
    number = 0;
}

static void close_ranks(void)
{
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++)
        mesh_sealer_release(&rank_of[rank]);
}

/* Seals a record of that rank; returns its flags on the wire. */
static unsigned say(uint16_t src, uint16_t dst, uint8_t packet[PACKET_MAX], size_t *bytes)
{
    *bytes = seal_case_record(packet, dst, ++number, RECORD_BYTES);
    packet[offsetof(struct mesh_header_bytes, src)] = (uint8_t)src;
    assert_int_equal(mesh_sealer_seal(&rank_of[src], packet, *bytes), 0);
    return packet[FLAGS_AT];
}

/* Sends to all ranks, which all restore the original. */
static unsigned tell_all(uint16_t src)
{
    uint8_t packet[PACKET_MAX], plain[PACKET_MAX], sealed[PACKET_MAX];
    size_t bytes;
    const unsigned flags = say(src, MESH_DST_ALL, sealed, &bytes);

    seal_case_record(plain, MESH_DST_ALL, number, RECORD_BYTES);
    plain[offsetof(struct mesh_header_bytes, src)] = (uint8_t)src;
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++)
        if (rank != src) {
            memcpy(packet, sealed, bytes);
            assert_int_equal(mesh_sealer_open(&rank_of[rank], packet, bytes), 0);
            assert_memory_equal(packet, plain, bytes); /* what the core sees has none of these flags */
        }
    return flags;
}

static void members_use_aes_once_all_have_said_that_they_have_it(void **state)
{
    (void)state;
    open_ranks(0);
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++) {
        assert_int_equal(mesh_sealer_uses_aes(&rank_of[SEAL_CASE_RANKS - 1]), rank == SEAL_CASE_RANKS - 1);
        assert_int_equal(tell_all(rank) & (MESH_FLAG_AES | MESH_FLAG_AES_READY),
                         rank < SEAL_CASE_RANKS - 1 ? MESH_FLAG_AES_READY : MESH_FLAG_AES); /* the last one has heard all others */
    }
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++) {
        assert_true(mesh_sealer_uses_aes(&rank_of[rank]));
        assert_int_equal(tell_all(rank) & (MESH_FLAG_AES | MESH_FLAG_AES_READY), MESH_FLAG_AES);
    }
    close_ranks();
}

static void one_that_has_none_is_spoken_to_without_it(void **state)
{
    (void)state;
    open_ranks(1u << 2);
    for (int round = 0; round < 3; round++)
        for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++)
            assert_int_equal(tell_all(rank) & (MESH_FLAG_AES | MESH_FLAG_AES_READY), rank == 2 ? 0 : MESH_FLAG_AES_READY);
    close_ranks();
}

/* An attacker on the path claims that a member has AES, or that it has not. */
static void the_flag_of_a_datagram_that_does_not_open_counts_for_nothing(void **state)
{
    uint8_t packet[PACKET_MAX];
    size_t bytes;

    (void)state;
    open_ranks(1u << 2);
    tell_all(0);
    tell_all(1);
    say(2, 3, packet, &bytes);
    packet[FLAGS_AT] |= MESH_FLAG_AES_READY;
    assert_int_equal(mesh_sealer_open(&rank_of[3], packet, bytes), MESH_EAUTH);
    assert_false(mesh_sealer_uses_aes(&rank_of[3]));
    say(0, 3, packet, &bytes);
    packet[FLAGS_AT] &= (uint8_t)~MESH_FLAG_AES_READY;
    assert_int_equal(mesh_sealer_open(&rank_of[3], packet, bytes), MESH_EAUTH);
    close_ranks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_are_those_of_the_document),
        cmocka_unit_test(what_is_sealed_opens_to_the_same_bytes),
        cmocka_unit_test(every_flipped_bit_and_other_length_is_refused_without_a_trace),
        cmocka_unit_test(neither_cipher_opens_what_the_other_has_sealed),
        cmocka_unit_test(members_use_aes_once_all_have_said_that_they_have_it),
        cmocka_unit_test(one_that_has_none_is_spoken_to_without_it),
        cmocka_unit_test(the_flag_of_a_datagram_that_does_not_open_counts_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
