/* How texts are cut: cases of each rule, and all rules against the patterns that define them, on random texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/common/hash.h"
#include "node/tokenizer/pretoken.h"
#include "slow_pattern.h"

static const struct pretoken *find(const char *name)
{
    const struct pretoken *pretoken = pretoken_find(name, strlen(name));

    if (pretoken == NULL)
        fail_msg("no rule is called %s", name);
    return pretoken;
}

/* The expected words stand between bars. */
static void cuts(const char *name, const char *expected)
{
    char text[256], found[256] = "|";
    size_t size = 0, end = 1, start = 0;
    struct pretoken_cut cut = {.rule = find(name)->rule, .text = text};

    for (const char *c = expected; *c != 0; c++)
        if (*c != '|')
            text[size++] = *c;
    cut.size = size;
    while (pretoken_next(&cut)) {
        memcpy(found + end, text + start, cut.at - start);
        end += cut.at - start;
        found[end++] = '|';
        start = cut.at;
    }
    found[end] = '\0';
    assert_string_equal(found, expected);
    assert_int_equal(start, size);
}

static void llama_3_cuts_numbers_by_three_and_any_character_before_letters(void **state)
{
    (void)state;
    cuts("llama-bpe", "|");
    cuts("llama-bpe", "|Hello| world|'s| |123|45| years|.|");
    cuts("llama-bpe", "|It|'LL|-be|\thave| (|it|)\n\n|x|");
    cuts("llama-bpe", "|a|  | b| | |1|   |");
    cuts("llama-bpe", "|a|  \r\n \n| | b|\n|c|");
    cuts("llama-bpe", "|\xc3\xa9t\xc3\xa9|\xe3\x80\x80\xe5\xa5\xbd|!|");
    cuts("llama-bpe", "|\xff\xfe|a|1|\xc3"
                      "b|"); /* a broken byte is a sign, and may stand before letters */
}

static void qwen_2_cuts_single_digits(void **state)
{
    (void)state;
    cuts("qwen2", "|in| |1|2|3| we|'Ve|");
    cuts("seed-coder", "|a|.|\n|b| |1|2|");
}

static void gpt_2_lets_only_spaces_stand_before_words(void **state)
{
    (void)state;
    cuts("gpt-2", "|Hello| world|'s| 12345|\t|x|...|\n|\n|y|'|LL|");
    cuts("gpt-2", "|a|  |\n|b|");
    cuts("smollm", "|a| |1|2| b|");
}

static void letters_are_cut_by_case(void **state)
{
    (void)state;
    cuts("tekken", "|Camel|Case|HTTPServer| i|Phone|'s| |1|2|\n|");
    cuts("gpt-4o", "|He's| it's| IT'S|.\n/|123|4|");
    cuts("gpt-4o", "|\xe5\xa5\xbd|ABC| \xe5\xa5\xbdxe\xcc\x81"
                   "e|");
}

static void stages_follow_one_another(void **state)
{
    (void)state;
    cuts("deepseek-llm", "|Hello| world|!|\n|\n| |123|\xe5\xa5\xbd\xe5\xa5\xbd|  |");
    cuts("deepseek-coder", "|x| + |1|2| y|()|\n|");
    cuts("falcon", "|a|`+.|x| | |123|4|");
    cuts("default", "|a| |123|45|$+.|b|");
}

static void names_of_one_rule_stand_for_the_same(void **state)
{
    char names[PRETOKEN_NAMES_BYTES];

    (void)state;
    assert_ptr_equal(find("llama3")->rule, find("llama-bpe")->rule);
    assert_ptr_equal(find("deepseek-r1-qwen")->rule, find("qwen2")->rule);
    assert_true(find("llama-bpe")->is_whole_first && find("llama-bpe")->is_bos_added);
    assert_true(find("tekken")->is_whole_first && find("tekken")->is_bos_added);
    assert_false(find("qwen2")->is_whole_first || find("qwen2")->is_bos_added);
    assert_null(pretoken_find("llama-bp", 8));
    assert_null(pretoken_find("", 0));
    assert_string_equal(pretoken_names(names),
                        "llama-bpe, qwen2, seed-coder, tekken, gpt-4o, smollm, gpt-2, deepseek-llm, deepseek-coder, falcon, default");
}

/* ---- against the patterns ---- */

static const struct slow_character alphabet[] = {{"a", "Ll", 0},
                                                 {"s", "Ll", 0},
                                                 {"l", "Ll", 0},
                                                 {"r", "Ll", 0},
                                                 {"e", "Ll", 0},
                                                 {"S", "Lu", 0},
                                                 {"L", "Lu", 0},
                                                 {"A", "Lu", 0},
                                                 {"'", "Po", 0},
                                                 {"'", "Po", 0},
                                                 {"1", "Nd", 0},
                                                 {"2", "Nd", 0},
                                                 {" ", "Zs", 1},
                                                 {" ", "Zs", 1},
                                                 {"\n", "Cc", 1},
                                                 {"\r", "Cc", 1},
                                                 {"\t", "Cc", 1},
                                                 {".", "Po", 0},
                                                 {"/", "Po", 0},
                                                 {"$", "Sc", 0},
                                                 {"`", "Sk", 0},
                                                 {"\x01", "Cc", 0},
                                                 {"\xc3\xa9", "Ll", 0},
                                                 {"\xc3\x89", "Lu", 0},
                                                 {"\xc7\x85", "Lt", 0},
                                                 {"\xe5\xa5\xbd", "Lo", 0},
                                                 {"\xcc\x81", "Mn", 0},
                                                 {"\xe3\x80\x80", "Zs", 1},
                                                 {"\xc2\xb2", "No", 0},
                                                 {"\xca\xb0", "Lm", 0},
                                                 {"\xe1\x83\x90", "Ll", 0},
                                                 {"\xff", "", 0},
                                                 {"\xf0\x9f\x98\x80", "So", 0},
                                                 {"\xe2\x80\x9c", "Pi", 0},
                                                 {"\xe2\x82\xac", "Sc", 0},
                                                 {"\xef\xbc\x81", "Po", 0}};

enum { LETTERS = sizeof alphabet / sizeof alphabet[0], TEXTS = 3000, LENGTH_MAX = 24 };

#define SMALL  "'s|'t|'re|'ve|'m|'ll|'d"
#define ANY    "(?i:" SMALL ")"
#define GPT_2  SMALL "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PLAIN  ANY "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define CAPS   "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWS   "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"

static const struct {
    const char *name;
    const char *patterns[PRETOKEN_STAGES_MAX + 1];
} definitions[] = {
    {"gpt-2", {GPT_2}},
    {"smollm", {"\\p{N}", GPT_2}},
    {"falcon", {"[\\p{P}$+<=>^~|`]+", GPT_2, "[0-9][0-9][0-9]"}},
    {"default", {"[\\p{P}$+<=>^~|]+", GPT_2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"llama-bpe", {PLAIN "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES}},
    {"qwen2", {PLAIN "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES}},
    {"seed-coder", {PLAIN "\\p{N}| ?[^\\s\\p{L}\\p{N}]+|" SPACES}},
    {"tekken", {BEFORE CAPS "*" LOWS "+|" BEFORE CAPS "+" LOWS "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES}},
    {"gpt-4o", {BEFORE CAPS "*" LOWS "+" ANY "?|" BEFORE CAPS "+" LOWS "*" ANY "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES}},
    {"deepseek-llm",
     {"[\\r\\n]", "\\s?[A-Za-z\xc3\x89\xc3\xa9\xc7\x85]+",
      "\\s?[!-/:-~\xef\xbc\x81-\xef\xbc\x8f\xe2\x80\x98-\xe2\x80\x9f\xe3\x80\x80-\xe3\x80\x82]+", "\\s+$", "[\xe0\xa0\x80-\xe9\xbe\xa5]+",
      "\\p{N}+"}},
    {"deepseek-coder", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\xe0\xa0\x80-\xe9\xbe\xa5]+", "\\p{N}"}},
};

enum { DEFINITIONS = sizeof definitions / sizeof definitions[0] };

static void check(size_t definition, const struct slow_character *const *letters, size_t count, const char *text, const size_t *offsets)
{
    struct pretoken_cut cut = {.rule = find(definitions[definition].name)->rule, .text = text, .size = offsets[count]};
    size_t ends[LENGTH_MAX];
    const size_t words = slow_pattern_cut(definitions[definition].patterns, letters, count, ends);

    for (size_t i = 0; i < words; i++) {
        assert_true(pretoken_next(&cut));
        if (cut.at != offsets[ends[i]])
            fail_msg("%s cuts '%s' at %zu, expected %zu", definitions[definition].name, text, cut.at, offsets[ends[i]]);
    }
    assert_false(pretoken_next(&cut));
}

static void every_rule_cuts_as_its_pattern_says(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < TEXTS; seed++) {
        const size_t count = hash_words3(seed, 0, 0) % (LENGTH_MAX + 1);
        const struct slow_character *letters[LENGTH_MAX];
        size_t offsets[LENGTH_MAX + 1] = {0};
        char text[4 * LENGTH_MAX + 1] = "";

        for (size_t i = 0; i < count; i++) {
            const uint64_t drawn = hash_words3(seed, 1, i);
            const bool is_again = i > 0 && drawn % 4 == 0; /* makes runs */

            letters[i] = is_again ? letters[i - 1] : &alphabet[(drawn >> 8) % LETTERS];
            offsets[i + 1] = (size_t)(stpcpy(text + offsets[i], letters[i]->text) - text);
        }
        for (size_t definition = 0; definition < DEFINITIONS; definition++)
            check(definition, letters, count, text, offsets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_3_cuts_numbers_by_three_and_any_character_before_letters),
        cmocka_unit_test(qwen_2_cuts_single_digits),
        cmocka_unit_test(gpt_2_lets_only_spaces_stand_before_words),
        cmocka_unit_test(letters_are_cut_by_case),
        cmocka_unit_test(stages_follow_one_another),
        cmocka_unit_test(names_of_one_rule_stand_for_the_same),
        cmocka_unit_test(every_rule_cuts_as_its_pattern_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
