/* A program that links libmesh and uses libgcrypt itself, started with its own settings: without AES instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libmesh/seal/seal_aes_library.h"
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

static void members_do_not_seal_with_it_where_it_has_no_instructions(void **state)
{
    const struct mesh_key key = seal_case_key();
    const struct mesh_sealer_config config = {.security = MESH_SECURITY_SEAL,
                                              .key = &key,
                                              .cluster = seal_case_cluster,
                                              .epoch = SEAL_CASE_EPOCH,
                                              .epoch_id = seal_case_epoch_id,
                                              .incarnation = seal_case_incarnation,
                                              .rank_count = SEAL_CASE_RANKS};
    bool seals = false, opens = false;
    struct mesh_sealer sealer;

    (void)state;
    if (mesh_aes_gcrypt != NULL) {
        assert_int_equal(mesh_aes_try(mesh_aes_gcrypt, &seals, &opens), 0);
        assert_false(mesh_aes_gcrypt->has_instructions());
    }
    if (mesh_aes_ipsec_mb != NULL && mesh_aes_try(mesh_aes_ipsec_mb, &seals, &opens) == 0)
        skip(); /* the other library has them */
    assert_false(mesh_aes_is_fast());
    if (!mesh_seal_is_available())
        skip();
    assert_int_equal(mesh_sealer_init(&sealer, &config), 0);
    for (uint16_t rank = 0; rank < SEAL_CASE_RANKS; rank++)
        assert_null(sealer.aes[rank]);
    mesh_sealer_release(&sealer);
}

/* As for opening captures. */
static void texts_are_sealed_and_opened_all_the_same(void **state)
{
    static const uint8_t key[MESH_AES_KEY_BYTES] = {1, 2, 3}, nonce[MESH_AES_NONCE_BYTES] = {4};
    uint8_t text[300] = {5}, plain[sizeof text] = {5}, tag[MESH_AES_TAG_BYTES];
    bool seals = false, opens = false;
    struct mesh_aes *aes;

    (void)state;
    if (mesh_aes_gcrypt == NULL)
        skip();
    assert_int_equal(mesh_aes_try(mesh_aes_gcrypt, &seals, &opens), 0);
    assert_true(seals && opens);
    aes = mesh_aes_gcrypt->open(key);
    assert_non_null(aes);
    assert_int_equal(mesh_aes_gcrypt->encrypt(aes, text, sizeof text, tag, key, sizeof key, nonce), 0);
    assert_memory_not_equal(text, plain, sizeof text);
    assert_int_equal(mesh_aes_gcrypt->decrypt(aes, text, sizeof text, tag, key, sizeof key, nonce), 0);
    assert_memory_equal(text, plain, sizeof text);
    mesh_aes_gcrypt->close(aes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_do_not_seal_with_it_where_it_has_no_instructions),
        cmocka_unit_test(texts_are_sealed_and_opened_all_the_same),
    };

    return cmocka_run_group_tests(tests, start_library, NULL);
}
