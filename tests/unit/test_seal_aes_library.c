/* The libraries for AES-256-GCM that this build has, one by one: how they start, and that all give the same bytes at every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "libmesh/seal/seal_aes_library.h"
#include "mesh/err.h"

#ifdef MESH_HAVE_SODIUM
#include <sodium.h>
#endif

enum { EVERY_SIZE_BELOW = 2300, COVERED_MAX = 70 };

static const size_t larger[] = {4095, 4096, 4097, 8952, 32000, 65507};
static uint8_t key[MESH_AES_KEY_BYTES] = {9, 8, 7, 6, 5}, nonce[MESH_AES_NONCE_BYTES] = {3, 0, 0, 0, 1}, covered[COVERED_MAX];

/* The first of all tests, so that the library has not started yet. It would call abort(). */
static void without_a_free_descriptor_libgcrypt_is_tried_again_later(void **state)
{
    struct rlimit limit, none;
    bool seals, opens;
    int err;

    (void)state;
    if (mesh_aes_gcrypt == NULL)
        skip();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    err = mesh_aes_try(mesh_aes_gcrypt, &seals, &opens);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(err, MESH_AGAIN);
    assert_false(seals || opens);
    assert_int_equal(mesh_aes_try(mesh_aes_gcrypt, &seals, &opens), 0);
    assert_true(opens);
}

/* The one that is faster comes first. */
static void a_process_uses_the_first_library_that_starts(void **state)
{
    bool seals = false, opens = false;

    (void)state;
    if (mesh_aes_ipsec_mb == NULL || mesh_aes_try(mesh_aes_ipsec_mb, &seals, &opens) != 0) {
        skip();
        return;
    }
    assert_true(seals && opens);
    assert_true(mesh_aes_ipsec_mb->has_instructions());
    assert_true(mesh_aes_is_fast());
    assert_string_equal(mesh_aes_library(), "libipsec-mb");
}

static void fill(uint8_t *text, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++)
        text[k] = (uint8_t)(k * 13 + bytes);
}

/* What the other implementation makes of it: libsodium's, or without that the last library's. */
static void expect(uint8_t *text, size_t bytes, size_t covered_bytes, uint8_t tag[MESH_AES_TAG_BYTES])
{
#ifdef MESH_HAVE_SODIUM
    crypto_aead_aes256gcm_encrypt_detached(text, tag, NULL, text, bytes, covered, covered_bytes, NULL, nonce, key);
#else
    struct mesh_aes *aes = mesh_aes_gcrypt->open(key);

    assert_int_equal(mesh_aes_gcrypt->encrypt(aes, text, bytes, tag, covered, covered_bytes, nonce), 0);
    mesh_aes_gcrypt->close(aes);
#endif
}

static bool has_another(void)
{
#ifdef MESH_HAVE_SODIUM
    return sodium_init() >= 0 && crypto_aead_aes256gcm_is_available();
#else
    bool seals = false, opens = false;

    return mesh_aes_gcrypt != NULL && mesh_aes_try(mesh_aes_gcrypt, &seals, &opens) == 0 && seals;
#endif
}

static void compare(const struct mesh_aes_library *library, struct mesh_aes *aes, size_t bytes, size_t covered_bytes, size_t shift)
{
    static uint8_t room[65536 + 64], expected[65536];
    uint8_t *text = room + shift, tag[MESH_AES_TAG_BYTES], expected_tag[MESH_AES_TAG_BYTES];

    fill(text, bytes);
    fill(expected, bytes);
    expect(expected, bytes, covered_bytes, expected_tag);
    assert_int_equal(library->encrypt(aes, text, bytes, tag, covered, covered_bytes, nonce), 0);
    assert_memory_equal(text, expected, bytes);
    assert_memory_equal(tag, expected_tag, sizeof tag);
    tag[bytes % sizeof tag] ^= (uint8_t)(1u << bytes % 8);
    assert_int_equal(library->decrypt(aes, text, bytes, tag, covered, covered_bytes, nonce), MESH_EAUTH);
    assert_memory_equal(text, expected, bytes);
    assert_int_equal(library->decrypt(aes, text, bytes, expected_tag, covered, covered_bytes, nonce), 0);
    fill(expected, bytes);
    assert_memory_equal(text, expected, bytes);
}

static void compare_all(const struct mesh_aes_library *library)
{
    bool seals = false, opens = false;
    struct mesh_aes *aes;

    if (library == NULL || !has_another() || mesh_aes_try(library, &seals, &opens) != 0) {
        skip();
        return;
    }
    assert_true(seals && opens);
    for (size_t k = 0; k < sizeof covered; k++)
        covered[k] = (uint8_t)(200 - k);
    aes = library->open(key);
    assert_non_null(aes);
    for (size_t bytes = 1; bytes < EVERY_SIZE_BELOW; bytes++)
        compare(library, aes, bytes, bytes % 2 == 0 ? 40 : bytes % (COVERED_MAX + 1), bytes % 64);
    for (size_t i = 0; i < sizeof larger / sizeof *larger; i++)
        compare(library, aes, larger[i], 40, i);
    for (size_t bytes = 0; bytes <= COVERED_MAX; bytes++) /* nothing but what is covered: datagrams that are only authenticated */
        compare(library, aes, 0, bytes, 0);
    library->close(aes);
}

static void ipsec_mb_gives_the_bytes_of_another_library(void **state)
{
    (void)state;
    compare_all(mesh_aes_ipsec_mb);
}

static void libgcrypt_gives_the_bytes_of_another_library(void **state)
{
    (void)state;
    compare_all(mesh_aes_gcrypt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_free_descriptor_libgcrypt_is_tried_again_later),
        cmocka_unit_test(a_process_uses_the_first_library_that_starts),
        cmocka_unit_test(ipsec_mb_gives_the_bytes_of_another_library),
        cmocka_unit_test(libgcrypt_gives_the_bytes_of_another_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
