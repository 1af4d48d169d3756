/* Requests: which can be generated, and the reasons why others cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/request.h"

enum { CTX = 10, VOCAB = 100 };

static uint32_t prompt[] = {0, 1, 2, 3, 99, 5, 6, 7, 8, 9, 10};

static struct request possible(void)
{
    return (struct request){
        .id = 1, .prompt = prompt, .prompt_count = 5, .predict = 3, .sampling = {.temperature = 0.5f, .top_p = 1, .repeat_penalty = 1}};
}

static void refused(const struct request *request, const char *why)
{
    struct fail fail = {0};

    assert_int_equal(request_check(request, CTX, VOCAB, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    if (strstr(fail.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fail.text, why);
}

static void a_request_that_can_be_generated_passes(void **state)
{
    struct request request = possible();
    struct fail fail;

    (void)state;
    assert_int_equal(request_check(&request, CTX, VOCAB, &fail), 0);
    request.prompt_count = CTX;
    request.predict = UINT32_MAX;
    request.generated_before = CTX - 1;
    assert_int_equal(request_check(&request, CTX, VOCAB, &fail), 0);
}

static void what_cannot_be_generated_is_refused_with_a_reason(void **state)
{
    struct request request = possible();

    (void)state;
    request.id = 0;
    refused(&request, "id");
    request = possible();
    request.prompt_count = 0;
    refused(&request, "empty");
    request.prompt_count = CTX + 1;
    refused(&request, "context 10");
    request = possible();
    request.predict = 0;
    refused(&request, "nothing is left");
    request = possible();
    request.generated_before = 3;
    refused(&request, "nothing is left");
    request.predict = 100;
    request.generated_before = 5;
    refused(&request, "nothing is left");
    request = possible();
    request.sampling.top_p = 0;
    refused(&request, "--top-p");
    request = possible();
    struct fail fail;
    assert_int_equal(request_check(&request, CTX, 99, &fail), -1);
    assert_non_null(strstr(fail.text, "prompt: token 4 is 99, the vocabulary has 99"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_can_be_generated_passes),
        cmocka_unit_test(what_cannot_be_generated_is_refused_with_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
