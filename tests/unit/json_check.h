/* Whether a text is one JSON value (RFC 8259), for tests of what programs write. No test library is used here. */
#ifndef JSON_CHECK_H
#define JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Blanks and newlines may stand around it. False, too, for values deeper than any program here writes. */
bool json_check(const char *text, size_t size);

#endif
