/* Plots and phrases: every template is right in all its alternatives, and reads as prose whatever is drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "node/common/hash.h"
#include "node/stories/stories_cast.h"
#include "node/stories/stories_phrases.h"
#include "tests/unit/prose.h"

enum { CASTS = 800, STORY_SIZE = 8192 };

static void check_template(const struct stories_scene *scene, const char *where, const char *template)
{
    const char *reason;

    if (!stories_grammar_check(scene, template, &reason))
        fail_msg("%s: %.60s", where, reason);
}

static void every_template_of_every_plot_can_be_expanded_in_all_its_alternatives(void **state)
{
    (void)state;
    for (size_t p = 0; stories_plots[p] != NULL; p++)
        for (uint64_t key = 0; key < CASTS; key++) {
            struct stories_cast cast;

            stories_cast_fill(&cast, stories_plots[p], key);
            for (size_t i = 0; stories_plots[p]->text[i] != NULL; i++)
                check_template(&cast.scene, stories_plots[p]->name, stories_plots[p]->text[i]);
        }
}

static size_t tell(const struct stories_plot *plot, uint64_t key, char *story)
{
    struct stories_cast cast;
    struct stories_text text;

    stories_cast_fill(&cast, plot, key);
    stories_text_begin(&text, story, STORY_SIZE);
    for (uint64_t i = 0; plot->text[i] != NULL; i++)
        stories_grammar_expand(&text, &cast.scene, plot->text[i], hash_words3(key, i, 0));
    stories_text_end(&text);
    assert_false(text.truncated);
    return text.size;
}

/* At any length, also where the plot's stories are shorter. */
static void every_plot_gives_clean_prose(void **state)
{
    static char story[STORY_SIZE];
    char reason[PROSE_REASON_SIZE];

    (void)state;
    for (size_t p = 0; stories_plots[p] != NULL; p++)
        for (uint64_t key = 0; key < CASTS; key++)
            if (!prose_is_clean(story, tell(stories_plots[p], key, story), reason))
                fail_msg("%s, key %u: %s", stories_plots[p]->name, (unsigned)key, reason);
}

static void plots_have_names_of_their_own(void **state)
{
    size_t count = 0;

    (void)state;
    for (; stories_plots[count] != NULL; count++)
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(stories_plots[i]->name, stories_plots[count]->name);
    assert_true(count >= 12);
}

static bool uses(const char *text, const char *phrase)
{
    const size_t size = strlen(phrase);

    for (const char *at = strchr(text, '{'); at != NULL; at = strchr(at + 1, '{'))
        if ((at[1] | 0x20) == phrase[0] && memcmp(at + 2, phrase + 1, size - 1) == 0 && strchr("} ", at[1 + size]) != NULL)
            return true;
    return false;
}

static bool is_used(const char *phrase)
{
    for (size_t i = 0; i < stories_phrase_count; i++)
        if (uses(stories_phrases[i].text, phrase))
            return true;
    for (size_t p = 0; stories_plots[p] != NULL; p++)
        for (size_t i = 0; stories_plots[p]->text[i] != NULL; i++)
            if (uses(stories_plots[p]->text[i], phrase))
                return true;
    return false;
}

static void every_phrase_is_used(void **state)
{
    (void)state;
    for (size_t i = 0; i < stories_phrase_count; i++)
        if (!is_used(stories_phrases[i].name))
            fail_msg("%s is not used", stories_phrases[i].name);
}

static void phrases_are_found_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < stories_phrase_count; i++) {
        const char *name = stories_phrases[i].name;

        assert_ptr_equal(stories_phrase_find(name, strlen(name)), &stories_phrases[i]);
        if (i > 0)
            assert_true(strcmp(stories_phrases[i - 1].name, name) < 0);
    }
    assert_null(stories_phrase_find("", 0));
    assert_null(stories_phrase_find("say", 3));
    assert_null(stories_phrase_find("sayss", 5));
    assert_null(stories_phrase_find("zzz", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_template_of_every_plot_can_be_expanded_in_all_its_alternatives),
        cmocka_unit_test(every_plot_gives_clean_prose),
        cmocka_unit_test(plots_have_names_of_their_own),
        cmocka_unit_test(every_phrase_is_used),
        cmocka_unit_test(phrases_are_found_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
