/* AES-256-GCM, where the build has a library for it: the cipher of an epoch all of whose members compute it in hardware. */
#ifndef LIBMESH_SEAL_AES_H
#define LIBMESH_SEAL_AES_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/seal.h"

enum { MESH_AES_KEY_BYTES = 32, MESH_AES_NONCE_BYTES = 12, MESH_AES_TAG_BYTES = 16 };

/* As mesh_aes_new (mesh/seal.h), of the cipher's own key. */
struct mesh_aes *mesh_aes_of(const uint8_t key[MESH_AES_KEY_BYTES]);

/* Encrypt text in place; tag proves it and covered, neither of which may overlap tag. A nonce is never used twice under a key.
 * MESH_ESYSTEM: the library refuses; then text must not be sent. */
int mesh_aes_encrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES]);

/* MESH_EAUTH: the tag does not fit, which is found in constant time; text is as it was. */
int mesh_aes_decrypt(struct mesh_aes *aes, uint8_t *text, size_t text_bytes, const uint8_t tag[MESH_AES_TAG_BYTES], const uint8_t *covered,
                     size_t covered_bytes, const uint8_t nonce[MESH_AES_NONCE_BYTES]);

#endif
