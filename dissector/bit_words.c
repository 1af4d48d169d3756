#include "bit_words.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Read one item of "1: first of its record; 2: last"; false when the text is no such item, as in "bit k: items of kind k". */
static bool read_bit(const char *text, struct bit_word *out)
{
    char *end;
    size_t length;

    if (!isdigit((unsigned char)*text))
        return false;
    out->mask = strtoull(text, &end, 10);
    if (strncmp(end, ": ", 2) != 0)
        return false;
    text = end + 2;
    length = strcspn(text, ";(");
    while (length > 0 && text[length - 1] == ' ')
        length--;
    assert(length > 0 && length < sizeof out->words);
    memcpy(out->words, text, length);
    out->words[length] = '\0';
    for (size_t i = 0; i <= length; i++)
        out->name[i] = (char)(isalnum((unsigned char)out->words[i]) || i == length ? tolower((unsigned char)out->words[i]) : '_');
    return true;
}

bool bit_words_at(const struct mesh_wire_field *field, unsigned index, struct bit_word *out)
{
    const char *at = field->meaning;

    if (strcmp(field->unit, "bits") != 0)
        return false;
    for (; index > 0 && at != NULL; index--) {
        at = strstr(at, "; ");
        at = at ? at + 2 : NULL;
    }
    return at != NULL && read_bit(at, out);
}
