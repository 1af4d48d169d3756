/* From an expression to a program in one pass of recursive descent, as deep as parentheses may be nested.
 *
 *   either  = both { or both }        both = negated { and negated }        negated = { not } ( "(" either ")" | test ) */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "filter_literal.h"

enum { SHOWN_BEFORE = 50, SHOWN = 90, MESSAGE_BYTES = 330 };

struct parser {
    const char *text;
    struct filter_token token; /* the next one */
    struct filter *filter;
    struct fail *fail;
    unsigned depth;
};

/* ---- errors ---- */

static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* For `return fail_at(parser, token, format...)`: a macro for the same reason as fail_set. */
#define fail_at(...) (fail_fill_at(__VA_ARGS__), fail_result())

/* The error, then the expression (if it is long, the part around the error), then a mark below it. */
__attribute__((format(printf, 3, 4))) static void fail_fill_at(struct parser *p, const struct filter_token *token, const char *format, ...)
{
    const size_t column = (size_t)(token->text - p->text);
    size_t first = column > SHOWN_BEFORE ? column - SHOWN_BEFORE : 0, marks = token->length > 0 ? token->length - 1 : 0, shown;
    char message[MESSAGE_BYTES], line[SHOWN + 1], mark[SHOWN + 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (unsigned back = 0; back < 3 && first > 0 && is_inside_character(p->text[first]); back++)
        first--; /* to the start of a character; no further in text that is not UTF-8 */
    snprintf(line, sizeof line, "%.*s", SHOWN - 1, p->text + first);
    for (shown = 0; line[shown] != '\0'; shown++)
        if ((unsigned char)line[shown] < ' ' || line[shown] == 0x7f)
            line[shown] = ' ';
    memset(mark, ' ', sizeof mark);
    if (marks > SHOWN - (column - first) - 1)
        marks = SHOWN - (column - first) - 1;
    mark[column - first] = '^';
    memset(mark + (column - first) + 1, '~', marks);
    mark[column - first + 1 + marks] = '\0';
    fail_fill(p->fail, EXIT_USAGE, "-Y: column %zu: %s\n  %s\n  %s", column + 1, message, line, mark);
}

/* ---- the program as it grows ---- */

static void advance(struct parser *p)
{
    p->token = filter_lex(p->token.text + p->token.length);
}

static int add_op(struct parser *p, struct filter_op op)
{
    if (p->filter->op_count == FILTER_OPS_MAX)
        return fail_at(p, &p->token, "too long: at most %d tests and operators fit", FILTER_OPS_MAX);
    p->filter->ops[p->filter->op_count++] = op;
    return 0;
}

static int add_range(struct parser *p, const struct filter_range *range)
{
    if (p->filter->range_count == FILTER_RANGES_MAX)
        return fail_at(p, &p->token, "too long: at most %d values fit", FILTER_RANGES_MAX);
    p->filter->ranges[p->filter->range_count++] = *range;
    return 0;
}

/* ---- values ---- */

static bool is_value(const struct filter_token *token)
{
    return token->kind == TOKEN_WORD || token->kind == TOKEN_STRING;
}

static int fail_value(struct parser *p)
{
    if (p->token.kind == TOKEN_UNENDED)
        return fail_at(p, &p->token, "a text without end: close it with a quote");
    if (p->token.kind == TOKEN_END)
        return fail_at(p, &p->token, "it ends here: a value is missing");
    return fail_at(p, &p->token, "no value: expected a number, a name, an address or a \"text\"");
}

static int read_value(struct parser *p, const struct filter_field *field, struct filter_range *out)
{
    char why[FILTER_WHY_BYTES];

    if (!is_value(&p->token))
        return fail_value(p);
    if (!filter_literal(p->filter, field, &p->token, out, why))
        return fail_at(p, &p->token, "'%.*s': %s", (int)(p->token.length < 60 ? p->token.length : 60), p->token.text, why);
    advance(p);
    return 0;
}

/* Widen a value to the values less than it, and so on. For bytes a flag excludes those equal to the limit. */
static void widen_bytes(enum filter_token_kind relation, struct filter_range *range)
{
    const struct filter_piece low = range->low_bytes;

    switch (relation) {
    case TOKEN_LT:
        range->high_bytes = low;
        range->is_high_out = true;
        range->has_low = false;
        break;
    case TOKEN_LE:
        range->has_low = false;
        break;
    case TOKEN_GT:
        range->low_bytes = range->high_bytes;
        range->is_low_out = true;
        range->has_high = false;
        break;
    case TOKEN_GE:
        range->has_high = false;
        break;
    default:
        break;
    }
}

/* False: there are no such numbers. */
static bool widen_number(enum filter_token_kind relation, struct filter_range *range)
{
    const uint64_t low = range->low, high = range->high;

    switch (relation) {
    case TOKEN_LT:
        *range = (struct filter_range){.low = 0, .high = low - 1};
        return low > 0;
    case TOKEN_LE:
        range->low = 0;
        return true;
    case TOKEN_GT:
        *range = (struct filter_range){.low = high + 1, .high = UINT64_MAX};
        return high < UINT64_MAX;
    case TOKEN_GE:
        range->high = UINT64_MAX;
        return true;
    default:
        return true;
    }
}

/* ---- tests ---- */

static int compare(struct parser *p, const struct filter_field *field, struct filter_op *op, enum filter_token_kind relation)
{
    struct filter_range range;

    op->kind = relation == TOKEN_NE ? FILTER_NONE : FILTER_ANY;
    if (read_value(p, field, &range) < 0)
        return -1;
    if (filter_kind_is_bytes(field->kind))
        widen_bytes(relation, &range);
    else if (!widen_number(relation, &range))
        return 0; /* no ranges: the test is false */
    op->count = 1;
    return add_range(p, &range);
}

/* Behind "{". Commas between values are optional, as they once were in tshark. */
static int read_set(struct parser *p, const struct filter_field *field, struct filter_op *op)
{
    do {
        const struct filter_token first = p->token;
        struct filter_range range, last;

        if (read_value(p, field, &range) < 0)
            return -1;
        if (p->token.kind == TOKEN_TO) {
            advance(p);
            if (read_value(p, field, &last) < 0)
                return -1;
            range.high = last.high;
            range.high_bytes = last.high_bytes;
            if (!filter_kind_is_bytes(field->kind) && range.low > range.high)
                return fail_at(p, &first, "an empty range: write the lower value first");
        }
        if (add_range(p, &range) < 0)
            return -1;
        op->count++;
        if (p->token.kind == TOKEN_COMMA)
            advance(p);
    } while (p->token.kind != TOKEN_CLOSE_SET);
    advance(p);
    return 0;
}

static int read_in(struct parser *p, const struct filter_field *field, struct filter_op *op)
{
    op->kind = FILTER_ANY;
    if (p->token.kind != TOKEN_OPEN_SET)
        return fail_at(p, &p->token, "'in' without a set: write in {1, 3, 5..9}");
    advance(p);
    return read_set(p, field, op);
}

/* For numbers with names: select those whose name contains the text. */
static int contain_words(struct parser *p, const struct filter_field *field, struct filter_op *op)
{
    struct filter_range piece = {0};
    char why[FILTER_WHY_BYTES], text[FILTER_NAME_BYTES];
    const char *word;
    uint64_t value;

    if (!filter_literal_piece(p->filter, &p->token, true, &piece, why))
        return fail_at(p, &p->token, "%s", why);
    snprintf(text, sizeof text, "%.*s", (int)piece.low_bytes.size, (const char *)p->filter->pool + piece.low_bytes.at);
    op->kind = FILTER_ANY;
    for (unsigned i = 0; filter_field_word(field, i, &word, &value); i++) {
        if (strcasestr(word, text) == NULL)
            continue;
        if (add_range(p, &(struct filter_range){.low = value, .high = value}) < 0)
            return -1;
        op->count++;
    }
    advance(p);
    return 0;
}

static int read_contains(struct parser *p, const struct filter_field *field, struct filter_op *op)
{
    struct filter_range piece = {0};
    char why[FILTER_WHY_BYTES];
    const char *word;
    uint64_t value;

    if (!is_value(&p->token))
        return fail_value(p);
    if (field->kind == FILTER_NUMBER && filter_field_word(field, 1, &word, &value))
        return contain_words(p, field, op);
    if (field->kind != FILTER_TEXT && field->kind != FILTER_BYTES)
        return fail_at(p, &p->token, "contains: %s is neither text nor bytes: compare it with ==", field->name);
    if (!filter_literal_piece(p->filter, &p->token, field->kind == FILTER_TEXT, &piece, why))
        return fail_at(p, &p->token, "%s", why);
    advance(p);
    op->kind = FILTER_CONTAINS;
    op->count = 1;
    return add_range(p, &piece);
}

static int read_mask(struct parser *p, const struct filter_field *field, struct filter_op *op)
{
    struct filter_range mask;

    if (field->kind != FILTER_NUMBER)
        return fail_at(p, &p->token, "&: %s is not a number", field->name);
    advance(p);
    if (read_value(p, field, &mask) < 0)
        return -1;
    op->mask = mask.low;
    return 0;
}

/* A field alone tests for presence; a flag or masked bits test for not 0. */
static int read_presence(struct parser *p, const struct filter_field *field, struct filter_op *op, bool has_mask)
{
    op->kind = FILTER_IS_THERE;
    if (!has_mask && field->kind != FILTER_FLAG)
        return 0;
    op->kind = FILTER_ANY;
    op->count = 1;
    return add_range(p, &(struct filter_range){.low = 1, .high = UINT64_MAX});
}

static int read_relation(struct parser *p, const struct filter_field *field, struct filter_op *op, bool has_mask)
{
    const struct filter_token token = p->token;

    if (token.kind < TOKEN_EQ || token.kind > TOKEN_IN)
        return read_presence(p, field, op, has_mask);
    if (field->kind == FILTER_PRESENCE)
        return fail_at(p, &token, "%s has no value of its own: write it alone, or one of its fields, as %s.%s", field->name, field->name,
                       field->part->fields[0].name);
    advance(p);
    if (token.kind == TOKEN_CONTAINS)
        return read_contains(p, field, op);
    return token.kind == TOKEN_IN ? read_in(p, field, op) : compare(p, field, op, token.kind);
}

/* ---- fields ---- */

static int fail_field(struct parser *p, enum filter_found found, const char *hint)
{
    const int length = (int)(p->token.length < 60 ? p->token.length : 60);

    if (found == FILTER_AMBIGUOUS)
        return fail_at(p, &p->token, "'%.*s': of which message? write %s", length, p->token.text, hint);
    if (p->token.length >= 12 && memcmp(p->token.text + p->token.length - 12, "not_captured", 12) == 0)
        return fail_at(p, &p->token, "a datagram that was not captured has no line: --analyze counts it");
    if (hint[0] != '\0')
        return fail_at(p, &p->token, "'%.*s': no such field: did you mean %s?", length, p->token.text, hint);
    return fail_at(p, &p->token, "'%.*s': no such field: mesh-dissect --export filter lists them", length, p->token.text);
}

static int read_field(struct parser *p, uint16_t *index)
{
    struct filter *filter = p->filter;
    struct filter_field *field = &filter->fields[filter->field_count];
    enum filter_found found;
    char hint[200] = "";

    if (p->token.kind == TOKEN_END)
        return fail_at(p, &p->token, "it ends here: a field is missing");
    if (p->token.kind == TOKEN_BAD && *p->token.text == '=')
        return fail_at(p, &p->token, "=: write == to compare");
    if (p->token.kind != TOKEN_WORD)
        return fail_at(p, &p->token, "expected the name of a field, such as tile.phase");
    if (filter->field_count == FILTER_FIELDS_MAX)
        return fail_at(p, &p->token, "too long: at most %d fields fit", FILTER_FIELDS_MAX);
    found = filter_field_find(p->token.text, p->token.length, field, hint);
    if (found != FILTER_FOUND)
        return fail_field(p, found, hint);
    *index = filter->field_count++;
    advance(p);
    return 0;
}

static int read_test(struct parser *p)
{
    struct filter_op op = {.mask = UINT64_MAX, .first = p->filter->range_count};
    const struct filter_field *field;
    bool is_negated = false, has_mask;

    if (read_field(p, &op.field) < 0)
        return -1;
    field = &p->filter->fields[op.field];
    has_mask = p->token.kind == TOKEN_MASK;
    if (has_mask && read_mask(p, field, &op) < 0)
        return -1;
    if (p->token.kind == TOKEN_NOT && filter_lex(p->token.text + p->token.length).kind == TOKEN_IN) {
        is_negated = true;
        advance(p);
    }
    if (read_relation(p, field, &op, has_mask) < 0 || add_op(p, op) < 0)
        return -1;
    return is_negated ? add_op(p, (struct filter_op){.kind = FILTER_NOT}) : 0;
}

/* ---- expressions ---- */

static int read_either(struct parser *p);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as FILTER_DEPTH_MAX */
static int read_negated(struct parser *p)
{
    bool is_negated = false;

    for (; p->token.kind == TOKEN_NOT; advance(p))
        is_negated = !is_negated;
    if (p->token.kind != TOKEN_OPEN) {
        if (read_test(p) < 0)
            return -1;
    } else {
        const struct filter_token open = p->token;

        if (++p->depth > FILTER_DEPTH_MAX)
            return fail_at(p, &open, "more than %d nested parentheses", FILTER_DEPTH_MAX);
        advance(p);
        if (read_either(p) < 0)
            return -1;
        if (p->token.kind != TOKEN_CLOSE)
            return p->token.kind == TOKEN_END ? fail_at(p, &open, "this parenthesis is not closed")
                                              : fail_at(p, &p->token, "expected 'and', 'or' or )");
        p->depth--;
        advance(p);
    }
    return is_negated ? add_op(p, (struct filter_op){.kind = FILTER_NOT}) : 0;
}

/* Operands joined by one operator: the first one that decides skips the rest. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as FILTER_DEPTH_MAX */
static int read_chain(struct parser *p, enum filter_token_kind operator, enum filter_op_kind skip, int (*operand)(struct parser *))
{
    const uint16_t first = p->filter->op_count;

    if (operand(p) < 0)
        return -1;
    while (p->token.kind == operator) {
        advance(p);
        if (add_op(p, (struct filter_op){.kind = skip}) < 0 || operand(p) < 0)
            return -1;
    }
    for (uint16_t i = first; i < p->filter->op_count; i++)
        if (p->filter->ops[i].kind == skip && p->filter->ops[i].target == 0)
            p->filter->ops[i].target = p->filter->op_count;
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as FILTER_DEPTH_MAX */
static int read_both(struct parser *p)
{
    return read_chain(p, TOKEN_AND, FILTER_SKIP_FALSE, read_negated);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as FILTER_DEPTH_MAX */
static int read_either(struct parser *p)
{
    return read_chain(p, TOKEN_OR, FILTER_SKIP_TRUE, read_both);
}

struct filter *filter_compile(const char *text, struct fail *fail)
{
    struct parser p = {.text = text, .token = filter_lex(text), .filter = calloc(1, sizeof *p.filter), .fail = fail};
    int result;

    if (p.filter == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the filter: close other programs"), NULL;
    result = p.token.kind == TOKEN_END ? 0 : read_either(&p); /* an empty filter lets everything through */
    if (result == 0 && p.token.kind != TOKEN_END) {
        if (p.token.kind == TOKEN_BAD && *p.token.text == '=')
            result = fail_at(&p, &p.token, "=: write == to compare");
        else
            result = fail_at(&p, &p.token, "expected 'and' or 'or'");
    }
    if (result == 0)
        return p.filter;
    filter_free(p.filter);
    return NULL;
}
