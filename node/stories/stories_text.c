#include "stories_text.h"

#include <assert.h>
#include <string.h>

/* ---- letters; the C library's depend on the locale ---- */

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char to_capital(char c)
{
    return is_small(c) ? (char)(c - 'a' + 'A') : c;
}

static char to_small(char c)
{
    return is_capital(c) ? (char)(c - 'A' + 'a') : c;
}

static bool starts_with(const char *begin, const char *end, const char *what)
{
    const size_t size = strlen(what);

    return (size_t)(end - begin) >= size && memcmp(begin, what, size) == 0;
}

/* Whether the word is spoken with a vowel first. */
static bool wants_an(const char *begin, const char *end)
{
    const char *const consonants[] = {"use", "uni", "one", "once", "eu", "ukulele"};
    const char *const vowels[] = {"hour", "honest", "honour", "heir"};

    for (size_t i = 0; i < sizeof consonants / sizeof *consonants; i++)
        if (starts_with(begin, end, consonants[i]))
            return false;
    for (size_t i = 0; i < sizeof vowels / sizeof *vowels; i++)
        if (starts_with(begin, end, vowels[i]))
            return true;
    return begin < end && strchr("aeiou", to_small(*begin)) != NULL;
}

/* ---- text ---- */

void stories_text_begin(struct stories_text *text, char *bytes, size_t capacity)
{
    assert(bytes != NULL && capacity > 0);
    *text = (struct stories_text){.bytes = bytes, .capacity = capacity, .capital = true};
}

static char last_byte(const struct stories_text *text)
{
    return text->size == 0 ? '\n' : text->bytes[text->size - 1];
}

static void append(struct stories_text *text, char c)
{
    if (text->size == text->capacity)
        text->truncated = true;
    else
        text->bytes[text->size++] = c;
}

void stories_text_end(struct stories_text *text)
{
    while (last_byte(text) == ' ')
        text->size--;
}

static void begin_paragraph(struct stories_text *text)
{
    stories_text_end(text);
    if (last_byte(text) != '\n') {
        append(text, '\n');
        append(text, '\n');
    }
    text->capital = true;
    text->stop = 0;
}

void stories_text_space(struct stories_text *text)
{
    const char last = last_byte(text);

    if (last == ' ' || last == '\n' || (last == '"' && text->quoting))
        return;
    append(text, ' ');
    text->capital = text->capital || text->stop != 0;
    text->stop = 0;
}

static bool is_stop(char c)
{
    return c == '.' || c == '!' || c == '?';
}

static void put_mark(struct stories_text *text, char c)
{
    append(text, c);
    text->stop = is_stop(c) ? c : 0;
}

/* The sentence goes on after a question in quotation marks, and ends with a statement in them. */
static void put_quotation_mark(struct stories_text *text)
{
    const bool closes = text->quoting;

    if (closes) {
        stories_text_end(text);
        text->capital = false;
    }

    const char last = last_byte(text);

    append(text, '"');
    text->stop = closes && last == '.' ? last : 0;
    text->quoting = !closes;
}

void stories_text_put(struct stories_text *text, const char *begin, const char *end)
{
    for (const char *p = begin; p < end; p++) {
        if (*p == '\n') {
            begin_paragraph(text);
        } else if (*p == ' ') {
            stories_text_space(text);
        } else if (*p == '^') {
            text->capital = true;
        } else if (is_small(*p) || is_capital(*p)) {
            if (text->article && last_byte(text) == ' ' && wants_an(p, end)) {
                text->bytes[text->size - 1] = 'n';
                append(text, ' ');
            }
            append(text, text->capital ? to_capital(*p) : *p);
            text->capital = text->article = false;
            text->stop = 0;
        } else if (*p == '"') {
            put_quotation_mark(text);
        } else {
            put_mark(text, *p);
        }
    }
}

void stories_text_article(struct stories_text *text)
{
    const char *const a = "a";

    stories_text_put(text, a, a + 1);
    text->article = true;
}
