/* Saved requests: of several copies the one with the longer history is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/simsaved.h"

static uint32_t tokens[] = {5, 6, 7, 8, 9, 10};

static struct request request_of(uint64_t id, uint32_t prompt_count)
{
    return (struct request){.id = id, .prompt = tokens, .prompt_count = prompt_count, .predict = 10};
}

static void requests_are_copied_and_found(void **state)
{
    struct simsaved saved = {0};

    (void)state;
    for (uint64_t id = 1; id <= 100; id++) {
        struct request request = request_of(id, (uint32_t)(1 + id % 6));

        assert_int_equal(simsaved_add(&saved, &request), 0);
    }
    assert_int_equal(saved.count, 100);
    for (uint64_t id = 1; id <= 100; id++) {
        const struct request *found = simsaved_find(&saved, id);

        assert_true(found->id == id && found->prompt != tokens);
        assert_int_equal(found->prompt_count, 1 + id % 6);
        assert_memory_equal(found->prompt, tokens, found->prompt_count * sizeof *tokens);
    }
    assert_null(simsaved_find(&saved, 101));
    simsaved_release(&saved);
    assert_int_equal(saved.count, 0);
}

static void the_longer_history_stays(void **state)
{
    static const uint32_t lengths[] = {2, 5, 3, 6, 6, 1}, kept[] = {2, 5, 5, 6, 6, 6};
    struct simsaved saved = {0};
    struct request other = request_of(2, 1);

    (void)state;
    assert_int_equal(simsaved_add(&saved, &other), 0);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct request request = request_of(1, lengths[i]);

        request.generated_before = lengths[i] - 1;
        assert_int_equal(simsaved_add(&saved, &request), 0);
        assert_int_equal(saved.count, 2);
        assert_int_equal(simsaved_find(&saved, 1)->prompt_count, kept[i]);
        assert_int_equal(simsaved_find(&saved, 1)->generated_before, kept[i] - 1);
    }
    simsaved_release(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_copied_and_found),
        cmocka_unit_test(the_longer_history_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
