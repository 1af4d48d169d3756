#include "unicode_class.h"

enum { CLASS_BITS = 4, CLASS_MASK = (1 << CLASS_BITS) - 1, CODE_POINT_MAX = 0x10ffff };

enum unicode_class unicode_class(uint32_t code_point)
{
    size_t first = 0, end = unicode_class_range_count; /* the range is in first .. end - 1 */

    if (code_point > CODE_POINT_MAX)
        return UNICODE_OTHER;
    while (end - first > 1) {
        const size_t middle = first + (end - first) / 2;

        if (unicode_class_ranges[middle] >> CLASS_BITS <= code_point)
            first = middle;
        else
            end = middle;
    }
    return (enum unicode_class)(unicode_class_ranges[first] & CLASS_MASK);
}
