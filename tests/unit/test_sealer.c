/* The sealers of an epoch's ranks: what one seals the others open, and everything else is refused and counted by its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "seal_case.h"

enum { PACKET_MAX = 2100, RECORD_BYTES = 200 };

static struct mesh_sealer from, to;
static uint8_t packet[PACKET_MAX];

/* A record of rank 1 to rank 0, sealed; returns its size. */
static size_t sealed_record(enum mesh_security security)
{
    const size_t bytes = seal_case_record(packet, 0, 5, RECORD_BYTES);

    seal_case_init(&from, 1, security);
    seal_case_init(&to, 0, security);
    assert_int_equal(mesh_sealer_seal(&from, packet, bytes), 0);
    return bytes;
}

static void assert_refused(enum mesh_seal_refusal refusal, int err, size_t bytes)
{
    uint64_t others = 0;

    memset(to.refused, 0, sizeof to.refused);
    assert_int_equal(mesh_sealer_open(&to, packet, bytes), err);
    assert_int_equal(to.refused[refusal], 1);
    for (size_t i = 0; i < MESH_SEAL_REFUSALS; i++)
        others += i == refusal ? 0 : to.refused[i];
    assert_int_equal(others, 0);
    assert_int_equal(to.opened, 0);
}

static void every_other_rank_opens_what_is_for_everybody(void **state)
{
    (void)state;
    for (int security = MESH_SECURITY_AUTH; security <= MESH_SECURITY_SEAL; security++) {
        uint8_t plain[PACKET_MAX], sealed[PACKET_MAX];
        const size_t bytes = seal_case_record(plain, MESH_DST_ALL, 5, RECORD_BYTES);

        memcpy(sealed, plain, bytes);
        seal_case_init(&from, 1, (enum mesh_security)security);
        assert_int_equal(mesh_sealer_seal(&from, sealed, bytes), 0);
        assert_int_equal(from.sealed, 1);
        for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++) {
            seal_case_init(&to, rank, (enum mesh_security)security);
            memcpy(packet, sealed, bytes);
            assert_int_equal(mesh_sealer_open(&to, packet, bytes), rank == 1 ? MESH_ESENDER : 0);
            assert_int_equal(to.opened, rank == 1 ? 0 : 1);
            if (rank != 1)
                assert_memory_equal(packet, plain, bytes);
        }
    }
}

static void what_is_for_one_rank_only_that_one_opens(void **state)
{
    const size_t bytes = sealed_record(MESH_SECURITY_SEAL);

    (void)state;
    seal_case_init(&to, 2, MESH_SECURITY_SEAL);
    assert_refused(MESH_SEAL_SENDER, MESH_ESENDER, bytes);
    packet[8] = 2; /* changed destination */
    assert_refused(MESH_SEAL_TAG, MESH_EAUTH, bytes);
}

static void another_rank_cannot_be_spoken_for(void **state)
{
    const size_t bytes = sealed_record(MESH_SECURITY_AUTH);

    (void)state;
    packet[6] = 2;
    assert_refused(MESH_SEAL_TAG, MESH_EAUTH, bytes);
    packet[6] = 0; /* itself */
    assert_refused(MESH_SEAL_SENDER, MESH_ESENDER, bytes);
    packet[6] = SEAL_CASE_RANKS;
    assert_refused(MESH_SEAL_SENDER, MESH_ESENDER, bytes);
}

static void another_epoch_is_named(void **state)
{
    const size_t bytes = sealed_record(MESH_SECURITY_SEAL);

    (void)state;
    packet[12]++;
    assert_refused(MESH_SEAL_EPOCH, MESH_EEPOCH, bytes);
}

/* Two halves of a partition that count up to the same number. */
static void the_same_epoch_number_of_another_id_is_refused(void **state)
{
    const struct mesh_key key = seal_case_key();
    uint8_t id[MESH_EPOCH_ID_BYTES] = {1};
    const struct mesh_sealer_config config = {.security = MESH_SECURITY_SEAL,
                                              .key = &key,
                                              .cluster = seal_case_cluster,
                                              .epoch = SEAL_CASE_EPOCH,
                                              .epoch_id = id,
                                              .incarnation = seal_case_incarnation,
                                              .rank_count = SEAL_CASE_RANKS,
                                              .has_no_aes = true};
    const size_t bytes = sealed_record(MESH_SECURITY_SEAL);

    (void)state;
    assert_int_equal(mesh_sealer_init(&to, &config), 0);
    assert_refused(MESH_SEAL_TAG, MESH_EAUTH, bytes);
}

static void other_ways_of_security_are_told_apart(void **state)
{
    size_t bytes = sealed_record(MESH_SECURITY_SEAL);

    (void)state;
    seal_case_init(&to, 0, MESH_SECURITY_AUTH);
    assert_refused(MESH_SEAL_MODE, MESH_EAUTH, bytes);
    bytes = sealed_record(MESH_SECURITY_AUTH);
    seal_case_init(&to, 0, MESH_SECURITY_SEAL);
    assert_refused(MESH_SEAL_MODE, MESH_EAUTH, bytes);
    bytes = seal_case_record(packet, 0, 5, RECORD_BYTES);
    assert_refused(MESH_SEAL_PLAIN, MESH_EAUTH, bytes);
}

static void what_is_not_of_this_protocol_is_foreign(void **state)
{
    const size_t bytes = sealed_record(MESH_SECURITY_SEAL);

    (void)state;
    assert_refused(MESH_SEAL_FOREIGN, MESH_ETRUNCATED, MESH_HEADER_BYTES - 1);
    assert_refused(MESH_SEAL_FOREIGN, MESH_ETRUNCATED, 0);
    packet[0] ^= 1;
    assert_refused(MESH_SEAL_FOREIGN, MESH_ETYPE, bytes);
    packet[0] ^= 1;
    packet[5] = 0x80; /* an unknown flag */
    assert_refused(MESH_SEAL_FOREIGN, MESH_ERANGE, bytes);
}

static void every_flipped_bit_is_refused_and_counted_once(void **state)
{
    uint8_t sealed[PACKET_MAX];
    const size_t bytes = sealed_record(MESH_SECURITY_SEAL);
    uint64_t refused = 0;

    (void)state;
    memcpy(sealed, packet, bytes);
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        memcpy(packet, sealed, bytes);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(mesh_sealer_open(&to, packet, bytes), 0);
    }
    for (size_t i = 0; i < MESH_SEAL_REFUSALS; i++)
        refused += to.refused[i];
    assert_int_equal(refused, 8 * bytes);
    assert_int_equal(to.opened, 0);
}

static void a_core_drops_what_was_not_opened(void **state)
{
    struct mesh_config config = {.rank_count = 2,
                                 .epoch = SEAL_CASE_EPOCH,
                                 .phase_count = 1,
                                 .tokens_max = 1,
                                 .blocks_max = 1,
                                 .datagram_bytes_max = 1200,
                                 .receive_buffer_bytes = 100000};
    const size_t memory_bytes = mesh_memory_bytes(&config);
    void *memory = aligned_alloc(64, (memory_bytes + 63) / 64 * 64);
    const struct mesh_addr addr = {.port = 1};
    struct mesh_stats stats;
    struct mesh *mesh;

    (void)state;
    assert_int_equal(mesh_init(&mesh, &config, memory, memory_bytes, 0), 0);
    mesh_set_peer(mesh, 1, addr);
    for (int security = MESH_SECURITY_AUTH; security <= MESH_SECURITY_SEAL; security++) {
        const size_t bytes = sealed_record((enum mesh_security)security);
        const uint32_t before = mesh_state_hash(mesh);

        assert_int_equal(mesh_receive(mesh, 1, addr, packet, bytes), MESH_EAUTH);
        assert_int_equal(mesh_state_hash(mesh), before);
    }
    mesh_get_stats(mesh, &stats);
    assert_int_equal(stats.dropped[-MESH_EAUTH], 2);
    free(memory);
}

static void without_security_everything_is_passed_on(void **state)
{
    const struct mesh_sealer_config config = {.security = MESH_SECURITY_NONE, .rank = 1, .rank_count = 3};
    uint8_t plain[PACKET_MAX];
    const size_t bytes = seal_case_record(plain, 0, 5, RECORD_BYTES);

    (void)state;
    memcpy(packet, plain, bytes);
    assert_int_equal(mesh_sealer_init(&to, &config), 0);
    assert_int_equal(mesh_sealer_seal(&to, packet, bytes), 0);
    assert_int_equal(mesh_sealer_open(&to, packet, bytes), 0);
    assert_int_equal(mesh_sealer_open(&to, packet, 3), 0);
    assert_memory_equal(packet, plain, bytes);
}

static void a_sealer_is_of_an_epoch_and_a_rank_of_it(void **state)
{
    const struct mesh_key key = seal_case_key();
    const struct mesh_sealer_config good = {.security = MESH_SECURITY_SEAL,
                                            .key = &key,
                                            .cluster = seal_case_cluster,
                                            .epoch = 1,
                                            .epoch_id = seal_case_epoch_id,
                                            .incarnation = seal_case_incarnation,
                                            .rank_count = SEAL_CASE_RANKS,
                                            .has_no_aes = true};
    struct mesh_sealer_config config = good;

    (void)state;
    assert_int_equal(mesh_sealer_init(&to, &config), mesh_seal_is_available() ? 0 : MESH_ESYSTEM);
    config.epoch = 0;
    assert_int_equal(mesh_sealer_init(&to, &config), MESH_EINVAL);
    config = good;
    config.rank = SEAL_CASE_RANKS;
    assert_int_equal(mesh_sealer_init(&to, &config), MESH_EINVAL);
    config.rank_count = MESH_RANKS_MAX + 1;
    assert_int_equal(mesh_sealer_init(&to, &config), MESH_EINVAL);
    config = good;
    config.rank_count = 0;
    assert_int_equal(mesh_sealer_init(&to, &config), MESH_EINVAL);
}

static void releasing_leaves_no_key(void **state)
{
    static const struct mesh_sealer zeros;

    (void)state;
    seal_case_init(&to, 0, MESH_SECURITY_SEAL);
    mesh_sealer_release(&to);
    assert_memory_equal(&to, &zeros, sizeof to);
}

static void every_reason_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (size_t a = 0; a < MESH_SEAL_REFUSALS; a++)
        for (size_t b = 0; b < a; b++)
            assert_string_not_equal(mesh_seal_refusal_name((enum mesh_seal_refusal)a), mesh_seal_refusal_name((enum mesh_seal_refusal)b));
    assert_string_equal(mesh_seal_refusal_name(MESH_SEAL_TAG), "tag");
    assert_string_equal(mesh_seal_refusal_name(MESH_SEAL_REFUSALS), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_other_rank_opens_what_is_for_everybody),
        cmocka_unit_test(what_is_for_one_rank_only_that_one_opens),
        cmocka_unit_test(another_rank_cannot_be_spoken_for),
        cmocka_unit_test(another_epoch_is_named),
        cmocka_unit_test(the_same_epoch_number_of_another_id_is_refused),
        cmocka_unit_test(other_ways_of_security_are_told_apart),
        cmocka_unit_test(what_is_not_of_this_protocol_is_foreign),
        cmocka_unit_test(every_flipped_bit_is_refused_and_counted_once),
        cmocka_unit_test(a_core_drops_what_was_not_opened),
        cmocka_unit_test(without_security_everything_is_passed_on),
        cmocka_unit_test(a_sealer_is_of_an_epoch_and_a_rank_of_it),
        cmocka_unit_test(releasing_leaves_no_key),
        cmocka_unit_test(every_reason_has_a_word_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
