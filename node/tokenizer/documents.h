/* A text cut into documents: what stands between runs of three or more newlines (two blank lines).
 *
 * CRLF counts as LF. Newlines at either end of a document are dropped, and so is a document of nothing but newlines. A text without two
 * blank lines is one document. Any byte but NUL is text. Owns a copy of the text; immutable after documents_init. */
#ifndef NODE_DOCUMENTS_H
#define NODE_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "mesh/program/fail.h"

enum { DOCUMENTS_SIZE_MAX = 1 << 30 };

struct documents {
    char *text; /* (size) without the CR of CRLF */
    size_t size;
};

struct document {
    const char *text; /* valid until documents_release */
    size_t size;      /* at least 1 */
};

/* Refuses (EXIT_BAD_FILE) a text without a document, with a NUL (fail names its offset), or above DOCUMENTS_SIZE_MAX. */
int documents_init(struct documents *documents, const char *text, size_t text_size, struct fail *fail);
void documents_release(struct documents *documents);

/* The next document; false after the last. *at starts at 0 and is advanced. */
bool documents_next(const struct documents *documents, size_t *at, struct document *document);

#endif
