/* A prompt as token ids in a file: decimal, with spaces or newlines between them, as `--ids` prints them. */
#ifndef NODE_PROMPT_IDS_H
#define NODE_PROMPT_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "mesh/program/fail.h"

/* Write the ids into out as an `ask` record carries them (client_message.h): u32, little-endian, *bytes in all. -1: EXIT_ENVIRONMENT,
 * EXIT_BAD_FILE. */
int prompt_ids_read(const char *path, uint8_t *out, size_t capacity, size_t *bytes, struct fail *fail);

#endif
