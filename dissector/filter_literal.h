/* Literal values in a display filter. */
#ifndef DISSECTOR_FILTER_LITERAL_H
#define DISSECTOR_FILTER_LITERAL_H

#include "filter_lex.h"
#include "filter_program.h"

enum { FILTER_WHY_BYTES = 200 };

/* Parse a word or string as a value of this field: *out spans its first to its last value (they differ for an address with a prefix); bytes
 * go into the filter's pool. False: why says what is wrong with it. */
bool filter_literal(struct filter *filter, const struct filter_field *field, const struct filter_token *token, struct filter_range *out,
                    char why[FILTER_WHY_BYTES]);

/* The same for the text or bytes that a field is to contain. */
bool filter_literal_piece(struct filter *filter, const struct filter_token *token, bool is_text, struct filter_range *out,
                          char why[FILTER_WHY_BYTES]);

#endif
