/* `mesh-node inspect`: what a GGUF file says about itself, as text for people or JSON lines for programs.
 *
 * Whatever bytes the file holds, the text is safe to print on a terminal and the JSON is strict. Arrays are shortened to their count and
 * first elements. JSON events: "file", one "metadata" per value, one "tensor" per tensor, and last "summary". */
#ifndef NODE_INSPECT_H
#define NODE_INSPECT_H

#include <stdbool.h>
#include <stdio.h>

#include "mesh/program/fail.h"
#include "node/gguf/gguf.h"

void inspect_print(const struct gguf *gguf, bool json, FILE *out);

/* Open, print, close. 0, or -1: as gguf_open, and EXIT_ENVIRONMENT when `out` cannot be written. */
int inspect_run(const char *path, bool json, FILE *out, struct fail *fail);

#endif
