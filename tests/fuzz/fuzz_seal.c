/* Any bytes, and any change of sealed datagrams, given to a sealer with fixed keys: only what a member sealed opens, unchanged.
 *
 * The first byte of the input says how the rest is used: as a datagram from the wire, as the plaintext of a datagram that is sealed and
 * opened, or as changes to a sealed one. */
#include <stdlib.h>
#include <string.h>

#include "mesh/seal.h"
#include "mesh/wire.h"

enum { RANKS = 3, EPOCH = 7, PACKET_MAX = 3000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t incarnations[RANKS][MESH_INCARNATION_BYTES] = {{1}, {2}, {3}};
static struct mesh_sealer from, to;
static enum mesh_security security;
static bool is_aes;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void start(void)
{
    static const struct mesh_key key = {{9, 8, 7}};
    static const uint8_t epoch_id[MESH_EPOCH_ID_BYTES] = {5};
    struct mesh_sealer_config config = {.security = security,
                                        .key = &key,
                                        .cluster = "fuzz",
                                        .epoch = EPOCH,
                                        .epoch_id = epoch_id,
                                        .incarnation = incarnations,
                                        .rank_count = RANKS};

    mesh_sealer_release(&to);
    mesh_sealer_release(&from);
    require(mesh_sealer_init(&to, &config) == 0);
    config.rank = 1;
    require(mesh_sealer_init(&from, &config) == 0);
    if (is_aes && from.aes[1] != NULL)
        from.aes_ranks |= (1 << RANKS) - 1;
}

/* Refused and counted, with no byte changed; otherwise it is exactly what its sender would have sealed. The fuzzer does find such
 * datagrams: it sees what memcmp compares. */
static void receive(const uint8_t *packet, size_t bytes)
{
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1); /* not larger, so that reads beyond the end are detected */
    uint64_t refused = 0;

    require(copy != NULL);
    memcpy(copy, packet, bytes);
    if (mesh_sealer_open(&to, copy, bytes) == 0) {
        copy[4] |= packet[4] & MESH_FLAG_AES_READY;
        require((packet[4] & MESH_FLAG_AES ? mesh_seal_packet_aes(to.aes[copy[6]], security, copy, bytes)
                                           : mesh_seal_packet(&to.keys[copy[6]], security, copy, bytes)) == 0);
    }
    require(memcmp(copy, packet, bytes) == 0);
    for (int i = 0; i < MESH_SEAL_REFUSALS; i++)
        refused += to.refused[i];
    require(refused + to.opened == 1);
    free(copy);
}

/* A header that this rank may write, with fields from the input; returns the datagram's size. */
static size_t write_datagram(uint8_t *packet, const uint8_t *data, size_t size)
{
    const size_t body = size < PACKET_MAX - MESH_HEADER_BYTES ? size : PACKET_MAX - MESH_HEADER_BYTES;
    const bool to_all = size > 0 && (data[0] & 1) != 0;

    memset(packet, 0, MESH_HEADER_BYTES);
    packet[0] = MESH_WIRE_MAGIC & 255;
    packet[1] = MESH_WIRE_MAGIC >> 8;
    packet[2] = MESH_WIRE_VERSION;
    packet[3] = MESH_TYPE_RECORD;
    packet[4] = to_all ? MESH_FLAG_ALL : 0;
    packet[6] = 1;
    packet[8] = packet[9] = to_all ? 255 : 0;
    packet[12] = EPOCH;
    packet[16] = 1;
    packet[17] = size > 1 ? data[1] : 0;
    memcpy(packet + MESH_HEADER_BYTES, data, body);
    return MESH_HEADER_BYTES + body;
}

static void round_trip(const uint8_t *data, size_t size)
{
    uint8_t plain[PACKET_MAX], packet[PACKET_MAX];
    const size_t bytes = write_datagram(plain, data, size);

    memcpy(packet, plain, bytes);
    require(mesh_sealer_seal(&from, packet, bytes) == 0);
    require(mesh_sealer_open(&to, packet, bytes) == 0);
    require(memcmp(packet, plain, bytes) == 0);
}

/* Triples (place, place, value to XOR), then the datagram is cut where the last one says. */
static void change(const uint8_t *data, size_t size)
{
    uint8_t sealed[PACKET_MAX], packet[PACKET_MAX];
    const size_t bytes = write_datagram(sealed, data, size % 300);
    size_t cut = bytes;

    require(mesh_sealer_seal(&from, sealed, bytes) == 0);
    memcpy(packet, sealed, bytes);
    for (; size >= 3; data += 3, size -= 3)
        packet[(size_t)(data[0] | data[1] << 8) % bytes] ^= data[2];
    if (size > 0)
        cut = bytes - data[0] % 8;
    receive(packet, cut);
    require((to.opened == 1) == (cut == bytes && memcmp(packet, sealed, bytes) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!mesh_seal_is_available() || size == 0)
        return 0;
    is_aes = (data[0] & 8) != 0;
    security = (data[0] & 4) != 0 ? MESH_SECURITY_AUTH : MESH_SECURITY_SEAL;
    start();
    switch (data[0] % 4) {
    case 0:
        round_trip(data + 1, size - 1);
        break;
    case 1:
        change(data + 1, size - 1);
        break;
    default:
        receive(data + 1, size - 1);
        break;
    }
    return 0;
}
