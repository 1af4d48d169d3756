/* Who may use the API: whoever has its key or, without one, programs of this machine.
 *
 * Without a key, pages that a browser of this machine shows must be kept away. They can send a request here, but not with the content type
 * of JSON unless this server says that they may (which it never does), and a name of theirs that resolves to this machine is no address. */
#ifndef NODE_API_ACCESS_H
#define NODE_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "mesh/program/fail.h"

enum { API_KEY_BYTES_MIN = 16, API_KEY_BYTES_MAX = 256 };

struct api_key {
    size_t size; /* 0: none */
    char text[API_KEY_BYTES_MAX];
};

/* The file's only line. EXIT_BAD_FILE: it is no key, or others than its owner may use the file. */
int api_key_read(const char *path, struct api_key *key, struct fail *fail);

/* Header values as they came; NULL: there was none. */
bool api_key_allows(const struct api_key *key, const char *authorization); /* takes as long for a wrong key as for the right one */
bool api_host_is_here(const char *host);                                   /* an address, or localhost; with a port or without */
bool api_type_is_json(const char *content_type);

#endif
