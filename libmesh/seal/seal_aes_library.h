/* What a library gives for AES-256-GCM (NIST SP 800-38D), and those that a build may have. A process uses one: seal_aes.c chooses. */
#ifndef LIBMESH_SEAL_AES_LIBRARY_H
#define LIBMESH_SEAL_AES_LIBRARY_H

#include <stdbool.h>

#include "seal_aes.h"

/* A struct mesh_aes stands for the library's own object, and is known to that library alone. */
struct mesh_aes_library {
    const char *name; /* as mesh_aes_library() gives it */
    /* Before anything else; once it is started, another call does nothing. MESH_AGAIN: it lacks descriptors now; MESH_EABSENT: the library
     * is of no use here. Not by two threads at once. */
    int (*start)(void);
    bool (*has_instructions)(void); /* it computes by the processor's instructions for AES and GCM */
    /* The rest may be called by several threads at once, each with a key of its own. They are as the functions of seal_aes.h. */
    struct mesh_aes *(*open)(const uint8_t key[MESH_AES_KEY_BYTES]); /* NULL: no memory */
    void (*close)(struct mesh_aes *aes);                             /* wipes it */
    int (*encrypt)(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                   size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES]);
    int (*decrypt)(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                   size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES]);
};

/* NULL: not in this build. */
extern const struct mesh_aes_library *const mesh_aes_ipsec_mb, *const mesh_aes_gcrypt;

/* Start a library and seal and open one datagram for a try. In FIPS mode libgcrypt seals only with nonces that it has made itself; it opens
 * all the same. Errors are those of `start`. */
int mesh_aes_try(const struct mesh_aes_library *library, bool *seals, bool *opens);

#endif
