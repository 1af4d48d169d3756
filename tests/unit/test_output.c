/* What `run` prints, captured from stdout and stderr. */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/common/hash.h"
#include "node/run/output.h"
#include "vocab.h"

enum { TEXT_BYTES = 4096, HELLO = FIRST, WORLD, QUOTE, E_ACUTE_1 = BYTES + 0xc3, E_ACUTE_2 = BYTES + 0xa9 };

static struct tokenizer *tokenizer;
static struct output output;
static struct run_options options;
static struct fail fail;

/* ---- capturing ---- */

static char text[TEXT_BYTES];
static int kept_fd, file_fd;
static FILE *captured;

static void capture(FILE *stream)
{
    char path[] = "/tmp/test_output.XXXXXX";

    captured = stream;
    file_fd = mkstemp(path);
    assert_true(file_fd >= 0);
    unlink(path);
    fflush(stream);
    kept_fd = dup(fileno(stream));
    assert_true(kept_fd >= 0 && dup2(file_fd, fileno(stream)) >= 0);
}

/* Restores the stream; its output is in text. */
static void release(void)
{
    fflush(captured);
    dup2(kept_fd, fileno(captured));
    close(kept_fd);
    ssize_t size = pread(file_fd, text, sizeof text - 1, 0);
    close(file_fd);
    assert_true(size >= 0);
    text[size] = '\0';
}

/* ---- a generation ---- */

static int open_tokenizer(void **state)
{
    const struct vocab vocab = {.model = "llama",
                                .extra = {{SPACE "Hello", -1, NORMAL}, {SPACE "world", -2, NORMAL}, {"\"\n", -3, NORMAL}}};

    (void)state;
    tokenizer = vocab_open(&vocab);
    return tokenizer == NULL;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    options = (struct run_options){0};
    return 0;
}

/* ids ends with -1. */
static int print_tokens(bool has_prompt, const int64_t *ids)
{
    int err = 0;

    capture(stdout);
    output_begin(&output, &options, tokenizer, has_prompt);
    for (; *ids >= 0 && err == 0; ids++)
        err = output_token(&output, &(const struct member_token){.id = (uint32_t)*ids, .digest = (uint64_t)*ids << 32}, &fail);
    if (err == 0)
        err = output_end(&output, &fail);
    release();
    return err;
}
#define PRINTS(expected, has_prompt, ...)                                                  \
    do {                                                                                   \
        assert_int_equal(print_tokens(has_prompt, (const int64_t[]){__VA_ARGS__, -1}), 0); \
        assert_string_equal(text, expected);                                               \
    } while (0)

static void the_text_of_tokens_ends_with_a_newline(void **state)
{
    (void)state;
    PRINTS(" Hello world\n", true, HELLO, WORLD);
}

static void without_a_prompt_the_first_space_is_left_out(void **state)
{
    (void)state;
    PRINTS("Hello world\n", false, HELLO, WORLD);
}

static void without_a_prompt_the_first_space_stays_if_the_vocabulary_puts_none(void **state)
{
    struct vocab v = {.model = "llama", .extra = {{SPACE "Hello", 0, NORMAL}}, .flag = "tokenizer.ggml.add_space_prefix"};
    struct tokenizer *usual = tokenizer;

    (void)state;
    tokenizer = vocab_open(&v);
    PRINTS(" Hello\n", false, HELLO);
    tokenizer_close(tokenizer);
    tokenizer = usual;
}

static void a_character_of_two_tokens_is_written_whole(void **state)
{
    (void)state;
    PRINTS(" Hello\xc3\xa9 world\n", true, HELLO, E_ACUTE_1, E_ACUTE_2, WORLD);
}

static void a_character_that_is_never_finished_is_replaced(void **state)
{
    (void)state;
    PRINTS(" Hello\xef\xbf\xbd\n", true, HELLO, E_ACUTE_1);
}

static void a_token_that_the_vocabulary_lacks_has_no_text(void **state)
{
    (void)state;
    PRINTS(" Hello world\n", true, HELLO, QUOTE + 1, 4000000000, WORLD);
}

static void ids_are_printed_instead_of_text(void **state)
{
    (void)state;
    options.ids = true;
    PRINTS("259 4000000000 260\n", true, HELLO, 4000000000, WORLD);
}

static void json_has_an_event_for_every_token(void **state)
{
    (void)state;
    options.json = true;
    PRINTS("{\"schema_version\":1,\"event\":\"token\",\"text\":\" Hello\",\"id\":259}\n"
           "{\"schema_version\":1,\"event\":\"token\",\"text\":\"\\\"\\n\",\"id\":261}\n"
           "{\"schema_version\":1,\"event\":\"token\",\"text\":\"\",\"id\":198}\n"
           "{\"schema_version\":1,\"event\":\"token\",\"text\":\"\xc3\xa9\",\"id\":172}\n",
           true, HELLO, QUOTE, E_ACUTE_1, E_ACUTE_2);
}

static void json_tells_the_rest_of_a_character_that_is_never_finished(void **state)
{
    (void)state;
    options.json = true;
    PRINTS("{\"schema_version\":1,\"event\":\"token\",\"text\":\"\",\"id\":198}\n"
           "{\"schema_version\":1,\"event\":\"rest\",\"text\":\"\xef\xbf\xbd\"}\n",
           true, E_ACUTE_1);
}

static void the_digest_depends_on_the_order_of_ids_and_sums_the_logits(void **state)
{
    char expected[200];
    uint64_t ids = hash_mix64(hash_mix64(HELLO) ^ WORLD);

    (void)state;
    options.digest = true;
    snprintf(expected, sizeof expected, " Hello world\ndigest tokens=2 ids=%016" PRIx64 " logits=%016" PRIx64 "\n", ids,
             (uint64_t)(HELLO + WORLD) << 32);
    PRINTS(expected, true, HELLO, WORLD);
    assert_int_equal(print_tokens(true, (const int64_t[]){WORLD, HELLO, -1}), 0);
    assert_true(output.ids_digest != ids);
}

static void a_stdout_that_is_full_is_told(void **state)
{
    int full = open("/dev/full", O_WRONLY), kept = dup(1);

    (void)state;
    if (full < 0)
        skip();
    fflush(stdout);
    output_begin(&output, &options, tokenizer, true);
    dup2(full, 1);
    int err = output_token(&output, &(const struct member_token){.id = HELLO}, &fail);
    __fpurge(stdout);
    clearerr(stdout);
    dup2(kept, 1);
    close(kept);
    close(full);
    assert_int_equal(err, -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_true(strncmp(fail.text, "stdout: cannot write: ", 22) == 0);
}

/* ---- figures ---- */

static const struct member_outcome outcome = {
    .submitted_ns = 1000000000, .first_token_ns = 1500000000, .done_ns = 3500000000, .tokens = 11};
static const struct member_report reports[] = {
    {.is_there = true,
     .threads = 2,
     .compute_ns = 2500000000,
     .decode_datagrams = 300,
     .decode_bytes = 20000,
     .decode_send_calls = 100,
     .decode_receive_calls = 4000,
     .decode_wait_calls = 10,
     .decode_yields = 70,
     .lost = 1,
     .naks = 2,
     .resent = 3},
    {.is_there = false},
    {.is_there = true,
     .threads = 1,
     .compute_ns = 1250000000,
     .decode_datagrams = 200,
     .decode_bytes = 30000,
     .decode_send_calls = 150,
     .decode_receive_calls = 2000,
     .decode_wait_calls = 5,
     .decode_yields = 80,
     .lost = 10,
     .naks = 20,
     .resent = 30,
     .duplicates_sent = 5,
     .kernel_drops = 4},
};
static const struct output_figures figures = {
    .prompt_tokens = 100, .threads = 2, .kernel = "scalar", .cipher = "none", .outcome = &outcome, .reports = reports, .ranks = 3};

static void figures_for_people_are_on_stderr(void **state)
{
    (void)state;
    output_begin(&output, &options, tokenizer, true);
    capture(stderr);
    int err = output_figures(&output, &figures, &fail);
    release();
    assert_int_equal(err, 0);
    assert_string_equal(text,
                        "3 nodes, 2 threads each, scalar: prompt 100 tokens at 200.0 tok/s, generated 11 at 5.0 tok/s, time to first token "
                        "500.0 ms\nutilisation 0.50 0.00 0.50; per token 5.0 kB in 50 datagrams sent; lost 11, NAKs sent 22, "
                        "resent 33, copies sent 5; 4 dropped by the kernel, whose socket buffer was full\n");
}

static void figures_of_one_node_say_nothing_of_a_network(void **state)
{
    struct output_figures one = figures;

    (void)state;
    one.ranks = 1;
    one.threads = 1;
    output_begin(&output, &options, tokenizer, true);
    capture(stderr);
    int err = output_figures(&output, &one, &fail);
    release();
    assert_int_equal(err, 0);
    assert_true(strncmp(text, "1 node, 1 thread each, scalar: ", 31) == 0);
    assert_null(strstr(text, "datagrams"));
}

static void the_summary_in_json_is_on_stdout(void **state)
{
    (void)state;
    options.json = true;
    options.lab_text = "loss=1%";
    output_begin(&output, &options, tokenizer, true);
    capture(stdout);
    int err = output_figures(&output, &figures, &fail);
    release();
    assert_int_equal(err, 0);
    assert_string_equal(
        text, "{\"schema_version\":1,\"event\":\"summary\",\"nodes\":3,\"threads\":2,\"kernel\":\"scalar\",\"security\":"
              "\"none\",\"cipher\":\"none\","
              "\"topology\":\"mesh\",\"pipeline\":\"on\","
              "\"prompt_tokens\":100,"
              "\"prompt_tok_per_s\":200,\"gen_tokens\":11,\"gen_tok_per_s\":5,\"ttft_ms\":500,\"utilisation\":[0.5,0,0.5],"
              "\"bytes_sent_per_token\":5000,\"packets_sent_per_token\":50,\"send_calls_per_token\":25,\"receive_calls_per_"
              "token\":600,"
              "\"wait_calls_per_token\":1.5,\"yield_calls_per_token\":15,"
              "\"system_calls_per_token\":641.5,"
              "\"lost\":11,\"naks\":22,\"resent\":33,\"duplicates_"
              "sent\":5,\"dropped_by_kernel\":4,"
              "\"digest_ids\":\"0000000000000000\",\"digest_logits\":\"0000000000000000\",\"reason\":\"length\",\"lab\":\"loss=1%\"}\n");
}

static void nothing_is_divided_by_zero_when_no_token_came(void **state)
{
    const struct member_outcome none = {.submitted_ns = 5, .done_ns = 5};
    struct output_figures nothing = figures;

    (void)state;
    nothing.outcome = &none;
    options.json = true;
    output_begin(&output, &options, tokenizer, true);
    capture(stdout);
    int err = output_figures(&output, &nothing, &fail);
    release();
    assert_int_equal(err, 0);
    assert_non_null(strstr(text, "\"prompt_tok_per_s\":0,\"gen_tokens\":0,\"gen_tok_per_s\":0,\"ttft_ms\":0,\"utilisation\":[0,0,0],"
                                 "\"bytes_sent_per_token\":0,\"packets_sent_per_token\":0,"));
}

#define output_test(function) cmocka_unit_test_setup(function, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        output_test(the_text_of_tokens_ends_with_a_newline),
        output_test(without_a_prompt_the_first_space_is_left_out),
        output_test(without_a_prompt_the_first_space_stays_if_the_vocabulary_puts_none),
        output_test(a_character_of_two_tokens_is_written_whole),
        output_test(a_character_that_is_never_finished_is_replaced),
        output_test(a_token_that_the_vocabulary_lacks_has_no_text),
        output_test(ids_are_printed_instead_of_text),
        output_test(json_has_an_event_for_every_token),
        output_test(json_tells_the_rest_of_a_character_that_is_never_finished),
        output_test(the_digest_depends_on_the_order_of_ids_and_sums_the_logits),
        output_test(a_stdout_that_is_full_is_told),
        output_test(figures_for_people_are_on_stderr),
        output_test(figures_of_one_node_say_nothing_of_a_network),
        output_test(the_summary_in_json_is_on_stdout),
        output_test(nothing_is_divided_by_zero_when_no_token_came),
    };

    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
