/* FIPS mode of libgcrypt, which does not seal with a nonce of the caller's: this process does not announce AES, but still opens
 * captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"
#include "seal_case.h"

enum { PACKET_MAX = 100 };

/* As in test_seal_aes: the PING of docs/PROTOCOL.md, and the sender's key there. */
static const char sender_key[] = "81a713e25a42c9ecf63cc68c874bb135145795a128b1367025badb6615b0bfd2";
static const char plain_ping[] = "446d010a0000010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
                                 "0000000000000000000000000000000015cd5b0700000000";
static const char sealed_ping[] = "446d010a2c00010000000000070000000500000000000000ffffffffffffffff15cd5b0700000000"
                                  "b245d76cce62b4b00e7511d9d02fb9ab91d865383327824e";

/* Before the library starts. */
static int ask_for_fips_mode(void **state)
{
    (void)state;
    return setenv("LIBGCRYPT_FORCE_FIPS_MODE", "1", 1);
}

static struct mesh_aes *open_aes(void)
{
    struct mesh_seal_key key;

    if (!mesh_seal_is_available() || !mesh_aes_is_available()) {
        print_message("built without libsodium or libgcrypt\n");
        skip();
    }
    seal_case_from_hex(sender_key, key.bytes);
    return mesh_aes_new(&key);
}

static void nothing_is_sealed_with_aes(void **state)
{
    uint8_t packet[PACKET_MAX];
    struct mesh_aes *aes = open_aes();

    (void)state;
    assert_false(mesh_aes_is_fast());
    assert_int_equal(mesh_seal_packet_aes(aes, MESH_SECURITY_SEAL, packet, seal_case_from_hex(plain_ping, packet)), MESH_ESYSTEM);
    mesh_aes_free(aes);
}

static void datagrams_are_opened(void **state)
{
    uint8_t packet[PACKET_MAX], plain[PACKET_MAX];
    struct mesh_aes *aes = open_aes();
    const size_t bytes = seal_case_from_hex(sealed_ping, packet);

    (void)state;
    seal_case_from_hex(plain_ping, plain);
    assert_int_equal(mesh_open_packet_aes(aes, MESH_SECURITY_SEAL, packet, bytes), 0);
    assert_memory_equal(packet, plain, bytes);
    mesh_aes_free(aes);
}

static void what_does_not_open_is_as_it_was(void **state)
{
    uint8_t sealed[PACKET_MAX], packet[PACKET_MAX], before[PACKET_MAX];
    struct mesh_aes *aes = open_aes();
    const size_t bytes = seal_case_from_hex(sealed_ping, sealed);

    (void)state;
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        memcpy(packet, sealed, bytes);
        packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memcpy(before, packet, bytes);
        assert_int_equal(mesh_open_packet_aes(aes, MESH_SECURITY_SEAL, packet, bytes), MESH_EAUTH);
        assert_memory_equal(packet, before, bytes);
    }
    mesh_aes_free(aes);
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
