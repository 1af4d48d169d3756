/* Keys of senders, and datagrams authenticated or sealed under them, on the way between core and socket.
 *
 * Every sender has a key of its own, derived from the cluster's pre-shared key and from values that never repeat: its process's incarnation
 * and, in the mesh layer, the epoch. The nonce under a key is the datagram's number in its space, which the core never uses twice. So run
 * one endpoint per epoch, seal each of its datagrams once, and send the result to any number of receivers. docs/PROTOCOL.md (Keys) has
 * every byte.
 *
 * Without libsodium at build time nothing can be sealed: mesh_seal_is_available is false, and MESH_SECURITY_NONE is all there is. */
#ifndef MESH_SEAL_H
#define MESH_SEAL_H

#include <stdbool.h>

#include "mesh/key.h"
#include "mesh/mesh.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mesh_security {
    MESH_SECURITY_NONE, /* datagrams as the core writes them */
    MESH_SECURITY_AUTH, /* readable, and proved to be of their sender */
    MESH_SECURITY_SEAL  /* the header readable, what follows it encrypted, all of it proved */
};

enum { MESH_INCARNATION_BYTES = 16, MESH_EPOCH_ID_BYTES = 16, MESH_CLUSTER_NAME_BYTES_MAX = 64 };

/* Whether the library is built with libsodium, and libsodium starts. */
bool mesh_seal_is_available(void);

/* 128 bits of BLAKE2b. Without libsodium a mixing function that guards against accidents only, which is all that MESH_SECURITY_NONE on the
 * loopback needs. */
void mesh_hash16(const void *data, size_t bytes, uint8_t out[16]);

/* 256 bits of the same, to recognise equal bytes from different sources. Without libsodium as above, and not the same hash. */
void mesh_hash32(const void *data, size_t bytes, uint8_t out[32]);

/* ---- keys ---- */

/* A sender's key. Wipe it (mesh_wipe) when it is no longer needed. */
struct mesh_seal_key {
    uint8_t bytes[MESH_KEY_BYTES];
};

/* Of a member in an epoch. cluster: the cluster's name, at most MESH_CLUSTER_NAME_BYTES_MAX bytes.
 * All three: MESH_EINVAL when the name is too long, MESH_ESYSTEM when nothing can be sealed here. */
int mesh_seal_key_of_epoch(struct mesh_seal_key *out, const struct mesh_key *key, const char *cluster, uint32_t epoch,
                           const uint8_t epoch_id[MESH_EPOCH_ID_BYTES], const uint8_t incarnation[MESH_INCARNATION_BYTES]);

/* Of a process, for what it says outside of epochs (header.epoch 0). */
int mesh_seal_key_of_process(struct mesh_seal_key *out, const struct mesh_key *key, const char *cluster,
                             const uint8_t incarnation[MESH_INCARNATION_BYTES]);

/* Of one direction of a client's session: each side has its own, so their numbers may be equal. The node's incarnation is one that it drew
 * for this session. */
int mesh_seal_key_of_session(struct mesh_seal_key *out, const struct mesh_key *key, const char *cluster,
                             const uint8_t sender[MESH_INCARNATION_BYTES], const uint8_t receiver[MESH_INCARNATION_BYTES]);

/* ---- single datagrams ---- */

/* Seal a datagram in place: its flags, tag and, with MESH_SECURITY_SEAL, what follows the header change, its size does not. Of datagrams
 * outside of epochs the 16 bytes after the header, the sender's incarnation, stay readable. Nonce and space are read from the header.
 * MESH_EINVAL: shorter than that, or without a number of its own (the answer to a stranger): not to be sent. */
int mesh_seal_packet(const struct mesh_seal_key *key, enum mesh_security security, uint8_t *packet, size_t bytes);

/* Open one in place: afterwards it is as the core wrote it. MESH_EAUTH: not sealed in this way under this key; then nothing has changed.
 * Takes the same time wherever the tag differs. Any content, any alignment. With MESH_SECURITY_NONE both leave
 * it as it is. */
int mesh_open_packet(const struct mesh_seal_key *key, enum mesh_security security, uint8_t *packet, size_t bytes);

/* ---- AES ---- */

/* AES-256-GCM instead of ChaCha20-Poly1305 takes a sixth to a third of the time where the processor has instructions for it, more
 * elsewhere. So members of an epoch use it when all of them have those (struct mesh_sealer sees to that). MESH_FLAG_AES tells the two
 * apart. */

bool mesh_aes_is_available(void);   /* built with a library for it, which opens datagrams. Starts it (libgcrypt: unless the program has) */
bool mesh_aes_is_fast(void);        /* and it seals them (libgcrypt: not in FIPS mode), by this processor's instructions for AES and GCM */
const char *mesh_aes_library(void); /* which library that is: "libipsec-mb" or "libgcrypt"; NULL: not available */

/* A sender's key made ready for AES, for one thread at a time: the AES key is derived from it, as no key may serve two ciphers. NULL: no
 * memory, or not available. */
struct mesh_aes;
struct mesh_aes *mesh_aes_new(const struct mesh_seal_key *key);
void mesh_aes_free(struct mesh_aes *aes); /* wipes it; NULL is fine */

/* As mesh_seal_packet and mesh_open_packet. Opening takes only datagrams with MESH_FLAG_AES, mesh_open_packet only those without.
 * MESH_ESYSTEM of sealing: the library does not seal (FIPS mode), and packet must not be sent. */
int mesh_seal_packet_aes(struct mesh_aes *aes, enum mesh_security security, uint8_t *packet, size_t bytes);
int mesh_open_packet_aes(struct mesh_aes *aes, enum mesh_security security, uint8_t *packet, size_t bytes);

/* ---- an epoch ---- */

/* Why a datagram was not opened, in the order of the checks. */
enum mesh_seal_refusal {
    MESH_SEAL_FOREIGN, /* not of this protocol */
    MESH_SEAL_PLAIN,   /* not authenticated at all: the sender has no key, or runs with security none */
    MESH_SEAL_MODE,    /* authenticated where sealed is expected, or the other way round */
    MESH_SEAL_EPOCH,   /* of another epoch */
    MESH_SEAL_SENDER,  /* not from another member, or for another one */
    MESH_SEAL_TAG,     /* the tag does not fit: another key, or changed on the way */
    MESH_SEAL_REFUSALS
};

/* One word for people and for counters' names: "foreign", "plain", "mode", "epoch", "sender", "tag"; "?" for another
 * value. */
const char *mesh_seal_refusal_name(enum mesh_seal_refusal refusal);

struct mesh_sealer_config {
    enum mesh_security security;
    const struct mesh_key *key; /* not read for MESH_SECURITY_NONE; borrowed for the call, like all of these */
    const char *cluster;
    uint32_t epoch;                                       /* 1 or more */
    const uint8_t *epoch_id;                              /* (MESH_EPOCH_ID_BYTES) */
    const uint8_t (*incarnation)[MESH_INCARNATION_BYTES]; /* (rank_count) */
    uint16_t rank, rank_count;
    bool has_no_aes; /* neither use AES nor say that it could be used */
};

/* The keys of all ranks of an epoch, and what was done with them. One owner at a time, like the endpoint it goes with. Not to be copied. */
struct mesh_sealer {
    enum mesh_security security;
    uint32_t epoch;
    uint8_t epoch_id[MESH_EPOCH_ID_BYTES];
    uint16_t rank, rank_count;
    struct mesh_seal_key keys[MESH_RANKS_MAX]; /* (rank_count) */
    struct mesh_aes *aes[MESH_RANKS_MAX];      /* (rank_count), owned; NULL: AES is not for this rank */
    uint64_t aes_ranks;                        /* ranks known to compute AES in hardware. Once all are, it is used */
    uint64_t sealed, opened, refused[MESH_SEAL_REFUSALS];
};

/* MESH_EINVAL: config breaks a rule; MESH_ESYSTEM: nothing can be sealed here. */
int mesh_sealer_init(struct mesh_sealer *sealer, const struct mesh_sealer_config *config);
void mesh_sealer_release(struct mesh_sealer *sealer); /* wipes the keys; all zeros is fine */

/* Seal a datagram that this rank's endpoint wrote. MESH_EINVAL: it has no number of its own, do not send it. */
int mesh_sealer_seal(struct mesh_sealer *sealer, uint8_t *packet, size_t bytes);

/* Whether what is sealed from now on is sealed with AES: all ranks have said that they compute it in hardware. Any thread. */
bool mesh_sealer_uses_aes(const struct mesh_sealer *sealer);

/* Open a received datagram. 0, or why it was not opened (counted in refused): what mesh_wire_decode_header says of it, MESH_EEPOCH,
 * MESH_ESENDER or MESH_EAUTH. Then it is not for the core. With MESH_SECURITY_NONE everything is passed on as it is. */
int mesh_sealer_open(struct mesh_sealer *sealer, uint8_t *packet, size_t bytes);

/* ---- the key log ---- */

/* Keys as lines of text, hexadecimal except for the rank, appended to a file that nobody else may read (made with mode 0600). It opens
 * captures of what was sent under these keys, and nothing else.
 *   MESH_EPOCH <epoch id> <rank> <sender's key>
 *   MESH_PROCESS <incarnation> <sender's key>
 *   MESH_SESSION <sender's incarnation> <receiver's incarnation> <sender's key> */
struct mesh_key_log {
    int fd;
    bool has_failed; /* keys are missing: a line could not be written, or the file not be closed. Later lines are tried all the same */
    int error;       /* errno of the first failure */
};

/* MESH_EINVAL: others may read the file; MESH_ESYSTEM: it cannot be written. Either way reason says why, and what to do. */
int mesh_key_log_open(struct mesh_key_log *log, const char *path, char *reason, size_t reason_bytes);
void mesh_key_log_close(struct mesh_key_log *log);

/* Each in one piece, so that several processes may share a log. MESH_ESYSTEM: errno. */
int mesh_key_log_epoch(struct mesh_key_log *log, const struct mesh_sealer *sealer); /* all ranks; nothing with MESH_SECURITY_NONE */
int mesh_key_log_process(struct mesh_key_log *log, const uint8_t incarnation[MESH_INCARNATION_BYTES], const struct mesh_seal_key *key);
int mesh_key_log_session(struct mesh_key_log *log, const uint8_t sender[MESH_INCARNATION_BYTES],
                         const uint8_t receiver[MESH_INCARNATION_BYTES], const struct mesh_seal_key *key);

/* Open, append an epoch, close; with MESH_SECURITY_NONE nothing, and no file. Errors as of mesh_key_log_open. */
int mesh_key_log_append(const char *path, const struct mesh_sealer *sealer, char *reason, size_t reason_bytes);

#ifdef __cplusplus
}
#endif

#endif
