/* Classes of characters: samples of each, and that the table is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/tokenizer/unicode_class.h"

static void characters_have_the_class_of_their_category(void **state)
{
    static const struct {
        uint32_t code_point;
        enum unicode_class class;
    } samples[] = {{'A', UNICODE_UPPER},       {0xc9, UNICODE_UPPER},      {0x1c5, UNICODE_UPPER},        {'z', UNICODE_LOWER},
                   {0xdf, UNICODE_LOWER},      {0x2b0, UNICODE_LETTER},    {0xaa, UNICODE_LETTER},        {0x4e00, UNICODE_LETTER},
                   {0x597d, UNICODE_LETTER},   {0xd7a3, UNICODE_LETTER},   {0x2a6df, UNICODE_LETTER},     {0x301, UNICODE_MARK},
                   {0xe0101, UNICODE_MARK},    {'7', UNICODE_NUMBER},      {0x661, UNICODE_NUMBER},       {0xbd, UNICODE_NUMBER},
                   {0x2167, UNICODE_NUMBER},   {'_', UNICODE_PUNCTUATION}, {0x3002, UNICODE_PUNCTUATION}, {'$', UNICODE_SYMBOL},
                   {'`', UNICODE_SYMBOL},      {0x1f600, UNICODE_SYMBOL},  {'\t', UNICODE_SPACE},         {' ', UNICODE_SPACE},
                   {0x85, UNICODE_SPACE},      {0xa0, UNICODE_SPACE},      {0x2029, UNICODE_SPACE},       {0x3000, UNICODE_SPACE},
                   {0, UNICODE_OTHER},         {0x1f, UNICODE_OTHER},      {0x200b, UNICODE_OTHER},       {0x378, UNICODE_OTHER},
                   {0xd800, UNICODE_OTHER},    {0xe000, UNICODE_OTHER},    {0x10ffff, UNICODE_OTHER},     {0x110000, UNICODE_OTHER},
                   {UINT32_MAX, UNICODE_OTHER}};

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        assert_int_equal(unicode_class(samples[i].code_point), samples[i].class);
}

static void ranges_ascend_from_zero_and_differ_from_their_neighbours(void **state)
{
    (void)state;
    assert_int_equal(unicode_class_ranges[0] >> 4, 0);
    for (size_t i = 0; i < unicode_class_range_count; i++) {
        assert_in_range(unicode_class_ranges[i] & 15, UNICODE_OTHER, UNICODE_SPACE);
        if (i > 0) {
            assert_true(unicode_class_ranges[i] >> 4 > unicode_class_ranges[i - 1] >> 4);
            assert_int_not_equal(unicode_class_ranges[i] & 15, unicode_class_ranges[i - 1] & 15);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_the_class_of_their_category),
        cmocka_unit_test(ranges_ascend_from_zero_and_differ_from_their_neighbours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
