/* Classes of Unicode characters, of the version named in unicode_class_ranges.c: the same on every machine. */
#ifndef NODE_UNICODE_CLASS_H
#define NODE_UNICODE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By general category; the order is known to tests/tools/unicode-classes. */
enum unicode_class {
    UNICODE_OTHER,       /* control, format, private, not assigned */
    UNICODE_UPPER,       /* Lu, Lt */
    UNICODE_LOWER,       /* Ll */
    UNICODE_LETTER,      /* Lm, Lo: without case */
    UNICODE_MARK,        /* M */
    UNICODE_NUMBER,      /* N */
    UNICODE_PUNCTUATION, /* P */
    UNICODE_SYMBOL,      /* S */
    UNICODE_SPACE        /* the property White_Space: Z, and the controls U+0009 to U+000D and U+0085 */
};

/* Of any number; what is no code point is UNICODE_OTHER. */
enum unicode_class unicode_class(uint32_t code_point);

static inline bool unicode_is_letter(enum unicode_class class)
{
    return class >= UNICODE_UPPER && class <= UNICODE_LETTER;
}

/* Code point * 16 + class of the first character of each run, ascending from 0. For unicode_class.c only. */
extern const uint32_t unicode_class_ranges[];
extern const size_t unicode_class_range_count;

#endif
