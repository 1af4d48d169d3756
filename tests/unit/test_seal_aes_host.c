/* A program that links libmesh and uses libgcrypt itself, started with its own settings: without AES instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "seal_case.h"

#ifdef MESH_HAVE_GCRYPT
#include <gcrypt.h>

/* Once in a process, and before anything else. */
static int start_library(void **state)
{
    (void)state;
    gcry_control(GCRYCTL_DISABLE_HWF, "intel-aesni", NULL); /* on another architecture libgcrypt refuses it */
    gcry_control(GCRYCTL_DISABLE_HWF, "arm-aes", NULL);
    assert_non_null(gcry_check_version(GCRYPT_VERSION));
    gcry_control(GCRYCTL_INIT_SECMEM, 16384, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    return 0;
}
#else
static int start_library(void **state)
{
    (void)state;
    return 0;
}
#endif

static void members_seal_without_aes_where_the_library_has_no_instructions(void **state)
{
    const struct mesh_key key = seal_case_key();
    const struct mesh_sealer_config config = {.security = MESH_SECURITY_SEAL,
                                              .key = &key,
                                              .cluster = seal_case_cluster,
                                              .epoch = SEAL_CASE_EPOCH,
                                              .epoch_id = seal_case_epoch_id,
                                              .incarnation = seal_case_incarnation,
                                              .rank_count = SEAL_CASE_RANKS};
    struct mesh_sealer sealer;

    (void)state;
    assert_false(mesh_aes_is_fast());
    if (!mesh_seal_is_available())
        skip();
    assert_int_equal(mesh_sealer_init(&sealer, &config), 0);
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++)
        assert_null(sealer.aes[rank]);
    mesh_sealer_release(&sealer);
}

/* As for opening captures. */
static void single_datagrams_are_sealed_and_opened_all_the_same(void **state)
{
    static const struct mesh_seal_key some_key = {{1, 2, 3}};
    uint8_t packet[400], plain[400];
    const size_t bytes = seal_case_record(plain, 0, 9, 300);
    struct mesh_aes *aes;

    (void)state;
    if (!mesh_seal_is_available() || !mesh_aes_is_available())
        skip();
    seal_case_record(packet, 0, 9, 300);
    aes = mesh_aes_new(&some_key);
    assert_non_null(aes);
    assert_int_equal(mesh_seal_packet_aes(aes, MESH_SECURITY_SEAL, packet, bytes), 0);
    assert_memory_not_equal(packet, plain, bytes);
    assert_int_equal(mesh_open_packet_aes(aes, MESH_SECURITY_SEAL, packet, bytes), 0);
    assert_memory_equal(packet, plain, bytes);
    mesh_aes_free(aes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_seal_without_aes_where_the_library_has_no_instructions),
        cmocka_unit_test(single_datagrams_are_sealed_and_opened_all_the_same),
    };

    return cmocka_run_group_tests(tests, start_library, NULL);
}
