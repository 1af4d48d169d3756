/* Keys and datagrams for tests of sealing: the same everywhere, so that a failing test differs in one thing only. */
#ifndef SEAL_CASE_H
#define SEAL_CASE_H

#include "mesh/seal.h"

enum { SEAL_CASE_RANKS = 4, SEAL_CASE_EPOCH = 7 };

/* Bytes 00 to 1f; the cluster's name; bytes 40 to 4f. */
struct mesh_key seal_case_key(void);
extern const char seal_case_cluster[];
extern const uint8_t seal_case_epoch_id[MESH_EPOCH_ID_BYTES];

/* Rank r's incarnation is bytes 70 + 10 r to 7f + 10 r (hexadecimal). */
extern const uint8_t seal_case_incarnation[SEAL_CASE_RANKS][MESH_INCARNATION_BYTES];

/* A rank's sealer for that epoch, without AES, so there is nothing to release. Skips the test when this build cannot seal. */
void seal_case_init(struct mesh_sealer *sealer, uint16_t rank, enum mesh_security security);

/* A record with `bytes` bytes of data, from rank 1 to dst (or to all); returns its size. */
size_t seal_case_record(uint8_t *packet, uint16_t dst, uint64_t number, size_t bytes);

/* Bytes from hexadecimal digits; returns their number. */
size_t seal_case_from_hex(const char *hex, uint8_t *out);

#endif
