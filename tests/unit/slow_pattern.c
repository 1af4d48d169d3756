#include "slow_pattern.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Where a match may end, the preferred place first, each once. */
struct places {
    size_t at[SLOW_TEXT_MAX + 1];
    size_t count;
};

struct matcher {
    const struct slow_character *const *text;
    size_t end;
    bool ignores_case;
};

static void match_any(const struct matcher *m, const char *p, const char *p_end, size_t at, struct places *out);

static void add(struct places *places, size_t at)
{
    for (size_t i = 0; i < places->count; i++)
        if (places->at[i] == at)
            return;
    places->at[places->count++] = at;
}

/* Bytes of the pattern's character, which may be an escape. */
static size_t unit_size(const char *p)
{
    if (p[0] == '\\')
        return p[1] == 'p' ? (size_t)(strchr(p, '}') - p) + 1 : 2;
    return (unsigned char)p[0] < 0x80 ? 1 : (unsigned char)p[0] < 0xe0 ? 2 : (unsigned char)p[0] < 0xf0 ? 3 : 4;
}

static const char *after_atom(const char *p)
{
    int depth = 0;

    if (*p == '[') {
        for (p++; *p != ']'; p += unit_size(p))
            ;
        return p + 1;
    }
    if (*p != '(')
        return p + unit_size(p);
    do {
        if (*p == '[') {
            p = after_atom(p);
            continue;
        }
        depth += (*p == '(') - (*p == ')');
        p += unit_size(p);
    } while (depth > 0);
    return p;
}

static bool unit_matches(const struct matcher *m, const char *p, const struct slow_character *c)
{
    const size_t size = unit_size(p);
    char folded[2] = {c->text[0], 0};

    if (p[0] != '\\') {
        if (m->ignores_case && c->text[0] >= 'A' && c->text[0] <= 'Z')
            folded[0] = (char)(c->text[0] + 32);
        return c->text[1] == 0 ? size == 1 && folded[0] == p[0] : strlen(c->text) == size && memcmp(c->text, p, size) == 0;
    }
    switch (p[1]) {
    case 's':
        return c->is_space;
    case 'S':
        return !c->is_space;
    case 'p':
        return c->category[0] == p[3] && (p[4] == '}' || c->category[1] == p[4]);
    case 'r':
        return c->text[0] == '\r';
    case 'n':
        return c->text[0] == '\n';
    default:
        return c->text[0] == p[1] && c->text[1] == 0;
    }
}

/* Ranges compare as UTF-8, which has the order of code points; only texts that are characters can be in one. */
static bool range_matches(const char *first, const char *last, const struct slow_character *c)
{
    char low[5] = {0}, high[5] = {0};

    memcpy(low, first, unit_size(first));
    memcpy(high, last, unit_size(last));
    return c->category[0] != 0 && strcmp(c->text, low) >= 0 && strcmp(c->text, high) <= 0;
}

static bool class_matches(const struct matcher *m, const char *p, const struct slow_character *c)
{
    const bool is_negated = p[1] == '^';

    for (p += 1 + is_negated; *p != ']';) {
        const char *next = p + unit_size(p);
        const bool is_range = *next == '-' && next[1] != ']' && *p != '\\';

        if (is_range ? range_matches(p, next + 1, c) : unit_matches(m, p, c))
            return !is_negated;
        p = is_range ? next + 1 + unit_size(next + 1) : next;
    }
    return is_negated;
}

static void match_atom(const struct matcher *m, const char *p, const char *p_end, size_t at, struct places *out)
{
    struct matcher inner = *m;
    struct places found = {.count = 0};

    if (*p == '(') {
        inner.ignores_case |= p[2] == 'i';
        match_any(&inner, p + (p[2] == 'i' ? 4 : 3), p_end - 1, at, &found);
        if (p[2] == '!' && found.count == 0)
            add(out, at);
        for (size_t i = 0; i < found.count && p[2] != '!'; i++)
            add(out, found.at[i]);
    } else if (*p == '$') {
        if (at == m->end)
            add(out, at);
    } else if (at < m->end && (*p == '[' ? class_matches(m, p, m->text[at]) : unit_matches(m, p, m->text[at]))) {
        add(out, at + 1);
    }
}

/* After an atom: how often it may stand there. Returns the pattern after that. */
static const char *read_times(const char *p, const char *p_end, size_t *least, size_t *most)
{
    *least = *most = 1;
    if (p == p_end || strchr("?*+{", *p) == NULL)
        return p;
    *least = *p == '+';
    *most = *p == '?' ? 1 : SLOW_TEXT_MAX;
    if (*p++ != '{')
        return p;
    *least = (size_t)(p[0] - '0');
    *most = (size_t)(p[2] - '0');
    return p + 4;
}

static void match_sequence(const struct matcher *m, const char *p, const char *p_end, size_t at, struct places *out);

static void match_times(const struct matcher *m, const char *p, const char *p_end, size_t done, size_t at, struct places *out)
{
    const char *after = after_atom(p);
    struct places found = {.count = 0};
    size_t least, most;
    const char *rest = read_times(after, p_end, &least, &most);

    if (done < most)
        match_atom(m, p, after, at, &found);
    for (size_t i = 0; i < found.count; i++) {
        if (found.at[i] > at)
            match_times(m, p, p_end, done + 1, found.at[i], out);
        else
            match_sequence(m, rest, p_end, at, out);
    }
    if (done >= least)
        match_sequence(m, rest, p_end, at, out);
}

static void match_sequence(const struct matcher *m, const char *p, const char *p_end, size_t at, struct places *out)
{
    if (p == p_end)
        add(out, at);
    else
        match_times(m, p, p_end, 0, at, out);
}

static void match_any(const struct matcher *m, const char *p, const char *p_end, size_t at, struct places *out)
{
    while (true) {
        const char *end = p;

        while (end < p_end && *end != '|')
            end = after_atom(end);
        match_sequence(m, p, end, at, out);
        if (end >= p_end)
            return;
        p = end + 1;
    }
}

/* Every match of the pattern, and what lies between, in text[at..end-1]. */
static size_t cut_once(const char *pattern, const struct slow_character *const *text, size_t at, size_t end, size_t *ends)
{
    const struct matcher m = {.text = text, .end = end};
    size_t count = 0, gap = at;

    while (at < end) {
        struct places found = {.count = 0};

        match_any(&m, pattern, pattern + strlen(pattern), at, &found);
        if (found.count == 0 || found.at[0] == at) {
            at++;
            continue;
        }
        if (at > gap)
            ends[count++] = at;
        at = gap = ends[count++] = found.at[0];
    }
    if (end > gap)
        ends[count++] = end;
    return count;
}

size_t slow_pattern_cut(const char *const *patterns, const struct slow_character *const *text, size_t count, size_t *ends)
{
    size_t words[2][SLOW_TEXT_MAX], word_count = count > 0;

    assert(count <= SLOW_TEXT_MAX);
    words[0][0] = count;
    for (; *patterns != NULL; patterns++) {
        size_t start = 0, written = 0;

        for (size_t i = 0; i < word_count; i++) {
            written += cut_once(*patterns, text, start, words[0][i], words[1] + written);
            start = words[0][i];
        }
        memcpy(words[0], words[1], written * sizeof words[0][0]);
        word_count = written;
    }
    memcpy(ends, words[0], word_count * sizeof *ends);
    return word_count;
}
