/* Keys of senders, and the opening of what they sealed.
 *
 * They come from key logs (what `mesh-node --key-log` writes) or from pre-shared keys of clusters. With the latter, the keys of processes
 * follow from the capture alone, those of epochs and sessions from a COMMIT or CALL_ANSWER in it: an epoch whose beginning was not captured
 * stays sealed. All is bounded: the oldest keys of a kind make room for new ones. One thread. */
#ifndef DISSECTOR_KEYS_H
#define DISSECTOR_KEYS_H

#include "frame.h"
#include "mesh/program/fail.h"
#include "mesh/seal.h"
#include "mesh/wire.h"

enum keys_verdict {
    KEYS_PLAIN,  /* neither sealed nor authenticated */
    KEYS_LOCKED, /* no key that fits */
    KEYS_OPENED, /* by its sender's key */
    KEYS_FORGED  /* the sender's key is known, as it opened others from there, and the tag does not fit: changed in transit */
};

struct keys;

/* cluster: the cluster's name, borrowed. NULL: no memory. */
struct keys *keys_open(const char *cluster);
void keys_close(struct keys *keys); /* wipes them; NULL is fine */

/* Read a key file or a key log. -1: EXIT_BAD_FILE or EXIT_ENVIRONMENT. */
int keys_read(struct keys *keys, const char *path, struct fail *fail);

/* Open a datagram in place; afterwards its header is still as it was sent, flags and tag included. from: its source address; header: its
 * own, decoded. */
enum keys_verdict keys_unseal(struct keys *keys, const struct frame_address *from, const struct mesh_header *header, uint8_t *packet,
                              size_t bytes);

/* Captures are read again from the beginning: forget what has been opened so far. NULL is fine. */
void keys_rewind(struct keys *keys);

/* Learn from an opened message which epochs and sessions there are. Does nothing without a pre-shared key. */
void keys_learn(struct keys *keys, const struct mesh_message *message);

/* "plain", "locked", "opened", "forged" */
const char *keys_verdict_name(enum keys_verdict verdict);

#endif
