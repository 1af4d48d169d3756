/* Words for single bits, taken from the meaning of a field in the schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/bit_words.h"

static const struct mesh_wire_field *field_of(const struct mesh_wire_part *part, const char *name)
{
    for (unsigned i = 0; i < part->field_count; i++)
        if (strcmp(part->fields[i].name, name) == 0)
            return &part->fields[i];
    fail_msg("no field %s", name);
    return NULL;
}

static void every_flag_of_the_header_has_a_word(void **state)
{
    const struct mesh_wire_field *flags = field_of(&mesh_wire_header, "flags");
    uint64_t known = 0;
    struct bit_word bit;

    (void)state;
    for (unsigned i = 0; bit_words_at(flags, i, &bit); i++) {
        assert_int_equal(known & bit.mask, 0);
        known |= bit.mask;
    }
    assert_int_equal(known, MESH_FLAGS_KNOWN);
    assert_true(bit_words_at(flags, 0, &bit));
    assert_string_equal(bit.words, "to all");
    assert_string_equal(bit.name, "to_all");
    assert_true(bit_words_at(flags, 5, &bit));
    assert_int_equal(bit.mask, MESH_FLAG_AES);
    assert_string_equal(bit.words, "with AES");
    assert_string_equal(bit.name, "with_aes");
}

static void every_bit_that_a_message_may_have_has_one(void **state)
{
    struct bit_word bit;
    unsigned count = 0;

    (void)state;
    assert_true(bit_words_at(field_of(mesh_wire_message(MESH_TYPE_ALIVE), "state"), 4, &bit));
    assert_int_equal(bit.mask, MESH_ALIVE_COMMIT);
    assert_false(bit_words_at(field_of(mesh_wire_message(MESH_TYPE_ALIVE), "state"), 5, &bit));
    while (bit_words_at(field_of(mesh_wire_message(MESH_TYPE_RECORD), "fragment"), count, &bit))
        count++;
    assert_int_equal(count, 2);
}

/* Meanings such as "bit i: fragment next + 1 + i is here too" and "of the sender", and numbers that are no bits: "0: leaving". */
static void other_fields_have_none(void **state)
{
    struct bit_word bit;

    (void)state;
    assert_false(bit_words_at(field_of(mesh_wire_message(MESH_TYPE_RECORD_ACK), "later"), 0, &bit));
    assert_false(bit_words_at(field_of(mesh_wire_message(MESH_TYPE_JOIN), "app_flags"), 0, &bit));
    assert_false(bit_words_at(field_of(mesh_wire_message(MESH_TYPE_GOODBYE), "reason"), 0, &bit));
    assert_false(bit_words_at(field_of(&mesh_wire_header, "src"), 0, &bit));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag_of_the_header_has_a_word),
        cmocka_unit_test(every_bit_that_a_message_may_have_has_one),
        cmocka_unit_test(other_fields_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
