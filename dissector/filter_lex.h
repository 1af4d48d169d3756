/* Lexical tokens of a display filter. */
#ifndef DISSECTOR_FILTER_LEX_H
#define DISSECTOR_FILTER_LEX_H

#include <stddef.h>
#include <stdint.h>

enum filter_token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* names, numbers, addresses */
    TOKEN_STRING, /* with its quotes */
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LT,
    TOKEN_LE,
    TOKEN_GT,
    TOKEN_GE,
    TOKEN_CONTAINS,
    TOKEN_IN,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_OPEN_SET,
    TOKEN_CLOSE_SET,
    TOKEN_COMMA,
    TOKEN_TO,   /* .. */
    TOKEN_MASK, /* & */
    TOKEN_UNENDED,
    TOKEN_BAD
};

struct filter_token {
    enum filter_token_kind kind;
    const char *text; /* in the expression */
    size_t length;
};

/* The token at `at`, after blanks; the next one is at its text + length. */
struct filter_token filter_lex(const char *at);

/* The bytes of a TOKEN_STRING, with \" \\ \n \t \r and \xHH decoded; returns how many, at most its length. */
size_t filter_unquote(const struct filter_token *token, uint8_t *out);

#endif
