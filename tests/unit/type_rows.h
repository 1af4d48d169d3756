/* Tables of tests with a row for each tensor type: a type that is added makes them fail until it has one. */
#ifndef TESTS_TYPE_ROWS_H
#define TESTS_TYPE_ROWS_H

#include "node/gguf/tensor_type.h"

/* Which types a table has to have. */
enum type_rows {
    TYPE_ROWS_ALL,
    TYPE_ROWS_ROUNDED, /* all but f32, which keeps every value */
    TYPE_ROWS_32,      /* those with blocks of 32 values */
    TYPE_ROWS_256
};

/* rows: an array of structs that begin with their enum tensor_type. Fails with the name of a type that has none. */
#define TYPE_ROWS_EXPECT(rows, which) type_rows_expect(rows, sizeof(rows) / sizeof *(rows), sizeof *(rows), which)

void type_rows_expect(const void *rows, size_t count, size_t row_bytes, enum type_rows which);

#endif
