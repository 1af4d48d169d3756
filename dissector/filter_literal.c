#include "filter_literal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "hex.h"
#include "mesh/program/options.h"

enum { TEXT_BYTES = 64, WORDS_MAX = 100, SECOND_NS = 1000000000 };

static bool refuse(char why[FILTER_WHY_BYTES], const char *text)
{
    snprintf(why, FILTER_WHY_BYTES, "%s", text);
    return false;
}

/* The token without its quotes. False: too long for anything but a text. */
static bool text_of(const struct filter_token *token, char out[TEXT_BYTES])
{
    const bool is_string = token->kind == TOKEN_STRING;
    const size_t length = token->length - (is_string ? 2 : 0);

    if (length >= TEXT_BYTES)
        return false;
    memcpy(out, token->text + is_string, length);
    out[length] = '\0';
    return true;
}

/* ---- numbers ---- */

static bool read_number(const char *text, uint64_t *out)
{
    const bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const unsigned base = is_hex ? 16 : 10;
    const char *at = is_hex ? text + 2 : text;
    bool is_over = false;

    *out = 0;
    for (; is_hex ? isxdigit((unsigned char)*at) : isdigit((unsigned char)*at); at++) {
        is_over |= __builtin_mul_overflow(*out, base, out);
        is_over |= __builtin_add_overflow(*out, (unsigned)hex_digit(*at), out);
    }
    return !is_over && *at == '\0' && at > text + (is_hex ? 2 : 0);
}

static bool read_word(const struct filter_field *field, const char *text, uint64_t *out)
{
    const char *word;

    for (unsigned i = 0; filter_field_word(field, i, &word, out); i++)
        if (strcasecmp(word, text) == 0)
            return true;
    return false;
}

static bool refuse_word(const struct filter_field *field, const char *text, char why[FILTER_WHY_BYTES])
{
    const char *words[WORDS_MAX + 1] = {NULL}, *nearest;
    unsigned count = 0;
    uint64_t value;

    while (count < WORDS_MAX && filter_field_word(field, count, &words[count], &value))
        count++;
    words[count] = NULL;
    if (count == 0)
        return refuse(why, "not a number: write it as 17 or 0x11");
    nearest = options_nearest(text, words);
    snprintf(why, FILTER_WHY_BYTES, "neither a number nor a name that %s has: %s%s", field->name, nearest ? "did you mean " : "one is ",
             nearest ? nearest : words[0]);
    return false;
}

static bool number(const struct filter_field *field, const char *text, struct filter_range *out, char why[FILTER_WHY_BYTES])
{
    const unsigned bytes = field->field ? field->field->size : 8;
    uint64_t value;

    if (!read_word(field, text, &value) && !read_number(text, &value))
        return refuse_word(field, text, why);
    if (field->kind == FILTER_FLAG && value > 1)
        return refuse(why, "a flag is 0 or 1");
    if (bytes < 8 && value >> bytes * 8 != 0)
        return refuse(why, "more than that field can hold");
    out->low = out->high = value;
    return true;
}

/* ---- times ---- */

/* "3", "3.25": seconds. */
static bool read_seconds(const char *text, uint64_t *out_ns)
{
    uint64_t seconds = 0, part = 0;
    unsigned digits = 0;
    const char *at = text;

    for (; isdigit((unsigned char)*at) && seconds < UINT64_MAX / SECOND_NS / 20; at++)
        seconds = seconds * 10 + (uint64_t)(*at - '0');
    if (at == text)
        return false;
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at) && digits < 9; at++, digits++)
            part = part * 10 + (uint64_t)(*at - '0');
    for (; digits < 9; digits++)
        part *= 10;
    *out_ns = seconds * SECOND_NS + part;
    return *at == '\0';
}

/* By the local clock. */
static bool read_date(const char *text, uint64_t *out_ns)
{
    struct tm local = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%d", &local);
    uint64_t part_ns = 0;
    char fraction[TEXT_BYTES + 1];
    time_t seconds;

    if (rest == NULL || (*rest != ' ' && *rest != 'T'))
        return false;
    rest = strptime(rest + 1, "%H:%M:%S", &local);
    if (rest == NULL || (*rest != '\0' && *rest != '.'))
        return false;
    snprintf(fraction, sizeof fraction, "0%s", rest);
    local.tm_isdst = -1;
    seconds = mktime(&local);
    if (seconds < 0 || !read_seconds(fraction, &part_ns))
        return false;
    *out_ns = (uint64_t)seconds * SECOND_NS + part_ns;
    return true;
}

static bool moment(const struct filter_field *field, const char *text, struct filter_range *out, char why[FILTER_WHY_BYTES])
{
    if (!read_seconds(text, &out->low) && (field->kind != FILTER_TIME || !read_date(text, &out->low)))
        return refuse(why, field->kind == FILTER_TIME ? "not a time: write seconds since 1970, or \"2026-01-31 23:59:59.5\""
                                                      : "not a time: write seconds, as 0.25");
    out->high = out->low;
    return true;
}

/* ---- bytes ---- */

static bool keep(struct filter *filter, const void *bytes, size_t size, struct filter_piece *out, char why[FILTER_WHY_BYTES])
{
    if (size > sizeof filter->pool - filter->pool_size)
        return refuse(why, "too much text: shorten it");
    *out = (struct filter_piece){filter->pool_size, (uint16_t)size};
    memcpy(filter->pool + filter->pool_size, bytes, size);
    filter->pool_size = (uint16_t)(filter->pool_size + size);
    return true;
}

static bool address(struct filter *filter, const struct filter_field *field, char *text, struct filter_range *out,
                    char why[FILTER_WHY_BYTES])
{
    const bool is_v6 = field->kind == FILTER_IPV6;
    const unsigned skipped = is_v6 ? 0 : 96;
    uint8_t low[16] = {[10] = 0xff, [11] = 0xff}, high[16];
    char *slash = strchr(text, '/');
    uint64_t prefix = 128 - skipped;

    if (slash != NULL) {
        *slash = '\0';
        if (!read_number(slash + 1, &prefix) || prefix > 128 - skipped)
            return refuse(why, is_v6 ? "the prefix is more than 128 bits" : "the prefix is more than 32 bits");
    }
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, text, low + skipped / 8) != 1)
        return refuse(why, is_v6 ? "not an IPv6 address: write it as fd00::1 or fd00::/64"
                                 : "not an IPv4 address: write it as 10.0.0.1 or 10.0.0.0/24; for IPv6 use ipv6.src and the like");
    memcpy(high, low, sizeof high);
    for (unsigned bit = skipped + (unsigned)prefix; bit < 128; bit++) {
        low[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        high[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    out->has_low = out->has_high = true;
    return keep(filter, low, sizeof low, &out->low_bytes, why) && keep(filter, high, sizeof high, &out->high_bytes, why);
}

/* Pairs of digits, with colons between them or without. */
static bool read_hex(const struct filter_token *token, uint8_t *out, size_t capacity, size_t *size)
{
    size_t at = 0;

    *size = 0;
    while (at + 2 <= token->length && *size < capacity) {
        const int byte = hex_byte(token->text + at);

        if (byte < 0)
            return false;
        out[(*size)++] = (uint8_t)byte;
        at += 2;
        if (at == token->length)
            return true;
        at += token->text[at] == ':';
    }
    return false;
}

bool filter_literal_piece(struct filter *filter, const struct filter_token *token, bool is_text, struct filter_range *out,
                          char why[FILTER_WHY_BYTES])
{
    uint8_t bytes[FILTER_POOL_BYTES];
    size_t size;

    if (token->length > sizeof bytes)
        return refuse(why, "too much text: shorten it");
    if (token->kind == TOKEN_STRING) {
        size = filter_unquote(token, bytes);
    } else if (is_text) {
        size = token->length;
        memcpy(bytes, token->text, size);
    } else if (!read_hex(token, bytes, sizeof bytes, &size)) {
        return refuse(why, "not bytes: write them as 01:02:ff, or a text in quotes");
    }
    if (!keep(filter, bytes, size, &out->low_bytes, why))
        return false;
    out->high_bytes = out->low_bytes;
    out->has_low = out->has_high = true;
    return true;
}

bool filter_literal(struct filter *filter, const struct filter_field *field, const struct filter_token *token, struct filter_range *out,
                    char why[FILTER_WHY_BYTES])
{
    char text[TEXT_BYTES];

    *out = (struct filter_range){0};
    if (field->kind == FILTER_BYTES || field->kind == FILTER_TEXT) {
        if (!filter_literal_piece(filter, token, field->kind == FILTER_TEXT, out, why))
            return false;
        if (field->size == 0 || out->low_bytes.size == field->size)
            return true;
        snprintf(why, FILTER_WHY_BYTES, "%u bytes, but the field has %u: write all, or use contains", out->low_bytes.size, field->size);
        return false;
    }
    if (!text_of(token, text))
        return refuse(why, "too long");
    switch (field->kind) {
    case FILTER_NUMBER:
    case FILTER_FLAG:
        return number(field, text, out, why);
    case FILTER_TIME:
    case FILTER_SPAN:
        return moment(field, text, out, why);
    case FILTER_IPV4:
    case FILTER_IPV6:
        return address(filter, field, text, out, why);
    default:
        return refuse(why, "compared with something that has no value");
    }
}
