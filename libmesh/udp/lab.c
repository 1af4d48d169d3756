/* The --lab specification as text: one table says each part's name, units, limit and what is allowed.
 *
 * Numbers are read as integers and scaled by the unit, never through floating point, so "0.1%" is exactly 1000 ppm
 * in every locale. *lab is written only when the whole text is good. */
#include "mesh/lab.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "mesh/err.h"

enum { LAB_UNITS = 4, LAB_PARTS = 8, LAB_FRACTION_DIGITS_MAX = 9 };

struct lab_unit {
    const char *name; /* NULL ends the list */
    uint64_t scale;
};

struct lab_part {
    const char *name;
    struct lab_unit units[LAB_UNITS + 1]; /* the longest suffix that matches must come first */
    uint64_t max;
    size_t offset;
    size_t bytes; /* 4 or 8: width of the field */
    const char *allowed;
};

#define LAB_FIELD(name)  offsetof(struct mesh_lab, name), sizeof((struct mesh_lab *)0)->name
#define LAB_PERCENT      {{"%", 10000}}, 1000000
#define LAB_PERCENT_TEXT "0% to 100%, e.g. 1% or 0.05%"
#define LAB_SPEED        {{"GB/s", 1000000000}, {"MB/s", 1000000}, {"kB/s", 1000}}, 1000000000000000
#define LAB_SPEED_TEXT   "a speed in GB/s, MB/s or kB/s, at most 1000000GB/s, e.g. 10GB/s"

static const struct lab_part lab_parts[LAB_PARTS] = {
    {"pace", LAB_SPEED, LAB_FIELD(pace_bytes_per_s), LAB_SPEED_TEXT},
    {"later", LAB_SPEED, LAB_FIELD(later_bytes_per_s), LAB_SPEED_TEXT},
    {"after", {{"ms", 1000000}, {"s", 1000000000}}, 3600000000000, LAB_FIELD(after_ns), "a time in ms or s, at most 3600s, e.g. 8s"},
    {"delay",
     {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}},
     10000000000,
     LAB_FIELD(delay_ns),
     "a time in ns, us, ms or s, at most 10s, e.g. 50us"},
    {"loss", LAB_PERCENT, LAB_FIELD(loss_ppm), LAB_PERCENT_TEXT},
    {"dup", LAB_PERCENT, LAB_FIELD(duplicate_ppm), LAB_PERCENT_TEXT},
    {"reorder", LAB_PERCENT, LAB_FIELD(reorder_ppm), LAB_PERCENT_TEXT},
    {"seed", {{"", 1}}, UINT64_MAX, LAB_FIELD(seed), "a whole number below 2^64, e.g. 7"},
};

struct lab_text {
    const char *begin;
    size_t size;
};

static bool lab_text_is(struct lab_text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.begin, word, text.size) == 0;
}

static const struct lab_part *lab_find(struct lab_text name)
{
    for (size_t i = 0; i < LAB_PARTS; i++)
        if (lab_text_is(name, lab_parts[i].name))
            return &lab_parts[i];
    return NULL;
}

static bool lab_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at the start of *text times scale, added to *value; *text moves past them. False when it exceeds 2^64. */
static bool lab_whole(struct lab_text *text, uint64_t scale, uint64_t *value)
{
    uint64_t whole = 0;

    while (text->size > 0 && lab_is_digit(*text->begin)) {
        const uint64_t digit = (uint64_t)(*text->begin - '0');

        if (__builtin_mul_overflow(whole, 10u, &whole) || __builtin_add_overflow(whole, digit, &whole))
            return false;
        text->begin++;
        text->size--;
    }
    return !__builtin_mul_overflow(whole, scale, value);
}

static bool lab_fraction(struct lab_text *text, uint64_t scale, uint64_t *value)
{
    uint64_t parts = 0, divisor = 1;
    size_t digits = 0;

    for (; text->size > 0 && lab_is_digit(*text->begin); text->begin++, text->size--) {
        if (++digits > LAB_FRACTION_DIGITS_MAX)
            return false;
        parts = parts * 10 + (uint64_t)(*text->begin - '0');
        divisor *= 10;
    }
    *value = parts * scale / divisor; /* parts < 1e9 and scale <= 1e9: fits */
    return digits > 0;
}

static const struct lab_unit *lab_unit_of(const struct lab_part *part, struct lab_text value)
{
    size_t number = 0;

    while (number < value.size && (lab_is_digit(value.begin[number]) || value.begin[number] == '.'))
        number++;
    for (const struct lab_unit *unit = part->units; unit->name != NULL; unit++)
        if (lab_text_is((struct lab_text){value.begin + number, value.size - number}, unit->name))
            return unit;
    return NULL;
}

/* NULL, or in two or three words what is wrong with the value. */
static const char *lab_number(const struct lab_part *part, struct lab_text value, uint64_t *number)
{
    const struct lab_unit *unit = lab_unit_of(part, value);
    uint64_t whole = 0, fraction = 0;

    if (value.size == 0 || !lab_is_digit(*value.begin))
        return "is not a number";
    if (unit == NULL)
        return "has a wrong or no unit";
    if (!lab_whole(&value, unit->scale, &whole))
        return "is too large";
    if (value.size > 0 && *value.begin == '.') {
        value.begin++;
        value.size--;
        if (unit->scale == 1 || !lab_fraction(&value, unit->scale, &fraction))
            return "is too precise";
    }
    if (value.size != strlen(unit->name))
        return "is not a number";
    if (whole > part->max || fraction > part->max - whole)
        return "is too large";
    *number = whole + fraction;
    return NULL;
}

static void lab_store(const struct lab_part *part, struct mesh_lab *lab, uint64_t number)
{
    const uint32_t narrow = (uint32_t)number;

    memcpy((char *)lab + part->offset, part->bytes == sizeof narrow ? (const void *)&narrow : (const void *)&number, part->bytes);
}

static int lab_part_parse(struct lab_text text, struct mesh_lab *lab, unsigned *seen, char *reason, size_t reason_bytes)
{
    const char *equals = memchr(text.begin, '=', text.size);
    const struct lab_text name = {text.begin, equals != NULL ? (size_t)(equals - text.begin) : text.size};
    const struct lab_part *part = lab_find(name);
    const struct lab_text value =
        equals != NULL ? (struct lab_text){equals + 1, text.size - name.size - 1} : (struct lab_text){text.begin + text.size, 0};
    const char *wrong;
    uint64_t number = 0;

    if (part == NULL) {
        snprintf(reason, reason_bytes,
                 "'%.*s': unknown: pace, later, after, delay, loss, dup, reorder and seed are allowed, each as name=value",
                 (int)(name.size < 40 ? name.size : 40), name.begin);
        return MESH_EINVAL;
    }
    wrong = lab_number(part, value, &number);
    if (wrong == NULL && (*seen & 1u << (part - lab_parts)) != 0)
        wrong = "is given twice";
    if (wrong != NULL) {
        snprintf(reason, reason_bytes, "%s: '%.*s' %s: allowed is %s", part->name, (int)(value.size < 40 ? value.size : 40), value.begin,
                 wrong, part->allowed);
        return MESH_EINVAL;
    }
    *seen |= 1u << (part - lab_parts);
    lab_store(part, lab, number);
    return 0;
}

int mesh_lab_parse(const char *text, struct mesh_lab *lab, char *reason, size_t reason_bytes)
{
    struct mesh_lab parsed = {0};
    unsigned seen = 0;

    while (*text != '\0') {
        const size_t size = strcspn(text, ",");
        const int err = lab_part_parse((struct lab_text){text, size}, &parsed, &seen, reason, reason_bytes);

        if (err != 0)
            return err;
        text += size;
        if (*text == ',' && *++text == '\0') {
            snprintf(reason, reason_bytes, "ends with a comma: another part is expected after it");
            return MESH_EINVAL;
        }
    }
    if ((parsed.later_bytes_per_s > 0) != (parsed.after_ns > 0) || (parsed.later_bytes_per_s > 0 && parsed.pace_bytes_per_s == 0)) {
        snprintf(reason, reason_bytes,
                 "later and after: need each other, and pace: the speed before, as in pace=10GB/s,later=1GB/s,after=8s");
        return MESH_EINVAL;
    }
    *lab = parsed;
    return 0;
}
