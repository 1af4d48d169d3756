/* Words for single bits of a field, as the wire schema's meaning of the field lists them: "1: to all (number is of that space); 2: resend".
 *
 * words is the text up to a parenthesis; name is the same with _ between the words, as part of a field's name. */
#ifndef DISSECTOR_BIT_WORDS_H
#define DISSECTOR_BIT_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/wire.h"

enum { BIT_NAME_BYTES = 40 };

struct bit_word {
    uint64_t mask;
    char words[BIT_NAME_BYTES]; /* "to all" */
    char name[BIT_NAME_BYTES];  /* "to_all" */
};

/* The index-th bit that has a word; false beyond the last, and of fields that have none. */
bool bit_words_at(const struct mesh_wire_field *field, unsigned index, struct bit_word *out);

#endif
