/* The pre-shared key of a cluster, and the file that holds it.
 *
 * A key file is one line, "mesh-key-1 " and 64 hexadecimal digits, that nobody but its owner may read. A process that has the key is a
 * member: it can read and say everything. */
#ifndef MESH_KEY_H
#define MESH_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MESH_KEY_BYTES = 32, MESH_KEY_LINE_BYTES = 77 /* the line with its newline, and NUL */ };

struct mesh_key {
    uint8_t bytes[MESH_KEY_BYTES];
};

/* Random bytes of the system, as keys, incarnations and epoch ids need them. MESH_ESYSTEM: errno. */
int mesh_random(void *out, size_t bytes);

/* Overwrite a secret that is no longer needed; the compiler does not optimise this away. */
void mesh_wipe(void *secret, size_t bytes);

/* The line of a key file, newline included. */
void mesh_key_format(const struct mesh_key *key, char out[MESH_KEY_LINE_BYTES]);

/* Parse a file's content: exactly one line, whose newline may be missing. MESH_EINVAL: reason says why, and what to do. */
int mesh_key_parse(const char *text, size_t bytes, struct mesh_key *key, char *reason, size_t reason_bytes);

/* Whether a file that is open can hold a secret of any kind. MESH_EINVAL: it is no regular file, or others than its owner may use it;
 * MESH_ESYSTEM: it cannot be examined. Either way reason says why, and what to do. A credential of systemd (directly in
 * $CREDENTIALS_DIRECTORY, a folder closed to others) may have mode 0440. */
int mesh_key_check_file(const char *path, int fd, char *reason, size_t reason_bytes);

/* Read a key file. MESH_EINVAL: it is no key, or others than its owner may read it; MESH_ESYSTEM: it cannot be read. Either way reason says
 * why, and what to do. */
int mesh_key_read(const char *path, struct mesh_key *key, char *reason, size_t reason_bytes);

/* Write a new key file with mode 0600; one that exists is left alone. MESH_ESYSTEM with reason. */
int mesh_key_write_new(const char *path, const struct mesh_key *key, char *reason, size_t reason_bytes);

#ifdef __cplusplus
}
#endif

#endif
