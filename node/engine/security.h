/* Protection of a run's datagrams: the run's own key, shared by its nodes, and one node's sealer.
 *
 * Key, epoch id and incarnations are drawn once, before the nodes become processes of their own; none of them ever repeats, so no run can
 * reuse a nonce of another. The key is wiped as soon as the senders' keys are derived from it. */
#ifndef NODE_SECURITY_H
#define NODE_SECURITY_H

#include "mesh/program/fail.h"
#include "mesh/seal.h"

struct security {
    struct mesh_key key; /* zeros after security_start */
    uint8_t epoch_id[MESH_EPOCH_ID_BYTES];
    uint8_t incarnation[MESH_RANKS_MAX][MESH_INCARNATION_BYTES];
    bool has_no_aes; /* set before security_start: --cipher chacha20 */
    struct mesh_sealer sealer;
};

/* The words of --security, in the order of enum mesh_security, NULL last. */
extern const char *const security_words[];

/* The words of --cipher, NULL last. */
enum security_cipher { SECURITY_CIPHER_AUTO, SECURITY_CIPHER_CHACHA20 };
extern const char *const security_cipher_words[];

/* Check --security (has_security: it was given) and --key (NULL: it was not) against one another; else -1 after fail_set. */
int security_check_key(bool has_security, int security, const char *key_path, struct fail *fail);

/* The cipher that a sealer uses now: "none", "chacha20-poly1305" or "aes-256-gcm". */
const char *security_cipher_name(const struct mesh_sealer *sealer);

/* What nodes with a key seal with at best, and which library computes it, in a few words. */
enum { SECURITY_MEANS_BYTES = 120 };
const char *security_means(char text[SECURITY_MEANS_BYTES]);

/* Draw everything, for the maximum number of ranks. */
int security_draw(struct security *security, struct fail *fail);

/* In the process of a rank: make the sealer for the epoch of that number, wipe the key. */
int security_start(struct security *security, enum mesh_security mode, uint32_t epoch, uint16_t rank, uint16_t rank_count,
                   struct fail *fail);

/* Append the senders' keys to a key log; path NULL: does nothing. */
int security_log(const struct security *security, const char *path, struct fail *fail);

void security_release(struct security *security);

#endif
