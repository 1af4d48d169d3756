#include "pretoken.h"

#include <assert.h>
#include <string.h>

#include "mesh/program/text_decode.h"
#include "unicode_class.h"

/* What a stage or pattern is looking at: nothing at or after `end` is seen. */
struct view {
    const char *text;
    size_t end;
};

struct character {
    uint32_t code; /* TEXT_DECODE_INVALID: a byte that is no UTF-8; 0 at the end */
    uint32_t size; /* bytes; 0 at the end */
    enum unicode_class class;
};

static enum unicode_class ascii_class(unsigned char c)
{
    if (c >= 'a' && c <= 'z')
        return UNICODE_LOWER;
    if (c == ' ')
        return UNICODE_SPACE;
    if (c >= 'A' && c <= 'Z')
        return UNICODE_UPPER;
    return c >= '0' && c <= '9' ? UNICODE_NUMBER : unicode_class(c);
}

static struct character look(const struct view *view, size_t at)
{
    struct character c = {.class = UNICODE_OTHER};

    if (at >= view->end)
        return c;
    c.size = 1;
    c.code = (unsigned char)view->text[at];
    if (c.code < 0x80) {
        c.class = ascii_class((unsigned char)c.code);
        return c;
    }
    const size_t size = text_decode(view->text + at, view->end - at, &c.code);

    if (c.code != TEXT_DECODE_INVALID) {
        c.size = (uint32_t)size;
        c.class = unicode_class(c.code);
    }
    return c;
}

static bool is_newline(const struct character *c)
{
    return c->size > 0 && (c->code == '\n' || c->code == '\r');
}

/* ---- stages with a set ---- */

static bool is_within(uint32_t code, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    return false;
}
#define IS_WITHIN(code, ranges) is_within(code, ranges, sizeof(ranges) / sizeof(ranges)[0])

/* The model's list of letters ends with Unicode 11, and lacks Georgian and others. */
static bool is_deepseek_letter(const struct character *c)
{
    static const uint32_t without[][2] = {{0x560, 0x588},   {0x10c6, 0x10ff},   {0x1c80, 0x1c88},   {0x2d00, 0x2d2d},   {0xa790, 0xa7fa},
                                          {0xab30, 0xab68}, {0x10570, 0x105bc}, {0x16e40, 0x16e7f}, {0x1d400, 0x1d7cb}, {0x1df00, 0x1df2a}};

    return (c->class == UNICODE_UPPER || c->class == UNICODE_LOWER) && !IS_WITHIN(c->code, without);
}

static bool is_deepseek_sign(uint32_t code)
{
    static const uint32_t signs[][2] = {{'!', '/'}, {':', '~'}, {0x2018, 0x201f}, {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};

    return IS_WITHIN(code, signs);
}

static bool is_sign(const struct character *c)
{
    return c->class == UNICODE_PUNCTUATION || (c->code < 0x80 && c->code != 0 && strchr("$+<=>^~|", (int)c->code) != NULL);
}

static bool is_in(enum pretoken_set set, const struct character *c)
{
    static const uint32_t ideographs[][2] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};

    if (c->size == 0)
        return false;
    switch (set) {
    case PRETOKEN_NEWLINE:
        return is_newline(c);
    case PRETOKEN_SPACE:
        return c->class == UNICODE_SPACE;
    case PRETOKEN_LETTER:
        return unicode_is_letter(c->class);
    case PRETOKEN_NUMBER:
        return c->class == UNICODE_NUMBER;
    case PRETOKEN_DIGIT:
        return c->code >= '0' && c->code <= '9';
    case PRETOKEN_PUNCTUATION:
        return c->class == UNICODE_PUNCTUATION;
    case PRETOKEN_SIGN:
        return is_sign(c);
    case PRETOKEN_SIGN_OR_GRAVE:
        return is_sign(c) || c->code == '`';
    case PRETOKEN_DEEPSEEK_LETTER:
        return is_deepseek_letter(c);
    case PRETOKEN_DEEPSEEK_SIGN:
        return is_deepseek_sign(c->code);
    case PRETOKEN_DEEPSEEK_IDEOGRAPH:
        return IS_WITHIN(c->code, ideographs);
    default:
        assert(false);
        return false;
    }
}

/* After the characters of the set that stand at `at`, at most so many (0: any number). */
static size_t after_run(const struct view *view, size_t at, enum pretoken_set set, unsigned most, unsigned *count)
{
    struct character c;

    for (*count = 0; (most == 0 || *count < most) && (c = look(view, at), is_in(set, &c)); at += c.size)
        ++*count;
    return at;
}

/* After a match that begins at `at`; `at` if there is none. */
static size_t after_match(const struct pretoken_stage *stage, const struct view *view, size_t at)
{
    const struct character before = look(view, at);
    unsigned count;
    size_t end;

    if (stage->is_spaced && before.class == UNICODE_SPACE) {
        end = after_run(view, at + before.size, stage->set, stage->most, &count);
        if (count > 0)
            return end;
    }
    end = after_run(view, at, stage->set, stage->most, &count);
    return count >= stage->least && (!stage->is_last || end == view->end) ? end : at;
}

/* After the match at `at`, or after what lies before the next one. A run that is no match holds none, so each byte is read a few times. */
static size_t after_piece(const struct pretoken_stage *stage, const struct view *view, size_t at)
{
    size_t end = after_match(stage, view, at);
    unsigned count;

    if (end > at)
        return end;
    do {
        end = after_run(view, at, stage->set, 0, &count);
        at = end > at ? end : at + look(view, at).size;
    } while (at < view->end && after_match(stage, view, at) == at);
    return at;
}

/* ---- words ---- */

/* After "'s" and the like; `at` if there is none. Only ASCII letters count. */
static size_t after_contraction(const struct view *view, size_t at, bool is_any_case)
{
    static const char *const ends[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    char next[2] = {0};

    if (at >= view->end || view->text[at] != '\'')
        return at;
    for (size_t i = 0; i < 2 && at + 1 + i < view->end; i++) {
        next[i] = view->text[at + 1 + i];
        if (is_any_case && next[i] >= 'A' && next[i] <= 'Z')
            next[i] = (char)(next[i] - 'A' + 'a');
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (memcmp(ends[i], next, strlen(ends[i])) == 0)
            return at + 1 + strlen(ends[i]);
    return at;
}

static bool can_be_capital(enum unicode_class class)
{
    return class == UNICODE_UPPER || class == UNICODE_LETTER || class == UNICODE_MARK;
}

static bool can_be_small(enum unicode_class class)
{
    return class == UNICODE_LOWER || class == UNICODE_LETTER || class == UNICODE_MARK;
}

/* Any number of capital letters, then at least one small one; letters without case, and marks, are both, and become capital ones as long as
 * they can. `at` if there is no small one. */
static size_t after_small(const struct view *view, size_t at)
{
    size_t last = at; /* after the last one that can be small */
    struct character c;

    for (; c = look(view, at), can_be_capital(c.class); at += c.size)
        if (can_be_small(c.class))
            last = at + c.size;
    if (!can_be_small(c.class))
        return last;
    for (; c = look(view, at), can_be_small(c.class); at += c.size)
        ;
    return at;
}

/* At least one capital letter, and small ones after it. Only where after_small found nothing: no small ones are there. */
static size_t after_capitals(const struct view *view, size_t at)
{
    struct character c;

    for (; c = look(view, at), can_be_capital(c.class); at += c.size)
        ;
    return at;
}

static size_t after_letters_by_case(const struct view *view, size_t at, size_t after_first)
{
    const size_t starts[] = {after_first, at};
    size_t (*const patterns[])(const struct view *, size_t) = {after_small, after_capitals};

    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < 2; j++) {
            const size_t end = patterns[i](view, starts[j]);

            if (end > starts[j])
                return end;
        }
    }
    return at;
}

static size_t after_letters(const struct pretoken_words *words, const struct view *view, size_t at)
{
    const struct character first = look(view, at);
    size_t start = at, end;
    unsigned count;

    if (words->is_any_before_letters ? !unicode_is_letter(first.class) && first.class != UNICODE_NUMBER && !is_newline(&first)
                                     : first.code == ' ')
        start += first.size;
    if (!words->is_by_case) {
        end = after_run(view, start, PRETOKEN_LETTER, 0, &count);
        return count > 0 ? end : at;
    }
    end = after_letters_by_case(view, at, start);
    return end > at && words->contractions == PRETOKEN_AFTER_LETTERS ? after_contraction(view, end, true) : end;
}

static size_t after_numbers(const struct pretoken_words *words, const struct view *view, size_t at)
{
    const size_t start = words->numbers_max == 0 && look(view, at).code == ' ' ? at + 1 : at;
    unsigned count;
    const size_t end = after_run(view, start, PRETOKEN_NUMBER, words->numbers_max, &count);

    return count > 0 ? end : at;
}

static size_t after_signs(const struct pretoken_words *words, const struct view *view, size_t at)
{
    const size_t start = look(view, at).code == ' ' ? at + 1 : at;
    size_t end = start;
    struct character c;

    for (; c = look(view, end), c.size > 0 && c.class != UNICODE_SPACE && c.class != UNICODE_NUMBER && !unicode_is_letter(c.class);
         end += c.size)
        ;
    if (end == start)
        return at;
    while (end < view->end && view->text[end] != 0 && strchr(words->after_signs, view->text[end]) != NULL)
        end++;
    return end;
}

static size_t after_spaces(const struct pretoken_words *words, const struct view *view, size_t at)
{
    size_t end = at, last = at, after_newline = at; /* last: the last one's place */
    struct character c;

    for (; c = look(view, end), c.class == UNICODE_SPACE; end += c.size) {
        last = end;
        if (is_newline(&c))
            after_newline = end + c.size;
    }
    assert(end > at);
    if (words->is_newline_end && after_newline > at)
        return after_newline;
    return end < view->end && last > at ? last : end;
}

static size_t after_word(const struct pretoken_words *words, const struct view *view, size_t at)
{
    size_t end = at;

    if (words->contractions == PRETOKEN_SMALL_CONTRACTIONS || words->contractions == PRETOKEN_ANY_CONTRACTIONS)
        end = after_contraction(view, at, words->contractions == PRETOKEN_ANY_CONTRACTIONS);
    if (end == at)
        end = after_letters(words, view, at);
    if (end == at)
        end = after_numbers(words, view, at);
    if (end == at)
        end = after_signs(words, view, at);
    return end > at ? end : after_spaces(words, view, at);
}

bool pretoken_next(struct pretoken_cut *cut)
{
    const struct pretoken_stage *stage = cut->rule->stages;
    struct view view = {.text = cut->text, .end = cut->size};

    assert(cut->at <= cut->size);
    if (cut->at == cut->size)
        return false;
    for (size_t i = 0; stage[i].set != PRETOKEN_END; i++) {
        if (cut->ends[i] <= cut->at)
            cut->ends[i] =
                stage[i].set == PRETOKEN_WORDS ? after_word(&cut->rule->words, &view, cut->at) : after_piece(&stage[i], &view, cut->at);
        assert(cut->ends[i] > cut->at && cut->ends[i] <= view.end);
        view.end = cut->ends[i];
    }
    cut->at = view.end;
    return true;
}
