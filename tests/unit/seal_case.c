#include "seal_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/wire.h"

#define SIXTEEN(n)                                                                                                       \
    {                                                                                                                    \
        n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, n + 10, n + 11, n + 12, n + 13, n + 14, n + 15 \
    }

const char seal_case_cluster[] = "harbour";
const uint8_t seal_case_epoch_id[MESH_EPOCH_ID_BYTES] = SIXTEEN(0x40);
const uint8_t seal_case_incarnation[SEAL_CASE_RANKS][MESH_INCARNATION_BYTES] = {SIXTEEN(0x70), SIXTEEN(0x80), SIXTEEN(0x90), SIXTEEN(0xa0)};

struct mesh_key seal_case_key(void)
{
    struct mesh_key key;

    for (uint8_t i = 0; i < MESH_KEY_BYTES; i++)
        key.bytes[i] = i;
    return key;
}

void seal_case_init(struct mesh_sealer *sealer, uint16_t rank, enum mesh_security security)
{
    const struct mesh_key key = seal_case_key();
    const struct mesh_sealer_config config = {.security = security,
                                              .key = &key,
                                              .cluster = seal_case_cluster,
                                              .epoch = SEAL_CASE_EPOCH,
                                              .epoch_id = seal_case_epoch_id,
                                              .incarnation = seal_case_incarnation,
                                              .rank = rank,
                                              .rank_count = SEAL_CASE_RANKS,
                                              .has_no_aes = true};

    if (!mesh_seal_is_available()) {
        print_message("built without libsodium\n");
        skip();
    }
    assert_int_equal(mesh_sealer_init(sealer, &config), 0);
}

size_t seal_case_record(uint8_t *packet, uint16_t dst, uint64_t number, size_t bytes)
{
    uint8_t data[2000];
    const struct mesh_message message = {.header = {.magic = MESH_WIRE_MAGIC,
                                                    .version = MESH_WIRE_VERSION,
                                                    .type = MESH_TYPE_RECORD,
                                                    .flags = dst == MESH_DST_ALL ? MESH_FLAG_ALL : 0,
                                                    .src = 1,
                                                    .dst = dst,
                                                    .epoch = SEAL_CASE_EPOCH,
                                                    .number = number,
                                                    .have_step = MESH_STEP_NONE,
                                                    .sent_ns = 123456789},
                                         .as.record = {.sequence = 1, .next = 1, .fragment = 3},
                                         .data = data,
                                         .data_bytes = bytes};

    assert_true(bytes > 0 && bytes <= sizeof data);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 7 + 1);
    return mesh_wire_encode(&message, packet, MESH_RECORD_OVERHEAD_BYTES + bytes);
}

size_t seal_case_from_hex(const char *hex, uint8_t *out)
{
    size_t bytes = strlen(hex) / 2;

    for (size_t i = 0; i < bytes; i++) {
        const char pair[] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return bytes;
}
