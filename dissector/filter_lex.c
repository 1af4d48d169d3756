#include "filter_lex.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "hex.h"

static const struct {
    const char *text;
    enum filter_token_kind kind;
} signs[] = {{"&&", TOKEN_AND},  {"||", TOKEN_OR},      {"==", TOKEN_EQ},       {"!=", TOKEN_NE},  {"<=", TOKEN_LE},  {">=", TOKEN_GE},
             {"..", TOKEN_TO},   {"<", TOKEN_LT},       {">", TOKEN_GT},        {"!", TOKEN_NOT},  {"&", TOKEN_MASK}, {"(", TOKEN_OPEN},
             {")", TOKEN_CLOSE}, {"{", TOKEN_OPEN_SET}, {"}", TOKEN_CLOSE_SET}, {",", TOKEN_COMMA}},
  words[] = {{"and", TOKEN_AND},
             {"or", TOKEN_OR},
             {"not", TOKEN_NOT},
             {"eq", TOKEN_EQ},
             {"ne", TOKEN_NE},
             {"lt", TOKEN_LT},
             {"le", TOKEN_LE},
             {"gt", TOKEN_GT},
             {"ge", TOKEN_GE},
             {"in", TOKEN_IN},
             {"contains", TOKEN_CONTAINS}};

static bool is_of_word(const char *at)
{
    return isalnum((unsigned char)*at) || *at == '_' || *at == ':' || *at == '/' || (*at == '.' && at[1] != '.');
}

static struct filter_token word_at(const char *at)
{
    struct filter_token token = {TOKEN_WORD, at, 0};

    while (is_of_word(at + token.length))
        token.length++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].text) == token.length && memcmp(words[i].text, at, token.length) == 0)
            token.kind = words[i].kind;
    return token;
}

static struct filter_token string_at(const char *at)
{
    size_t length = 1;

    for (; at[length] != '\0'; length++) {
        if (at[length] == '"')
            return (struct filter_token){TOKEN_STRING, at, length + 1};
        if (at[length] == '\\' && at[length + 1] != '\0')
            length++;
    }
    return (struct filter_token){TOKEN_UNENDED, at, length};
}

struct filter_token filter_lex(const char *at)
{
    at += strspn(at, " \t\r\n");
    if (*at == '\0')
        return (struct filter_token){TOKEN_END, at, 0};
    if (*at == '"')
        return string_at(at);
    if (is_of_word(at))
        return word_at(at);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strncmp(at, signs[i].text, strlen(signs[i].text)) == 0)
            return (struct filter_token){signs[i].kind, at, strlen(signs[i].text)};
    return (struct filter_token){TOKEN_BAD, at, 1};
}

size_t filter_unquote(const struct filter_token *token, uint8_t *out)
{
    static const char letters[] = "ntr", meant[] = "\n\t\r";
    const char *at = token->text + 1, *end = token->text + token->length - 1;
    size_t size = 0;

    while (at < end) {
        const char *letter;

        if (*at != '\\') {
            out[size++] = (uint8_t)*at++;
            continue;
        }
        at++; /* something follows: the quote at the end is not escaped */
        if (*at == 'x' && at + 2 < end && hex_byte(at + 1) >= 0) {
            out[size++] = (uint8_t)hex_byte(at + 1);
            at += 3;
            continue;
        }
        letter = strchr(letters, *at);
        out[size++] = (uint8_t)(letter && *letter ? meant[letter - letters] : *at);
        at++;
    }
    return size;
}
