#include "stories_grammar.h"

#include <assert.h>
#include <string.h>

#include "node/common/hash.h"
#include "stories_phrases.h"
#include "stories_table.h"

enum { DEPTH_MAX = 24, ALTERNATIVES_MAX = 40, REFERENCE_MAX = 40, OPTIONAL_ONE_IN = 4 };

/* A piece of a template. */
struct span {
    const char *begin;
    const char *end;
};

/* A sequence of random choices. */
struct draw {
    uint64_t key;
    uint64_t count;
};

static uint64_t next_draw(struct draw *draw)
{
    return hash_words3(draw->key, draw->count++, 0);
}

struct expansion {
    struct stories_text *text; /* NULL when only checking */
    const struct stories_scene *scene;
    const char *wrong; /* where the template is wrong, NULL while it is right */
    unsigned depth;
};

/* What {...} refers to. */
struct reference {
    struct span name;
    struct span column; /* empty: the first */
    struct span slot;   /* of a phrase; empty: as before */
    bool capital;
    char first; /* of the name, as a small letter */
};

static void expand_span(struct expansion *e, struct span span, const struct stories_slot *x, struct draw *draw);

/* ---- references ---- */

static struct span whole(const char *text)
{
    return (struct span){text, text + strlen(text)};
}

static bool is_word(struct span span, char first, const char *word)
{
    const size_t size = (size_t)(span.end - span.begin);

    return size > 0 && word[0] == first && strlen(word) == size && memcmp(span.begin + 1, word + 1, size - 1) == 0;
}

static struct span take_until(const char **at, const char *end, const char *marks)
{
    const char *begin = *at;

    while (*at < end && strchr(marks, **at) == NULL)
        ++*at;
    return (struct span){begin, *at};
}

static struct reference parse_reference(struct span inside)
{
    struct reference r = {0};
    const char *at = inside.begin;

    r.name = take_until(&at, inside.end, ". ");
    if (at < inside.end && *at == '.') {
        at++;
        r.column = (struct span){at, inside.end};
    } else if (at < inside.end) {
        at++;
        r.slot = (struct span){at, inside.end};
    }
    if (r.name.begin < r.name.end) {
        r.first = *r.name.begin;
        r.capital = r.first >= 'A' && r.first <= 'Z';
        if (r.capital)
            r.first = (char)(r.first - 'A' + 'a');
    }
    return r;
}

static const struct stories_slot *find_slot(const struct expansion *e, struct span name, char first, const struct stories_slot *x)
{
    if (is_word(name, first, "x"))
        return x;
    for (size_t i = 0; i < e->scene->slot_count; i++)
        if (is_word(name, first, e->scene->slots[i].name))
            return &e->scene->slots[i];
    return NULL;
}

/* The number of the slot's column, or -1; an empty name is the first. */
static int find_column(const struct stories_slot *slot, struct span name, char first)
{
    if (name.begin == name.end)
        return 0;
    for (int i = 0; slot->columns[i] != NULL; i++)
        if (is_word(name, first, slot->columns[i]))
            return i;
    return -1;
}

static void go_deeper(struct expansion *e, const char *template, const struct stories_slot *x, struct draw *draw)
{
    assert(e->depth < DEPTH_MAX);
    e->depth++;
    expand_span(e, whole(template), x, draw);
    e->depth--;
}

static bool expand_column(struct expansion *e, const struct stories_slot *slot, struct span name, char first)
{
    const int column = find_column(slot, name, first);

    if (column < 0 || slot->texts[column] == NULL)
        return false;

    struct draw draw = {hash_words3(slot->key, (uint64_t)column, 0), 0};

    go_deeper(e, slot->texts[column], slot, &draw);
    return true;
}

static bool expand_phrase(struct expansion *e, const struct reference *r, const struct stories_slot *x, struct draw *draw)
{
    char name[REFERENCE_MAX];
    const size_t size = (size_t)(r->name.end - r->name.begin);

    if (size == 0 || size > sizeof name || r->column.begin < r->column.end)
        return false;
    memcpy(name, r->name.begin, size);
    name[0] = r->first;

    const struct stories_phrase *phrase = stories_phrase_find(name, size);

    if (r->slot.begin < r->slot.end)
        x = find_slot(e, r->slot, *r->slot.begin, x);
    if (phrase == NULL || x == NULL)
        return false;
    go_deeper(e, phrase->text, x, draw);
    return true;
}

static bool expand_known(struct expansion *e, const struct reference *r, const struct stories_slot *x, struct draw *draw)
{
    const struct stories_slot *slot = find_slot(e, r->name, r->first, x);
    const struct stories_slot *hero = find_slot(e, whole("hero"), 'h', x);

    if (slot != NULL && r->slot.begin == r->slot.end)
        return expand_column(e, slot, r->column, r->column.begin < r->column.end ? *r->column.begin : 0);
    if (r->column.begin == r->column.end && r->slot.begin == r->slot.end && hero != NULL && find_column(hero, r->name, r->first) >= 0)
        return expand_column(e, hero, r->name, r->first);
    return expand_phrase(e, r, x, draw);
}

static void expand_reference(struct expansion *e, struct span inside, const struct stories_slot *x, struct draw *draw)
{
    const struct reference r = parse_reference(inside);

    if (e->text != NULL && r.capital)
        e->text->capital = true;
    if (r.first == 'a' && r.name.end - r.name.begin == 1) {
        if (e->text != NULL)
            stories_text_article(e->text);
    } else if ((r.first == 0 || !expand_known(e, &r, x, draw)) && e->wrong == NULL) {
        e->wrong = inside.begin;
    }
}

/* ---- alternatives ---- */

/* What stands in brackets. */
struct choice {
    struct span alternatives[ALTERNATIVES_MAX];
    size_t count;
    bool is_optional;
};

/* Read the brackets that open at `open`. Returns where they close, or NULL. */
static const char *read_choice(const char *open, const char *end, struct choice *choice)
{
    const char *p = open + 1;
    unsigned level = 1;

    choice->is_optional = p < end && *p == '?';
    p += choice->is_optional;
    choice->alternatives[0].begin = p;
    choice->count = 1;
    for (; p < end; p++) {
        if (*p == '[') {
            level++;
        } else if (*p == ']' && --level == 0) {
            choice->alternatives[choice->count - 1].end = p;
            return p;
        } else if (*p == '|' && level == 1) {
            assert(choice->count < ALTERNATIVES_MAX);
            choice->alternatives[choice->count - 1].end = p;
            choice->alternatives[choice->count++].begin = p + 1;
        }
    }
    return NULL;
}

static uint32_t find_tag(struct span name)
{
    static const char *const words[] = {
#define STORIES_WORD(name, word) #word,
        STORIES_TAGS(STORIES_WORD)
#undef STORIES_WORD
    };

    for (size_t i = 0; i < STORIES_TAG_COUNT; i++)
        if (name.begin < name.end && is_word(name, *name.begin, words[i]))
            return (uint32_t)1 << i;
    return 0;
}

/* Take the guards off an alternative; whether they hold. */
static bool take_guards(struct expansion *e, struct span *alternative)
{
    bool holds = true;

    while (alternative->begin < alternative->end && *alternative->begin == '@') {
        const char *at = alternative->begin + 1;
        const bool negated = at < alternative->end && *at == '!';

        at += negated;

        const uint32_t tag = find_tag(take_until(&at, alternative->end, "@ "));

        if (tag == 0 && e->wrong == NULL)
            e->wrong = alternative->begin;
        holds = holds && ((e->scene->facts & tag) != 0) != negated;
        alternative->begin = at;
    }
    return holds;
}

static void expand_choice(struct expansion *e, struct choice *choice, const struct stories_slot *x, struct draw *draw)
{
    const char *begin = choice->alternatives[0].begin;
    size_t count = 0;

    if (e->text != NULL && choice->is_optional && next_draw(draw) % OPTIONAL_ONE_IN != 0)
        return;
    for (size_t i = 0; i < choice->count; i++) {
        struct span alternative = choice->alternatives[i];
        const bool holds = take_guards(e, &alternative);

        if (e->text == NULL)
            expand_span(e, alternative, x, draw);
        if (holds)
            choice->alternatives[count++] = alternative;
    }
    if (count == 0 && e->wrong == NULL)
        e->wrong = begin;
    if (count > 0 && e->text != NULL)
        expand_span(e, choice->alternatives[next_draw(draw) % count], x, draw);
}

/* ---- templates ---- */

/* Expand what opens at `open`. Returns where it closes, or NULL. */
static const char *expand_opened(struct expansion *e, const char *open, const char *end, const struct stories_slot *x, struct draw *draw)
{
    const char *close = NULL;

    if (*open == '[') {
        struct choice choice;

        close = read_choice(open, end, &choice);
        if (close != NULL)
            expand_choice(e, &choice, x, draw);
    } else if (*open == '{') {
        close = memchr(open, '}', (size_t)(end - open));
        if (close != NULL)
            expand_reference(e, (struct span){open + 1, close}, x, draw);
    }
    return close;
}

static void expand_span(struct expansion *e, struct span span, const struct stories_slot *x, struct draw *draw)
{
    const char *at = span.begin;

    while (at < span.end && e->wrong == NULL) {
        const struct span plain = take_until(&at, span.end, "[{]}|");

        if (e->text != NULL)
            stories_text_put(e->text, plain.begin, plain.end);
        if (at == span.end)
            return;

        const char *close = expand_opened(e, at, span.end, x, draw);

        if (close == NULL)
            e->wrong = at;
        else
            at = close + 1;
    }
}

static const char *run(struct stories_text *text, const struct stories_scene *scene, const char *template, uint64_t key)
{
    struct expansion e = {.text = text, .scene = scene};
    struct draw draw = {key, 0};

    assert(scene->slot_count <= STORIES_SLOTS_MAX);
    expand_span(&e, whole(template), find_slot(&e, whole("hero"), 'h', NULL), &draw);
    return e.wrong;
}

void stories_grammar_expand(struct stories_text *text, const struct stories_scene *scene, const char *template, uint64_t key)
{
    stories_text_space(text);

    const char *wrong = run(text, scene, template, key);

    assert(wrong == NULL);
    (void)wrong;
}

bool stories_grammar_check(const struct stories_scene *scene, const char *template, const char **reason)
{
    *reason = run(NULL, scene, template, 0);
    return *reason == NULL;
}
