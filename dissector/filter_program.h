/* What a display filter is compiled to. One register, which each test sets; jumps go forward only. */
#ifndef DISSECTOR_FILTER_PROGRAM_H
#define DISSECTOR_FILTER_PROGRAM_H

#include "filter_field.h"

enum filter_op_kind {
    FILTER_IS_THERE,   /* the field has a value */
    FILTER_ANY,        /* one of its values is in one of the ranges */
    FILTER_NONE,       /* it has values, and none of them is in a range */
    FILTER_CONTAINS,   /* one of its values holds the bytes of `low` of the range */
    FILTER_NOT,        /* inverts the register */
    FILTER_SKIP_TRUE,  /* jump to target if the register is true */
    FILTER_SKIP_FALSE, /* jump if it is false */
};

/* Bytes in the pool. */
struct filter_piece {
    uint16_t at, size;
};

/* Values from low to high; of bytes in the order of memcmp, the shorter first. */
struct filter_range {
    uint64_t low, high; /* of numbers, both included */
    struct filter_piece low_bytes, high_bytes;
    bool has_low, has_high, is_low_out, is_high_out; /* of bytes; out: the limit is excluded */
};

struct filter_op {
    enum filter_op_kind kind;
    uint16_t field, first, count; /* index of the field; ranges */
    uint16_t target;
    uint64_t mask; /* of numbers */
};

struct filter {
    struct filter_op ops[FILTER_OPS_MAX];
    struct filter_range ranges[FILTER_RANGES_MAX];
    struct filter_field fields[FILTER_FIELDS_MAX];
    uint8_t pool[FILTER_POOL_BYTES];
    uint16_t op_count, range_count, field_count, pool_size;
};

static inline bool filter_kind_is_bytes(enum filter_kind kind)
{
    return kind >= FILTER_IPV4 && kind <= FILTER_TEXT;
}

#endif
