/* FIPS mode of libgcrypt, which does not seal with a nonce of the caller's: a process with no other library does not announce AES, but
 * still opens captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libmesh/seal/seal_aes_library.h"
#include "mesh/err.h"

/* Test case 16 of the authors of GCM. */
static const uint8_t key[MESH_AES_KEY_BYTES] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f,
                                                0x94, 0x67, 0x30, 0x83, 0x08, 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65,
                                                0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
static const uint8_t nonce[MESH_AES_NONCE_BYTES] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
static const uint8_t covered[] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                  0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
static const uint8_t plain[] = {0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
                                0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
                                0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
                                0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
static const uint8_t sealed[sizeof plain] = {0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42,
                                             0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55,
                                             0xd1, 0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56,
                                             0x82, 0x88, 0x38, 0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62};
static const uint8_t tag[MESH_AES_TAG_BYTES] = {0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68,
                                                0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b};

/* Before the library starts. */
static int ask_for_fips_mode(void **state)
{
    (void)state;
    return setenv("LIBGCRYPT_FORCE_FIPS_MODE", "1", 1);
}

static struct mesh_aes *open_aes(void)
{
    bool seals = false, opens = false;

    if (mesh_aes_gcrypt == NULL) {
        print_message("built without libgcrypt\n");
        skip();
    }
    assert_int_equal(mesh_aes_try(mesh_aes_gcrypt, &seals, &opens), 0);
    assert_false(seals);
    assert_true(opens);
    return mesh_aes_gcrypt->open(key);
}

static void nothing_is_sealed_with_aes(void **state)
{
    struct mesh_aes *aes = open_aes();
    uint8_t text[sizeof plain], made[MESH_AES_TAG_BYTES];

    (void)state;
    memcpy(text, plain, sizeof text);
    assert_int_equal(mesh_aes_gcrypt->encrypt(aes, text, sizeof text, made, covered, sizeof covered, nonce), MESH_ESYSTEM);
    mesh_aes_gcrypt->close(aes);
}

static void datagrams_are_opened(void **state)
{
    struct mesh_aes *aes = open_aes();
    uint8_t text[sizeof sealed];

    (void)state;
    memcpy(text, sealed, sizeof text);
    assert_int_equal(mesh_aes_gcrypt->decrypt(aes, text, sizeof text, tag, covered, sizeof covered, nonce), 0);
    assert_memory_equal(text, plain, sizeof text);
    mesh_aes_gcrypt->close(aes);
}

static void what_does_not_open_is_as_it_was(void **state)
{
    struct mesh_aes *aes = open_aes();

    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        uint8_t text[sizeof sealed], before[sizeof sealed];

        memcpy(text, sealed, sizeof text);
        text[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memcpy(before, text, sizeof before);
        assert_int_equal(mesh_aes_gcrypt->decrypt(aes, text, sizeof text, tag, covered, sizeof covered, nonce), MESH_EAUTH);
        assert_memory_equal(text, before, sizeof text);
    }
    mesh_aes_gcrypt->close(aes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sealed_with_aes),
        cmocka_unit_test(datagrams_are_opened),
        cmocka_unit_test(what_does_not_open_is_as_it_was),
    };

    return cmocka_run_group_tests(tests, ask_for_fips_mode, NULL);
}
