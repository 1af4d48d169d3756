#include "word.h"

#include <assert.h>

#include "mesh/program/text_decode.h"

enum { SPACE_MARK_SIZE = 3 }; /* bytes of a space when escaped */

/* A broken character takes bytes of the escaped text, in which a space has three bytes. */
static size_t broken_size(const char *text, size_t size)
{
    uint32_t wanted = word_character_size((unsigned char)text[0]) - 1;
    size_t at = 1;

    for (; wanted > 0 && at < size; at++) {
        const uint32_t taken = text[at] == ' ' ? SPACE_MARK_SIZE : 1;

        wanted -= taken < wanted ? taken : wanted;
    }
    return at;
}

size_t word_character(const char *text, size_t size, uint32_t *code_point)
{
    const unsigned char first = (unsigned char)text[0];

    if (first < 0x80) {
        *code_point = first;
        return 1;
    }

    const size_t length = text_decode(text, size, code_point);

    return *code_point != TEXT_DECODE_INVALID ? length : broken_size(text, size);
}

static size_t after_newlines(const char *text, size_t size, size_t at)
{
    while (at < size && text[at] == '\n')
        at++;
    return at;
}

/* A space after a space mark of the text itself does not begin a word: the two could be one piece. */
static size_t after_word(const char *text, size_t size, size_t at)
{
    uint32_t character = WORD_SPACE_MARK;

    while (at < size && text[at] != '\n' && (text[at] != ' ' || character == ' ' || character == WORD_SPACE_MARK))
        at += word_character(text + at, size - at, &character);
    return at;
}

bool word_next(const char *text, size_t size, bool is_prefixed, size_t *at, struct word *word)
{
    const size_t start = *at;

    assert(size <= UINT32_MAX && start <= size);
    if (start == size)
        return false;
    *at = text[start] == '\n' ? after_newlines(text, size, start) : after_word(text, size, start);
    *word = (struct word){.text = text + start, .size = (uint32_t)(*at - start)};
    if (start == 0 && is_prefixed) {
        word->is_spaced = true;
    } else if (text[start] == ' ') {
        word->is_spaced = true;
        word->text++;
        word->size--;
    }
    return true;
}
