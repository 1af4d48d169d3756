#include "tests/unit/prose.h"

#include <stdio.h>
#include <string.h>

/* The current position in the text. */
struct place {
    const char *text;
    size_t size;
    size_t at;
};

static char look(const struct place *place, size_t ahead)
{
    return place->at + ahead < place->size ? place->text[place->at + ahead] : 0;
}

static char before(const struct place *place)
{
    return place->at > 0 ? place->text[place->at - 1] : '\n';
}

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_small(c) || (c >= 'A' && c <= 'Z');
}

static bool is_stop(char c)
{
    return c == '.' || c == '!' || c == '?';
}

/* Length of the word that begins `ahead` bytes further on. */
static size_t word_size(const struct place *place, size_t ahead)
{
    size_t size = 0;

    while (is_letter(look(place, ahead + size)))
        size++;
    return size;
}

static bool word_is(const struct place *place, size_t ahead, const char *const *words)
{
    const size_t size = word_size(place, ahead);

    for (; *words != NULL; words++)
        if (strlen(*words) == size && memcmp(place->text + place->at + ahead, *words, size) == 0)
            return true;
    return false;
}

static const char *check_byte(const struct place *place)
{
    const char c = look(place, 0);

    if (c != '\n' && (c < ' ' || c > '~'))
        return "a byte that is no text";
    if (strchr("{}[]|^@_<>*\\", c) != NULL)
        return "a sign of the grammar";
    return NULL;
}

static const char *check_space(const struct place *place)
{
    const char c = look(place, 0);
    const char next = look(place, 1);

    if (c == ' ' && (next == ' ' || next == '\n' || next == 0 || before(place) == '\n'))
        return "a space too many";
    if (c == ' ' && strchr(".,;:!?", next) != NULL)
        return "a space before a mark";
    if (strchr(".,;:!?", c) != NULL && strchr(" \"\n", next) == NULL && next != 0)
        return "no space after a mark";
    return NULL;
}

/* After a question or exclamation in quotation marks, only these may follow with a small letter. */
static const char *check_capital(const struct place *place)
{
    static const char *const go_on[] = {"asked",    "cried", "called", "shouted",  "exclaimed", "said", "sighed", "whispered",
                                        "murmured", "he",    "she",    "somebody", "the",       "they", NULL};
    const char c = look(place, 0);
    const size_t ahead = look(place, 1) == '"' ? 3 : 2;

    if (!is_stop(c) || look(place, ahead - 1) != ' ' || !is_small(look(place, ahead)))
        return NULL;
    if (ahead == 3 && c != '.' && word_is(place, ahead, go_on))
        return NULL;
    return "a sentence without a capital";
}

static const char *check_article(const struct place *place)
{
    static const char *const a[] = {"a", "A", NULL}, *const an[] = {"an", "An", NULL};
    static const char *const silent[] = {"hour", "honest", NULL}, *const spoken[] = {"one", "useful", "unicorn", NULL};

    if (is_letter(before(place)) || before(place) == '\'')
        return NULL;

    const size_t size = word_size(place, 0);
    const char first = look(place, size + 1);

    if (look(place, size) != ' ' || !is_letter(first))
        return NULL;

    const bool vowel = word_is(place, size + 1, silent) || (strchr("aeiouAEIOU", first) != NULL && !word_is(place, size + 1, spoken));

    if (word_is(place, 0, a) && vowel)
        return "a instead of an";
    return word_is(place, 0, an) && !vowel ? "an instead of a" : NULL;
}

static const char *check_repetition(const struct place *place)
{
    const size_t size = is_letter(before(place)) ? 0 : word_size(place, 0);

    if (size == 0 || look(place, size) != ' ' || word_size(place, size + 1) != size)
        return NULL;
    return memcmp(place->text + place->at, place->text + place->at + size + 1, size) == 0 ? "a word twice" : NULL;
}

static const char *check_paragraph(const char *text, size_t size)
{
    size_t marks = 0;

    for (size_t i = 0; i < size; i++)
        marks += text[i] == '"';
    if (marks % 2 != 0)
        return "a quotation mark that is alone";
    if (is_small(text[0]) || (text[0] == '"' && is_small(text[1])))
        return "a paragraph without a capital";
    return is_stop(text[size - 1]) || (text[size - 1] == '"' && size > 1 && is_stop(text[size - 2])) ? NULL : "a paragraph without an end";
}

/* Paragraphs have one empty line between them. */
static const char *check_paragraphs(const char *text, size_t size)
{
    size_t count = 1;
    size_t begin = 0;

    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] != '\n')
            continue;
        if (i == begin)
            return "an empty paragraph";

        const char *wrong = check_paragraph(text + begin, i - begin);

        if (wrong != NULL)
            return wrong;
        if (i < size && (i + 1 >= size || text[i + 1] != '\n'))
            return "a line end within a paragraph";
        count += i < size;
        begin = i + 2;
        i += i < size;
    }
    return count < 2 ? "one paragraph only" : count > 5 ? "too many paragraphs" : NULL;
}

bool prose_is_clean(const char *text, size_t size, char reason[PROSE_REASON_SIZE])
{
    const char *(*const checks[])(const struct place *) = {check_byte, check_space, check_capital, check_article, check_repetition};
    const char *wrong = size == 0 ? "nothing" : check_paragraphs(text, size);
    struct place place = {text, size, 0};

    for (; wrong == NULL && place.at < size; place.at++)
        for (size_t i = 0; wrong == NULL && i < sizeof checks / sizeof *checks; i++)
            wrong = checks[i](&place);
    if (wrong != NULL) {
        const size_t begin = place.at < 30 ? 0 : place.at - 30;

        snprintf(reason, PROSE_REASON_SIZE, "%s: ...%.*s...", wrong, (int)(size - begin < 70 ? size - begin : 70), text + begin);
    }
    return wrong == NULL;
}

size_t prose_count_words(const char *text, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += strchr(" \n", text[i]) == NULL && (i == 0 || strchr(" \n", text[i - 1]) != NULL);
    return count;
}
