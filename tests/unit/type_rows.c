#include "tests/unit/type_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool is_expected(uint32_t type, const struct tensor_type_info *info, enum type_rows which)
{
    switch (which) {
    case TYPE_ROWS_ALL:
        return true;
    case TYPE_ROWS_ROUNDED:
        return type != TYPE_F32;
    case TYPE_ROWS_32:
        return info->block_values == 32;
    case TYPE_ROWS_256:
        return info->block_values == 256;
    }
    return false;
}

static bool has_row(const void *rows, size_t count, size_t row_bytes, uint32_t type)
{
    for (size_t i = 0; i < count; i++) {
        enum tensor_type found;

        memcpy(&found, (const char *)rows + i * row_bytes, sizeof found);
        if (found == type)
            return true;
    }
    return false;
}

void type_rows_expect(const void *rows, size_t count, size_t row_bytes, enum type_rows which)
{
    for (uint32_t type = 0; type < TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);

        if (info != NULL && is_expected(type, info, which) && !has_row(rows, count, row_bytes, type))
            fail_msg("there is no row for %s", info->name);
    }
}
