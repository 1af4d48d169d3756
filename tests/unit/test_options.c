/* The option parser: every accepted form, every refusal with its message, and the help text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mesh/program/options.h"

static const char *const kv_words[] = {"f16", "f32", "q8_0", NULL};

/* All values that tests examine; each parse() sets them anew. */
static struct {
    bool ids, help, temp_set;
    unsigned verbose;
    uint32_t tokens;
    uint64_t seed;
    float temp, penalty;
    const char *model, *name;
    struct option_list join;
    int kv;
    const char *files[2];
    struct options_operands operands;
    struct fail fail;
} got;

static const struct option_spec specs[] = {
    {.name = "model", .short_name = 'm', .kind = OPTION_TEXT, .target = &got.model, .metavar = "MODEL.gguf", .help = "the model to run"},
    {.name = "tokens",
     .short_name = 'n',
     .kind = OPTION_U32,
     .target = &got.tokens,
     .min = 1,
     .max = 1000,
     .help = "how many tokens to generate (100)"},
    {.name = "seed", .kind = OPTION_U64, .target = &got.seed, .metavar = "S", .help = "seed of the draw (one is drawn)"},
    {.name = "temp",
     .kind = OPTION_FLOAT,
     .target = &got.temp,
     .was_set = &got.temp_set,
     .float_min = 0,
     .float_max = 100,
     .help = "temperature; 0 always takes the most likely token, which is also what a comparison of two clusters should use (0.8)"},
    {.name = "penalty", .kind = OPTION_FLOAT, .target = &got.penalty, .help = "penalty (0)"},
    {.name = "join", .kind = OPTION_LIST, .target = &got.join, .metavar = "ADDR:PORT", .help = "a member to join; repeatable"},
    {.name = "kv-type", .kind = OPTION_WORD, .target = &got.kv, .words = kv_words, .help = "type of the cache (f16)"},
    {.name = "ids", .short_name = 'i', .kind = OPTION_FLAG, .target = &got.ids, .help = "print ids"},
    {.name = "verbose", .short_name = 'v', .kind = OPTION_COUNT, .target = &got.verbose, .help = "more of it"},
    {.name = "name", .short_name = 'N', .kind = OPTION_PROSE, .target = &got.name},
    {.name = "hidden", .kind = OPTION_FLAG, .target = &got.ids},
    {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &got.help, .help = "this text"},
};
enum { SPEC_COUNT = sizeof specs / sizeof specs[0], ARGUMENTS_MAX = 80 };

static int parse_list(size_t operands_min, size_t operands_max, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX];
    int argc = 0;

    memset(&got, 0, sizeof got);
    got.tokens = 100;
    got.operands = (struct options_operands){.metavar = "IN.gguf OUT.gguf", .min = operands_min, .max = operands_max, .values = got.files};
    while (arguments[argc]) {
        argv[argc] = (char *)(uintptr_t)arguments[argc];
        argc++;
    }
    return options_parse(specs, SPEC_COUNT, argc, argv, &got.operands, &got.fail);
}
#define parse(...) parse_list(0, 2, (const char *const[]){__VA_ARGS__, NULL})

static void refused(int result, const char *message)
{
    assert_int_equal(result, -1);
    assert_int_equal(got.fail.exit_code, EXIT_USAGE);
    assert_string_equal(got.fail.text, message);
}

/* As of a variable that a shell has not. A file of no name would be "mesh-node: : cannot be opened". */
static void a_name_that_is_empty_is_refused_by_its_option(void **state)
{
    (void)state;
    refused(parse("--model", ""), "--model: its value is empty: write --model MODEL.gguf, or leave it out");
    refused(parse("-m", ""), "--model: its value is empty: write --model MODEL.gguf, or leave it out");
    refused(parse("--model="), "--model: its value is empty: write --model MODEL.gguf, or leave it out");
    refused(parse("--join", "a:1", "--join", ""), "--join: its value is empty: write --join ADDR:PORT, or leave it out");
    refused(parse("a", ""), "'': an empty argument: give IN.gguf OUT.gguf");
    assert_int_equal(parse("--name", ""), 0);
    assert_string_equal(got.name, "");
}

static void an_empty_operand_is_taken_where_it_may_be(void **state)
{
    char *const argv[] = {(char[]){""}, NULL};

    (void)state;
    memset(&got, 0, sizeof got);
    got.operands = (struct options_operands){.metavar = "a filter", .max = 2, .values = got.files, .may_be_empty = true};
    assert_int_equal(options_parse(specs, SPEC_COUNT, 1, argv, &got.operands, &got.fail), 0);
    assert_int_equal(got.operands.count, 1);
}

static void every_form_of_a_value_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(parse("--tokens", "7"), 0);
    assert_int_equal(got.tokens, 7);
    assert_int_equal(parse("--tokens=8"), 0);
    assert_int_equal(got.tokens, 8);
    assert_int_equal(parse("-n", "9"), 0);
    assert_int_equal(got.tokens, 9);
    assert_int_equal(parse("-n10"), 0);
    assert_int_equal(got.tokens, 10);
    assert_int_equal(parse("-in", "11", "-N", ""), 0);
    assert_int_equal(got.tokens, 11);
    assert_true(got.ids);
    assert_string_equal(got.name, "");
    assert_int_equal(parse("--model=a=b"), 0);
    assert_string_equal(got.model, "a=b");
}

static void what_is_not_given_keeps_its_default(void **state)
{
    (void)state;
    assert_int_equal(parse("--temp", "0"), 0);
    assert_int_equal(got.tokens, 100);
    assert_true(got.temp_set);
    assert_int_equal(parse("--ids"), 0);
    assert_false(got.temp_set);
}

static void the_last_of_repeated_options_counts_and_lists_collect(void **state)
{
    (void)state;
    assert_int_equal(parse("-n", "1", "-n", "2", "--join", "a:1", "--join=b:2"), 0);
    assert_int_equal(got.tokens, 2);
    assert_int_equal(got.join.count, 2);
    assert_string_equal(got.join.values[0], "a:1");
    assert_string_equal(got.join.values[1], "b:2");
}

static void a_counted_option_counts_how_often_it_is_given(void **state)
{
    (void)state;
    assert_int_equal(parse("-i"), 0);
    assert_int_equal(got.verbose, 0);
    assert_int_equal(parse("-vv", "--verbose", "-ivn7"), 0);
    assert_int_equal(got.verbose, 4);
    assert_true(got.ids);
    assert_int_equal(got.tokens, 7);
    refused(parse("--verbose=2"), "--verbose: takes no value, but '2' is given: write --verbose alone");
}

static void a_list_is_bounded(void **state)
{
    const char *arguments[OPTION_LIST_MAX + 2];

    (void)state;
    for (size_t i = 0; i < OPTION_LIST_MAX + 1; i++)
        arguments[i] = "--join=a:1";
    arguments[OPTION_LIST_MAX + 1] = NULL;
    refused(parse_list(0, 0, arguments), "--join: given more than 64 times: give it less often");
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(parse("a", "--", "--ids"), 0);
    assert_int_equal(got.operands.count, 2);
    assert_string_equal(got.files[0], "a");
    assert_string_equal(got.files[1], "--ids");
    assert_false(got.ids);
    assert_int_equal(parse("-"), 0);
    assert_string_equal(got.files[0], "-");
}

static void operands_are_counted(void **state)
{
    (void)state;
    refused(parse("a", "b", "c"), "'c': one too many: give IN.gguf OUT.gguf");
    refused(parse_list(2, 2, (const char *const[]){"a", NULL}), "IN.gguf OUT.gguf: missing: give it on the command line, see --help");
    refused(parse_list(0, 0, (const char *const[]){"a", NULL}), "'a': not an option, and nothing else is taken: see --help");
    assert_int_equal(options_parse(specs, SPEC_COUNT, 0, NULL, NULL, &got.fail), 0);
}

static void help_is_reached_even_when_operands_are_missing(void **state)
{
    (void)state;
    assert_int_equal(parse_list(2, 2, (const char *const[]){"--help", "--nonsense", NULL}), 0);
    assert_true(got.help);
    assert_int_equal(parse_list(2, 2, (const char *const[]){"-hx", NULL}), 0);
    assert_true(got.help);
}

static void an_unknown_option_is_answered_with_the_nearest_one(void **state)
{
    (void)state;
    refused(parse("--tmep", "1"), "--tmep: unknown option: did you mean --temp?");
    refused(parse("--tokns=3"), "--tokns: unknown option: did you mean --tokens?");
    refused(parse("--kv", "f16"), "--kv: unknown option: did you mean --kv-type?");
    refused(parse("--qqqqqqqq"), "--qqqqqqqq: unknown option: --help lists them");
    refused(parse("-q"), "-q: unknown option: --help lists them");
    refused(parse("-iq"), "-iq: unknown option letter q: --help lists them");
    refused(parse("--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            "--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: unknown option: --help lists them");
}

static void a_missing_value_is_noticed(void **state)
{
    (void)state;
    refused(parse("--tokens"), "--tokens: value missing: write --tokens N");
    refused(parse("-m"), "--model: value missing: write --model MODEL.gguf");
    refused(parse("-m", "--temp", "1"),
            "--model: value missing, '--temp' follows: write --model MODEL.gguf, or --model=--temp if that is the value");
    refused(parse("-m", "-n", "1"), "--model: value missing, '-n' follows: write --model MODEL.gguf, or --model=-n if that is the value");
    assert_int_equal(parse("--penalty", "-0.5", "-m", "- a list"), 0);
    assert_true(got.penalty == -0.5F);
    assert_string_equal(got.model, "- a list");
    refused(parse("--ids=yes"), "--ids: takes no value, but 'yes' is given: write --ids alone");
}

static void whole_numbers_are_checked_to_the_last_character(void **state)
{
    static const char *const garbage[] = {"12x", "", " 1", "1 ", "+1", "-", "0x10", "1.5", "1e3", "nan"};
    char message[120];

    (void)state;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        snprintf(message, sizeof message, "--tokens: '%s' is not a whole number: give one from 1 to 1000", garbage[i]);
        refused(parse("--tokens", garbage[i]), message);
    }
    refused(parse("-n", "-1"), "--tokens: -1 is negative: give a number from 1 to 1000");
    refused(parse("-n", "0"), "--tokens: 0 is out of range: give a number from 1 to 1000");
    refused(parse("-n", "1001"), "--tokens: 1001 is out of range: give a number from 1 to 1000");
    refused(parse("-n", "18446744073709551617"), "--tokens: 18446744073709551617 is out of range: give a number from 1 to 1000");
    assert_int_equal(parse("--seed", "18446744073709551615"), 0);
    assert_true(got.seed == UINT64_MAX);
    refused(parse("--seed", "18446744073709551616"),
            "--seed: 18446744073709551616 is out of range: give a number from 0 to 18446744073709551615");
}

static void floats_are_checked_to_the_last_character(void **state)
{
    static const char *const garbage[] = {"0.8x", "", "nan", "inf", "-inf", "0x1p3", " 1", "1,5", ".", "--1", "1e", "NaN"};
    char message[120];

    (void)state;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        snprintf(message, sizeof message, "--temp: '%s' is not a number: give one like 0.8", garbage[i]);
        refused(parse("--temp", garbage[i]), message);
    }
    refused(parse("--temp", "-0.1"), "--temp: -0.1 is out of range: give a number from 0 to 100");
    refused(parse("--temp", "1e39"), "--temp: 1e39 is out of range: give a number from 0 to 100");
    refused(parse("--penalty", "1e39"), "--penalty: 1e39 is too large for a 32-bit float: give a smaller number");
    assert_int_equal(parse("--temp=1.5e1"), 0);
    assert_true(got.temp == 15.0F);
}

static void words_are_matched_in_any_case_and_listed_when_wrong(void **state)
{
    (void)state;
    assert_int_equal(parse("--kv-type", "Q8_0"), 0);
    assert_int_equal(got.kv, 2);
    refused(parse("--kv-type", "q4"), "--kv-type: 'q4' is not known: give one of f16, f32, q8_0");
}

static void help_is_made_from_the_table(void **state)
{
    static const char *const usage[] = {"mesh-node run -m MODEL.gguf", "mesh-node run --help", NULL};
    static const char *const examples[] = {"mesh-node run -m m.gguf -p Hello", NULL};
    static const char expected[] = "usage: mesh-node run -m MODEL.gguf\n"
                                   "       mesh-node run --help\n"
                                   "\n"
                                   "  -m, --model MODEL.gguf      the model to run\n"
                                   "  -n, --tokens N              how many tokens to generate (100)\n"
                                   "      --seed S                seed of the draw (one is drawn)\n"
                                   "      --temp X                temperature; 0 always takes the most likely token, which is also what\n"
                                   "                              a comparison of two clusters should use (0.8)\n"
                                   "      --penalty X             penalty (0)\n"
                                   "      --join ADDR:PORT        a member to join; repeatable\n"
                                   "      --kv-type f16|f32|q8_0  type of the cache (f16)\n"
                                   "  -i, --ids                   print ids\n"
                                   "  -v, --verbose               more of it\n"
                                   "  -h, --help                  this text\n"
                                   "\n"
                                   "examples:\n"
                                   "  mesh-node run -m m.gguf -p Hello\n";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    options_help(out, usage, specs, SPEC_COUNT, examples);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void the_nearest_word_is_only_offered_when_it_is_near(void **state)
{
    static const char *const words[] = {"run", "serve", "status", "synth", NULL};

    (void)state;
    assert_string_equal(options_nearest("rnu", words), "run");
    assert_string_equal(options_nearest("stats", words), "status");
    assert_string_equal(options_nearest("sta", words), "status");
    assert_null(options_nearest("x", words));
    assert_null(options_nearest("train", words));
    assert_null(options_nearest("", words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_is_empty_is_refused_by_its_option),
        cmocka_unit_test(an_empty_operand_is_taken_where_it_may_be),
        cmocka_unit_test(every_form_of_a_value_is_accepted),
        cmocka_unit_test(what_is_not_given_keeps_its_default),
        cmocka_unit_test(the_last_of_repeated_options_counts_and_lists_collect),
        cmocka_unit_test(a_counted_option_counts_how_often_it_is_given),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(operands_are_counted),
        cmocka_unit_test(help_is_reached_even_when_operands_are_missing),
        cmocka_unit_test(an_unknown_option_is_answered_with_the_nearest_one),
        cmocka_unit_test(a_missing_value_is_noticed),
        cmocka_unit_test(whole_numbers_are_checked_to_the_last_character),
        cmocka_unit_test(floats_are_checked_to_the_last_character),
        cmocka_unit_test(words_are_matched_in_any_case_and_listed_when_wrong),
        cmocka_unit_test(help_is_made_from_the_table),
        cmocka_unit_test(the_nearest_word_is_only_offered_when_it_is_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
