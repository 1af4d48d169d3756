#include "json_check.h"

#include <string.h>

#include "mesh/program/text_decode.h"

enum { DEPTH_MAX = 20 };

struct cursor {
    const char *at, *end;
};

static bool value(struct cursor *c, int depth);

static char peek(const struct cursor *c)
{
    return c->at < c->end ? *c->at : '\0';
}

static bool accept(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static void blanks(struct cursor *c)
{
    while (c->at < c->end && memchr(" \t\r\n", *c->at, 4) != NULL)
        c->at++;
}

static bool word(struct cursor *c, const char *wanted)
{
    for (; *wanted != '\0'; wanted++)
        if (!accept(c, *wanted))
            return false;
    return true;
}

static bool digits(struct cursor *c)
{
    const char *begin = c->at;

    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at > begin;
}

static bool number(struct cursor *c)
{
    accept(c, '-');
    if (!accept(c, '0') && !digits(c))
        return false;
    if (accept(c, '.') && !digits(c))
        return false;
    if (!accept(c, 'e') && !accept(c, 'E'))
        return true;
    if (!accept(c, '+'))
        accept(c, '-');
    return digits(c);
}

static bool escape(struct cursor *c)
{
    if (accept(c, 'u')) {
        for (int i = 0; i < 4; i++, c->at++)
            if (c->at == c->end || *c->at == '\0' || strchr("0123456789abcdefABCDEF", *c->at) == NULL)
                return false;
        return true;
    }
    if (c->at == c->end || memchr("\"\\/bfnrt", *c->at, 8) == NULL)
        return false;
    c->at++;
    return true;
}

static bool string(struct cursor *c)
{
    if (!accept(c, '"'))
        return false;
    while (c->at < c->end && *c->at != '"') {
        uint32_t character;
        const size_t size = text_decode(c->at, (size_t)(c->end - c->at), &character);

        if (character == TEXT_DECODE_INVALID || character < 0x20)
            return false;
        c->at += size;
        if (character == '\\' && !escape(c))
            return false;
    }
    return accept(c, '"');
}

static bool members(struct cursor *c, int depth, char closer)
{
    blanks(c);
    if (accept(c, closer))
        return true;
    do {
        blanks(c);
        if (closer == '}') {
            if (!string(c))
                return false;
            blanks(c);
            if (!accept(c, ':'))
                return false;
        }
        if (!value(c, depth + 1))
            return false;
    } while (accept(c, ','));
    return accept(c, closer);
}

/* With the blanks around it. */
static bool value(struct cursor *c, int depth)
{
    bool is_good;

    blanks(c);
    if (depth > DEPTH_MAX)
        return false;
    if (accept(c, '{'))
        is_good = members(c, depth, '}');
    else if (accept(c, '['))
        is_good = members(c, depth, ']');
    else if (peek(c) == '"')
        is_good = string(c);
    else if (peek(c) == 't' || peek(c) == 'n')
        is_good = word(c, peek(c) == 't' ? "true" : "null");
    else
        is_good = peek(c) == 'f' ? word(c, "false") : number(c);
    blanks(c);
    return is_good;
}

bool json_check(const char *text, size_t size)
{
    struct cursor c = {text, text + size};

    return value(&c, 0) && c.at == c.end;
}
