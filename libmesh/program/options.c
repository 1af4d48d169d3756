/* The option parser: one pass over argv, each argument handled on its own; no state but the cursor. Help is in options_help.c. */
#include "mesh/program/options.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_LENGTH = 40, SPECS_MAX = 128 };

struct cursor {
    const struct option_spec *specs;
    size_t spec_count;
    int argc;
    char *const *argv;
    int next; /* index of the argument to read next */
    bool stopped;
    struct fail *fail;
};

static bool takes_value(const struct option_spec *spec)
{
    return spec->kind != OPTION_FLAG && spec->kind != OPTION_STOP && spec->kind != OPTION_COUNT;
}

static const struct option_spec *find_long(const struct cursor *c, const char *name, size_t length)
{
    for (size_t i = 0; i < c->spec_count; i++)
        if (strlen(c->specs[i].name) == length && memcmp(c->specs[i].name, name, length) == 0)
            return &c->specs[i];
    return NULL;
}

static const struct option_spec *find_short(const struct cursor *c, char name)
{
    for (size_t i = 0; i < c->spec_count; i++)
        if (name != '\0' && c->specs[i].short_name == name)
            return &c->specs[i];
    return NULL;
}

const char *option_metavar(const struct option_spec *spec)
{
    static const char *const names[] = {
        [OPTION_U32] = "N",      [OPTION_U64] = "N",     [OPTION_FLOAT] = "X",   [OPTION_TEXT] = "TEXT",
        [OPTION_PROSE] = "TEXT", [OPTION_LIST] = "TEXT", [OPTION_WORD] = "WORD",
    };

    return spec->metavar || !takes_value(spec) ? spec->metavar : names[spec->kind];
}

static int parse_whole(const struct option_spec *spec, const char *text, uint64_t *out, struct fail *fail)
{
    uint64_t limit = spec->kind == OPTION_U32 ? UINT32_MAX : UINT64_MAX;
    uint64_t max = spec->max ? spec->max : limit;
    uint64_t value = 0;
    bool overflow = false;
    const char *p = text;

    assert(max <= limit && spec->min <= max);
    for (; *p >= '0' && *p <= '9'; p++) {
        overflow |= __builtin_mul_overflow(value, 10u, &value);
        overflow |= __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
    }
    if (*text == '-' && text[1] >= '0' && text[1] <= '9')
        return fail_set(fail, EXIT_USAGE, "--%s: %.60s is negative: give a number from %llu to %llu", spec->name, text,
                        (unsigned long long)spec->min, (unsigned long long)max);
    if (p == text || *p != '\0')
        return fail_set(fail, EXIT_USAGE, "--%s: '%.60s' is not a whole number: give one from %llu to %llu", spec->name, text,
                        (unsigned long long)spec->min, (unsigned long long)max);
    if (overflow || value < spec->min || value > max)
        return fail_set(fail, EXIT_USAGE, "--%s: %.60s is out of range: give a number from %llu to %llu", spec->name, text,
                        (unsigned long long)spec->min, (unsigned long long)max);
    *out = value;
    return 0;
}

/* strtof also takes hexadecimal, "inf" and leading blanks; an option does not. The program never sets a locale, so the point is '.'. */
static int parse_float(const struct option_spec *spec, const char *text, struct fail *fail)
{
    bool ranged = spec->float_min != 0 || spec->float_max != 0;
    char *end = NULL;
    float value;

    if (text[0] == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0' || (value = strtof(text, &end), *end != '\0') || end == text)
        return fail_set(fail, EXIT_USAGE, "--%s: '%.60s' is not a number: give one like 0.8", spec->name, text);
    if (!isfinite(value) || (ranged && (value < spec->float_min || value > spec->float_max))) {
        if (!ranged)
            return fail_set(fail, EXIT_USAGE, "--%s: %.60s is too large for a 32-bit float: give a smaller number", spec->name, text);
        return fail_set(fail, EXIT_USAGE, "--%s: %.60s is out of range: give a number from %g to %g", spec->name, text, spec->float_min,
                        spec->float_max);
    }
    *(float *)spec->target = value;
    return 0;
}

static int parse_word(const struct option_spec *spec, const char *text, struct fail *fail)
{
    char list[300] = "";
    size_t used = 0;

    for (int i = 0; spec->words[i]; i++) {
        if (strcasecmp(spec->words[i], text) == 0) {
            *(int *)spec->target = i;
            return 0;
        }
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", spec->words[i]);
    }
    return fail_set(fail, EXIT_USAGE, "--%s: '%.60s' is not known: give one of %s", spec->name, text, list);
}

/* A variable of a shell that was never set, most likely. Elsewhere there would be nothing to name in a message. */
static int check_not_empty(const struct option_spec *spec, const char *text, struct fail *fail)
{
    if (text[0] != '\0')
        return 0;
    return fail_set(fail, EXIT_USAGE, "--%s: its value is empty: write --%s %s, or leave it out", spec->name, spec->name,
                    option_metavar(spec));
}

static int add_to_list(const struct option_spec *spec, const char *text, struct fail *fail)
{
    struct option_list *list = spec->target;

    if (list->count == OPTION_LIST_MAX)
        return fail_set(fail, EXIT_USAGE, "--%s: given more than %d times: give it less often", spec->name, OPTION_LIST_MAX);
    list->values[list->count++] = text;
    return 0;
}

static int store(const struct option_spec *spec, const char *text, struct fail *fail)
{
    uint64_t whole;

    switch (spec->kind) {
    case OPTION_FLAG:
    case OPTION_STOP:
        *(bool *)spec->target = true;
        return 0;
    case OPTION_COUNT:
        ++*(unsigned *)spec->target;
        return 0;
    case OPTION_U32:
        if (parse_whole(spec, text, &whole, fail))
            return -1;
        *(uint32_t *)spec->target = (uint32_t)whole;
        return 0;
    case OPTION_U64:
        return parse_whole(spec, text, spec->target, fail);
    case OPTION_FLOAT:
        return parse_float(spec, text, fail);
    case OPTION_TEXT:
        if (check_not_empty(spec, text, fail) < 0)
            return -1;
        *(const char **)spec->target = text;
        return 0;
    case OPTION_PROSE:
        *(const char **)spec->target = text;
        return 0;
    case OPTION_LIST:
        return check_not_empty(spec, text, fail) < 0 ? -1 : add_to_list(spec, text, fail);
    case OPTION_WORD:
        return parse_word(spec, text, fail);
    }
    assert(!"option kind");
    return -1;
}

static int accept(struct cursor *c, const struct option_spec *spec, const char *text)
{
    if (store(spec, text, c->fail))
        return -1;
    if (spec->was_set)
        *spec->was_set = true;
    if (spec->kind == OPTION_STOP)
        c->stopped = true;
    return 0;
}

/* Is this argument an option of the table? Then it is not taken for the value of the one before, where a value was forgotten. */
static bool is_option(const struct cursor *c, const char *argument)
{
    if (argument[0] != '-' || argument[1] == '\0')
        return false;
    if (argument[1] == '-')
        return argument[2] == '\0' || find_long(c, argument + 2, strcspn(argument + 2, "="));
    return argument[2] == '\0' && find_short(c, argument[1]);
}

static int accept_next(struct cursor *c, const struct option_spec *spec)
{
    if (c->next >= c->argc)
        return fail_set(c->fail, EXIT_USAGE, "--%s: value missing: write --%s %s", spec->name, spec->name, option_metavar(spec));
    if (is_option(c, c->argv[c->next]))
        return fail_set(c->fail, EXIT_USAGE, "--%s: value missing, '%.60s' follows: write --%s %s, or --%s=%.60s if that is the value",
                        spec->name, c->argv[c->next], spec->name, option_metavar(spec), spec->name, c->argv[c->next]);
    return accept(c, spec, c->argv[c->next++]);
}

static int fail_unknown(const struct cursor *c, const char *name, size_t length)
{
    const char *names[SPECS_MAX + 1];
    char given[NAME_MAX_LENGTH + 1];
    const char *nearest;
    size_t copied = length < NAME_MAX_LENGTH ? length : NAME_MAX_LENGTH;

    for (size_t i = 0; i < c->spec_count; i++)
        names[i] = c->specs[i].name;
    names[c->spec_count] = NULL;
    memcpy(given, name, copied);
    given[copied] = '\0';
    nearest = options_nearest(given, names);
    if (nearest)
        return fail_set(c->fail, EXIT_USAGE, "--%s: unknown option: did you mean --%s?", given, nearest);
    return fail_set(c->fail, EXIT_USAGE, "--%s: unknown option: --help lists them", given);
}

static int parse_long(struct cursor *c, const char *name)
{
    size_t length = strcspn(name, "=");
    const struct option_spec *spec = find_long(c, name, length);

    if (!spec)
        return fail_unknown(c, name, length);
    if (name[length] == '\0')
        return takes_value(spec) ? accept_next(c, spec) : accept(c, spec, NULL);
    if (!takes_value(spec))
        return fail_set(c->fail, EXIT_USAGE, "--%s: takes no value, but '%.60s' is given: write --%s alone", spec->name, name + length + 1,
                        spec->name);
    return accept(c, spec, name + length + 1);
}

static int parse_short(struct cursor *c, const char *letters)
{
    for (const char *p = letters; *p != '\0' && !c->stopped; p++) {
        const struct option_spec *spec = find_short(c, *p);

        if (!spec)
            return fail_set(c->fail, EXIT_USAGE, "-%.60s: unknown option%s%.1s: --help lists them", letters, letters[1] ? " letter " : "",
                            letters[1] ? p : "");
        if (takes_value(spec))
            return p[1] == '\0' ? accept_next(c, spec) : accept(c, spec, p + 1);
        if (accept(c, spec, NULL))
            return -1;
    }
    return 0;
}

static int add_operand(struct options_operands *operands, const char *text, struct fail *fail)
{
    size_t max = operands ? operands->max : 0;

    if (max == 0)
        return fail_set(fail, EXIT_USAGE, "'%.60s': not an option, and nothing else is taken: see --help", text);
    if (operands->count == max)
        return fail_set(fail, EXIT_USAGE, "'%.60s': one too many: give %s", text, operands->metavar);
    if (text[0] == '\0' && !operands->may_be_empty)
        return fail_set(fail, EXIT_USAGE, "'': an empty argument: give %s", operands->metavar);
    operands->values[operands->count++] = text;
    return 0;
}

static void check_table(const struct option_spec *specs, size_t spec_count)
{
    assert(spec_count <= SPECS_MAX);
    for (size_t i = 0; i < spec_count; i++) {
        assert(specs[i].target && strlen(specs[i].name) <= NAME_MAX_LENGTH);
        assert((specs[i].kind == OPTION_WORD) == (specs[i].words != NULL));
        for (size_t j = 0; j < i; j++) {
            assert(strcmp(specs[i].name, specs[j].name) != 0);
            assert(specs[i].short_name == '\0' || specs[i].short_name != specs[j].short_name);
        }
    }
}

int options_parse(const struct option_spec *specs, size_t spec_count, int argc, char *const *argv, struct options_operands *operands,
                  struct fail *fail)
{
    struct cursor c = {.specs = specs, .spec_count = spec_count, .argc = argc, .argv = argv, .fail = fail};
    bool options_ended = false;

    check_table(specs, spec_count);
    if (operands)
        operands->count = 0;
    while (c.next < argc && !c.stopped) {
        const char *argument = argv[c.next++];
        int result;

        if (options_ended || argument[0] != '-' || argument[1] == '\0') {
            result = add_operand(operands, argument, fail);
        } else if (argument[1] != '-') {
            result = parse_short(&c, argument + 1);
        } else if (argument[2] != '\0') {
            result = parse_long(&c, argument + 2);
        } else {
            options_ended = true;
            continue;
        }
        if (result)
            return -1;
    }
    if (!c.stopped && operands && operands->count < operands->min)
        return fail_set(fail, EXIT_USAGE, "%s: missing: give it on the command line, see --help", operands->metavar);
    return 0;
}
