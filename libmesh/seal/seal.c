/* Keys of senders, and single datagrams sealed and opened: the only file that includes a header of libsodium.
 *
 * Keys are made with keyed BLAKE2b, datagrams with ChaCha20-Poly1305 as RFC 8439 defines it, or with AES-256-GCM (seal_aes). The header
 * alone determines the nonce and what is covered, see docs/PROTOCOL.md. ChaCha20-Poly1305 is composed here of the library's stream and its
 * authenticator, since at the sizes of tiles that takes half the time of the library's ready-made one; the tests compare the two at every
 * size. */
#include "mesh/seal.h"

#include <assert.h>
#include <string.h>

#include "libmesh/core/mix.h"
#include "mesh/program/byte_order.h"
#include "mesh/wire.h"
#include "seal_aes.h"

enum {
    SEAL_TAG_BYTES = 16,
    SEAL_NONCE_BYTES = 12,
    SEAL_BLOCK_BYTES = 64,
    SEAL_STREAM_BYTES_MAX = 64 * SEAL_BLOCK_BYTES, /* a datagram of an Ethernet frame, and those of small phases on the loopback */
    SEAL_FIELDS_MAX = 8,
    SEAL_INPUT_BYTES_MAX = SEAL_FIELDS_MAX * 2 + 16 + 8 + MESH_CLUSTER_NAME_BYTES_MAX + 4 + 16 + 16
};

/* ---- the library ---- */

#ifdef MESH_HAVE_SODIUM
#include <sodium.h>

_Static_assert(crypto_onetimeauth_poly1305_BYTES == SEAL_TAG_BYTES && crypto_verify_16_BYTES == SEAL_TAG_BYTES, "a tag of 16 bytes");
_Static_assert(crypto_stream_chacha20_ietf_NONCEBYTES == SEAL_NONCE_BYTES, "a nonce of 12 bytes");
_Static_assert(crypto_stream_chacha20_ietf_KEYBYTES == MESH_KEY_BYTES, "a key of 32 bytes");

bool mesh_seal_is_available(void)
{
    return sodium_init() >= 0;
}

static void seal_hash(uint8_t out[MESH_KEY_BYTES], const uint8_t *in, size_t bytes, const struct mesh_key *key)
{
    crypto_generichash(out, MESH_KEY_BYTES, in, bytes, key->bytes, MESH_KEY_BYTES);
}

void mesh_hash16(const void *data, size_t bytes, uint8_t out[16])
{
    crypto_generichash(out, 16, data, bytes, NULL, 0);
}

void mesh_hash32(const void *data, size_t bytes, uint8_t out[32])
{
    crypto_generichash(out, 32, data, bytes, NULL, 0);
}

/* The keystream of a datagram: 64 bytes of which the first 32 are the tag's one-time key, then what its text is XORed with. It is made in
 * whole groups of blocks, which the library computes side by side: a few blocks one after the other take longer than a group. */
struct seal_stream {
    size_t bytes;
    uint8_t at[SEAL_STREAM_BYTES_MAX];
};

static void seal_stream_make(struct seal_stream *stream, size_t text_bytes, const uint8_t nonce[SEAL_NONCE_BYTES],
                             const struct mesh_seal_key *key)
{
    const size_t group = 4 * SEAL_BLOCK_BYTES, needed = (SEAL_BLOCK_BYTES + text_bytes + group - 1) / group * group;

    stream->bytes = text_bytes == 0 ? SEAL_BLOCK_BYTES : needed < SEAL_STREAM_BYTES_MAX ? needed : SEAL_STREAM_BYTES_MAX;
    crypto_stream_chacha20_ietf(stream->at, stream->bytes, nonce, key->bytes);
}

static void seal_stream_xor(const struct seal_stream *stream, uint8_t *text, size_t text_bytes, const uint8_t nonce[SEAL_NONCE_BYTES],
                            const struct mesh_seal_key *key)
{
    const size_t made = stream->bytes - SEAL_BLOCK_BYTES, head = text_bytes < made ? text_bytes : made;
    const uint8_t *with = stream->at + SEAL_BLOCK_BYTES;
    size_t i = 0;

    for (; i + 8 <= head; i += 8) {
        uint64_t a, b;

        memcpy(&a, text + i, 8);
        memcpy(&b, with + i, 8);
        a ^= b;
        memcpy(text + i, &a, 8);
    }
    for (; i < head; i++)
        text[i] ^= with[i];
    if (text_bytes > head) {
        crypto_stream_chacha20_ietf_xor_ic(text + head, text + head, text_bytes - head, nonce, SEAL_STREAM_BYTES_MAX / SEAL_BLOCK_BYTES,
                                           key->bytes);
    }
}

/* Poly1305 over what is covered and the encrypted text, each filled up with zeros to 16 bytes, and both lengths. */
static void seal_tag(const struct seal_stream *stream, const uint8_t *covered, size_t covered_bytes, const uint8_t *text, size_t text_bytes,
                     uint8_t tag[SEAL_TAG_BYTES])
{
    static const uint8_t zeros[SEAL_TAG_BYTES];
    crypto_onetimeauth_poly1305_state state;
    uint8_t lengths[16];

    mesh_little_put(mesh_little_put(lengths, covered_bytes, 8), text_bytes, 8);
    crypto_onetimeauth_poly1305_init(&state, stream->at);
    crypto_onetimeauth_poly1305_update(&state, covered, covered_bytes);
    crypto_onetimeauth_poly1305_update(&state, zeros, -covered_bytes % SEAL_TAG_BYTES);
    crypto_onetimeauth_poly1305_update(&state, text, text_bytes);
    crypto_onetimeauth_poly1305_update(&state, zeros, -text_bytes % SEAL_TAG_BYTES);
    crypto_onetimeauth_poly1305_update(&state, lengths, sizeof lengths);
    crypto_onetimeauth_poly1305_final(&state, tag);
}

static int seal_encrypt(uint8_t *text, size_t text_bytes, uint8_t tag[SEAL_TAG_BYTES], const uint8_t *covered, size_t covered_bytes,
                        const uint8_t nonce[SEAL_NONCE_BYTES], const struct mesh_seal_key *key)
{
    struct seal_stream stream;

    seal_stream_make(&stream, text_bytes, nonce, key);
    seal_stream_xor(&stream, text, text_bytes, nonce, key);
    seal_tag(&stream, covered, covered_bytes, text, text_bytes, tag);
    sodium_memzero(stream.at, stream.bytes);
    return 0;
}

static int seal_decrypt(uint8_t *text, size_t text_bytes, const uint8_t tag[SEAL_TAG_BYTES], const uint8_t *covered, size_t covered_bytes,
                        const uint8_t nonce[SEAL_NONCE_BYTES], const struct mesh_seal_key *key)
{
    struct seal_stream stream;
    uint8_t expected[SEAL_TAG_BYTES];
    int err;

    seal_stream_make(&stream, text_bytes, nonce, key);
    seal_tag(&stream, covered, covered_bytes, text, text_bytes, expected);
    err = crypto_verify_16(tag, expected) == 0 ? 0 : MESH_EAUTH; /* in constant time */
    if (err == 0)
        seal_stream_xor(&stream, text, text_bytes, nonce, key);
    sodium_memzero(stream.at, stream.bytes);
    return err;
}
#else
bool mesh_seal_is_available(void)
{
    return false;
}

void mesh_hash16(const void *data, size_t bytes, uint8_t out[16])
{
    uint64_t words[2] = {bytes, ~(uint64_t)bytes};

    for (size_t i = 0; i < bytes; i++) {
        words[i & 1] = mesh_mix64(words[i & 1] ^ ((const uint8_t *)data)[i]);
        words[~i & 1] ^= words[i & 1];
    }
    words[0] = mesh_mix64(words[0] ^ mesh_mix64(words[1]));
    words[1] = mesh_mix64(words[1] ^ words[0]);
    memcpy(out, words, sizeof words);
}

void mesh_hash32(const void *data, size_t bytes, uint8_t out[32])
{
    mesh_hash16(data, bytes, out);
    mesh_hash16(out, 16, out + 16);
}

/* Not reached: no key is made. */
static void seal_hash(uint8_t out[MESH_KEY_BYTES], const uint8_t *in, size_t bytes, const struct mesh_key *key)
{
    (void)in, (void)bytes, (void)key;
    memset(out, 0, MESH_KEY_BYTES);
}

static int seal_encrypt(uint8_t *text, size_t text_bytes, uint8_t tag[SEAL_TAG_BYTES], const uint8_t *covered, size_t covered_bytes,
                        const uint8_t nonce[SEAL_NONCE_BYTES], const struct mesh_seal_key *key)
{
    (void)text, (void)text_bytes, (void)covered, (void)covered_bytes, (void)nonce, (void)key;
    memset(tag, 0, SEAL_TAG_BYTES);
    return MESH_ESYSTEM;
}

static int seal_decrypt(uint8_t *text, size_t text_bytes, const uint8_t tag[SEAL_TAG_BYTES], const uint8_t *covered, size_t covered_bytes,
                        const uint8_t nonce[SEAL_NONCE_BYTES], const struct mesh_seal_key *key)
{
    (void)text, (void)text_bytes, (void)tag, (void)covered, (void)covered_bytes, (void)nonce, (void)key;
    return MESH_EAUTH;
}
#endif

/* ---- keys ---- */

/* What is hashed: fields, each with its length before it, so that no two lists of fields make the same bytes. */
struct seal_input {
    size_t used;
    uint8_t bytes[SEAL_INPUT_BYTES_MAX];
};

static void seal_field(struct seal_input *input, const void *bytes, size_t count)
{
    assert(count <= UINT16_MAX && input->used + 2 + count <= sizeof input->bytes);
    input->bytes[input->used++] = (uint8_t)count;
    input->bytes[input->used++] = (uint8_t)(count >> 8);
    memcpy(input->bytes + input->used, bytes, count);
    input->used += count;
}

static void seal_purpose(struct seal_input *input, const char *purpose)
{
    static const char protocol[] = "diolkos-mesh-1";

    input->used = 0;
    seal_field(input, protocol, sizeof protocol - 1);
    seal_field(input, purpose, strlen(purpose));
}

static int seal_input_begin(struct seal_input *input, const char *purpose, const char *cluster)
{
    const size_t cluster_bytes = strlen(cluster);

    if (!mesh_seal_is_available())
        return MESH_ESYSTEM;
    if (cluster_bytes > MESH_CLUSTER_NAME_BYTES_MAX)
        return MESH_EINVAL;
    seal_purpose(input, purpose);
    seal_field(input, cluster, cluster_bytes);
    return 0;
}

int mesh_seal_key_of_epoch(struct mesh_seal_key *out, const struct mesh_key *key, const char *cluster, uint32_t epoch,
                           const uint8_t epoch_id[MESH_EPOCH_ID_BYTES], const uint8_t incarnation[MESH_INCARNATION_BYTES])
{
    const uint8_t number[] = {(uint8_t)epoch, (uint8_t)(epoch >> 8), (uint8_t)(epoch >> 16), (uint8_t)(epoch >> 24)};
    struct seal_input input;
    const int err = seal_input_begin(&input, "epoch", cluster);

    if (err != 0)
        return err;
    seal_field(&input, number, sizeof number);
    seal_field(&input, epoch_id, MESH_EPOCH_ID_BYTES);
    seal_field(&input, incarnation, MESH_INCARNATION_BYTES);
    seal_hash(out->bytes, input.bytes, input.used, key);
    return 0;
}

int mesh_seal_key_of_process(struct mesh_seal_key *out, const struct mesh_key *key, const char *cluster,
                             const uint8_t incarnation[MESH_INCARNATION_BYTES])
{
    struct seal_input input;
    const int err = seal_input_begin(&input, "cluster", cluster);

    if (err != 0)
        return err;
    seal_field(&input, incarnation, MESH_INCARNATION_BYTES);
    seal_hash(out->bytes, input.bytes, input.used, key);
    return 0;
}

int mesh_seal_key_of_session(struct mesh_seal_key *out, const struct mesh_key *key, const char *cluster,
                             const uint8_t sender[MESH_INCARNATION_BYTES], const uint8_t receiver[MESH_INCARNATION_BYTES])
{
    struct seal_input input;
    const int err = seal_input_begin(&input, "client", cluster);

    if (err != 0)
        return err;
    seal_field(&input, sender, MESH_INCARNATION_BYTES);
    seal_field(&input, receiver, MESH_INCARNATION_BYTES);
    seal_hash(out->bytes, input.bytes, input.used, key);
    return 0;
}

struct mesh_aes *mesh_aes_new(const struct mesh_seal_key *key)
{
    struct mesh_key with;
    struct seal_input input;
    struct mesh_seal_key made;
    struct mesh_aes *aes;

    if (!mesh_seal_is_available())
        return NULL;
    memcpy(with.bytes, key->bytes, sizeof with.bytes);
    seal_purpose(&input, "aes-256-gcm");
    seal_hash(made.bytes, input.bytes, input.used, &with);
    aes = mesh_aes_of(made.bytes);
    mesh_wipe(&with, sizeof with);
    mesh_wipe(&made, sizeof made);
    return aes;
}

/* ---- datagrams ---- */

#define SEAL_AT(field) offsetof(struct mesh_header_bytes, field)

/* How a datagram is cut, and its nonce. */
struct seal_layout {
    size_t readable; /* bytes from the beginning that are never encrypted */
    uint8_t nonce[SEAL_NONCE_BYTES];
};

static bool seal_lay_out(const uint8_t *packet, size_t bytes, struct seal_layout *layout)
{
    bool is_to_all, has_epoch;
    uint32_t space;

    if (bytes < MESH_HEADER_BYTES)
        return false;
    has_epoch = mesh_little_get(packet + SEAL_AT(epoch), 4) != 0;
    space = (uint32_t)mesh_little_get(packet + SEAL_AT(dst), 2);
    is_to_all = (packet[SEAL_AT(flags)] & MESH_FLAG_ALL) != 0;
    layout->readable = MESH_HEADER_BYTES + (has_epoch ? 0 : MESH_INCARNATION_BYTES);
    if (bytes < layout->readable || mesh_little_get(packet + SEAL_AT(number), 8) == 0 ||
        (has_epoch && is_to_all != (space == MESH_DST_ALL)))
        return false;
    if (!has_epoch)
        space = 0;
    mesh_little_put(layout->nonce, space, 4);
    memcpy(layout->nonce + 4, packet + SEAL_AT(number), 8);
    return true;
}

static uint8_t seal_flags(enum mesh_security security, bool is_aes)
{
    return (uint8_t)((security == MESH_SECURITY_SEAL   ? MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED
                      : security == MESH_SECURITY_AUTH ? MESH_FLAG_AUTHENTICATED
                                                       : 0) |
                     (is_aes ? MESH_FLAG_AES : 0));
}

/* With aes, or with key where that is NULL. */
static int seal_packet(const struct mesh_seal_key *key, struct mesh_aes *aes, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    struct seal_layout layout;
    uint8_t tag[SEAL_TAG_BYTES];
    size_t covered = bytes;
    int err;

    if (security == MESH_SECURITY_NONE)
        return 0;
    if (!seal_lay_out(packet, bytes, &layout))
        return MESH_EINVAL;
    if (security == MESH_SECURITY_SEAL)
        covered = layout.readable;
    packet[SEAL_AT(flags)] |= seal_flags(security, aes != NULL);
    memset(packet + SEAL_AT(tag), 0, sizeof tag);
    err = aes != NULL ? mesh_aes_encrypt(aes, packet + covered, bytes - covered, tag, packet, covered, layout.nonce)
                      : seal_encrypt(packet + covered, bytes - covered, tag, packet, covered, layout.nonce, key);
    memcpy(packet + SEAL_AT(tag), tag, sizeof tag);
    return err;
}

static int open_packet(const struct mesh_seal_key *key, struct mesh_aes *aes, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    const uint8_t kind = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED | MESH_FLAG_AES;
    struct seal_layout layout;
    uint8_t tag[SEAL_TAG_BYTES];
    size_t covered = bytes;
    int err;

    if (security == MESH_SECURITY_NONE)
        return 0;
    if (!seal_lay_out(packet, bytes, &layout) || (packet[SEAL_AT(flags)] & kind) != seal_flags(security, aes != NULL))
        return MESH_EAUTH;
    if (security == MESH_SECURITY_SEAL)
        covered = layout.readable;
    memcpy(tag, packet + SEAL_AT(tag), sizeof tag);
    memset(packet + SEAL_AT(tag), 0, sizeof tag);
    err = aes != NULL ? mesh_aes_decrypt(aes, packet + covered, bytes - covered, tag, packet, covered, layout.nonce)
                      : seal_decrypt(packet + covered, bytes - covered, tag, packet, covered, layout.nonce, key);
    if (err != 0) {
        memcpy(packet + SEAL_AT(tag), tag, sizeof tag);
        return err;
    }
    packet[SEAL_AT(flags)] &= (uint8_t)~MESH_FLAGS_OF_SEALING;
    return 0;
}

int mesh_seal_packet(const struct mesh_seal_key *key, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    return seal_packet(key, NULL, security, packet, bytes);
}

int mesh_open_packet(const struct mesh_seal_key *key, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    return open_packet(key, NULL, security, packet, bytes);
}

int mesh_seal_packet_aes(struct mesh_aes *aes, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    assert(aes != NULL);
    return seal_packet(NULL, aes, security, packet, bytes);
}

int mesh_open_packet_aes(struct mesh_aes *aes, enum mesh_security security, uint8_t *packet, size_t bytes)
{
    assert(aes != NULL);
    return open_packet(NULL, aes, security, packet, bytes);
}
