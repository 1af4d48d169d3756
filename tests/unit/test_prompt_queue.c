/* What clients have asked, on its way to jobs: in turns, in order, and what does not get there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "node/common/bytes.h"
#include "node/serve/prompt_queue.h"
#include "node/tokenizer/chat_turns.h"
#include "simquestion.h"
#include "vocab.h"

enum { LONG = 59000, CTX = 100000 };

struct fixture {
    struct epoch_run_config config;
    struct prompt_queue prompt_queue;
    struct jobs jobs;
    char *text; /* LONG letters without a space */
};

static int set_up(void **state)
{
    const struct simquestion_model *model = simquestion_model(0);
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->config = (struct epoch_run_config){.model = model->model, .tokenizer = model->tokenizer, .ctx = CTX};
    f->text = malloc(LONG);
    assert_non_null(f->text);
    for (size_t i = 0; i < LONG; i++)
        f->text[i] = (char)('a' + i * i % 25);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    prompt_queue_release(&f->prompt_queue);
    jobs_release(&f->jobs);
    free(f->text);
    free(f);
    return 0;
}

static int add(struct fixture *f, uint32_t session, const char *text, size_t size, bool is_ids, struct fail *fail)
{
    const struct job_asked asked = {
        .session = session,
        .ask = {.predict = 5, .is_ids = is_ids, .sampling = {.top_p = 1, .repeat_penalty = 1}},
        .when_ns = 1000 + session,
    };

    return prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, text, size, fail);
}

static void ask(struct fixture *f, uint32_t session, const char *text, size_t size)
{
    struct fail fail;

    if (add(f, session, text, size, false, &fail) < 0)
        fail_msg("%s", fail.text);
}

/* Turns until the next one is over. */
static unsigned run(struct fixture *f, size_t a_turn, struct prompt_queue_outcome *outcome)
{
    unsigned turns = 0;
    size_t work;

    do {
        assert_in_range(turns++, 0, LONG);
        work = a_turn;
    } while (!prompt_queue_next(&f->prompt_queue, &f->jobs, &f->config, &work, outcome));
    return turns;
}

/* Are the job's tokens those of this text? */
static void check_job_ids(const struct fixture *f, const struct job *job, const char *text, size_t size)
{
    struct fail fail;
    uint32_t *ids;
    size_t count;

    assert_non_null(job);
    assert_int_equal(tokenizer_encode(f->config.tokenizer, text, size, true, &ids, &count, &fail), 0);
    assert_int_equal(job->prompt_count, count);
    assert_memory_equal(job->token, ids, count * sizeof *ids);
    free(ids);
}

static void check_job(const struct fixture *f, const struct prompt_queue_outcome *outcome, uint32_t session, const char *text, size_t size)
{
    const struct job *job = outcome->job;

    assert_non_null(job);
    assert_int_equal(outcome->session, session);
    assert_int_equal(job->session, session);
    assert_int_equal(job->asked_ns, 1000 + session);
    assert_int_equal(job->ask.predict, 5);
    check_job_ids(f, job, text, size);
}

static void a_long_prompt_takes_turns_and_a_short_one_does_not(void **state)
{
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;

    ask(f, 1, "abc", 3);
    assert_int_equal(run(f, PROMPT_QUEUE_WORK, &outcome), 1);
    check_job(f, &outcome, 1, "abc", 3);
    ask(f, 2, f->text, LONG);
    assert_in_range(run(f, PROMPT_QUEUE_WORK, &outcome), LONG / PROMPT_QUEUE_WORK, 10 * LONG / PROMPT_QUEUE_WORK);
    check_job(f, &outcome, 2, f->text, LONG);
    assert_int_equal(f->prompt_queue.count, 0);
}

static void prompts_of_ids_take_turns_as_well(void **state)
{
    enum { QUESTIONS = 32 };
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;
    struct fail fail;
    unsigned turns = 0;

    memset(f->text, 0, LONG);
    for (uint32_t i = 0; i < QUESTIONS; i++)
        assert_int_equal(add(f, i, f->text, LONG, true, &fail), 0);
    for (; f->prompt_queue.count > 0; turns++) {
        size_t work = PROMPT_QUEUE_WORK;

        while (prompt_queue_next(&f->prompt_queue, &f->jobs, &f->config, &work, &outcome))
            assert_non_null(outcome.job);
    }
    assert_in_range(turns, QUESTIONS / 8, QUESTIONS);
}

static void questions_become_jobs_in_the_order_in_which_they_came(void **state)
{
    static const uint32_t ids[] = {1, 299, 7};
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;
    uint8_t written[sizeof ids];
    struct bytes out = bytes_writer(written, sizeof written);
    struct fail fail;

    for (size_t i = 0; i < 3; i++)
        bytes_put_u32(&out, ids[i]);
    ask(f, 1, f->text, LONG);
    assert_int_equal(add(f, 2, (const char *)written, sizeof written, true, &fail), 0);
    ask(f, 3, "", 0);
    ask(f, 4, f->text + 1, LONG / 2);
    run(f, 100, &outcome);
    check_job(f, &outcome, 1, f->text, LONG);
    run(f, 100, &outcome);
    assert_int_equal(outcome.session, 2);
    assert_int_equal(outcome.job->prompt_count, 3);
    assert_memory_equal(outcome.job->token, ids, sizeof ids);
    run(f, 100, &outcome);
    check_job(f, &outcome, 3, "", 0);
    run(f, 100, &outcome);
    check_job(f, &outcome, 4, f->text + 1, LONG / 2);
}

/* Also in the middle of its prompt; nobody else's are touched. */
static void a_client_that_goes_away_takes_its_questions_along(void **state)
{
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;
    size_t work = 1000;

    ask(f, 1, f->text, LONG);
    ask(f, 2, "abc", 3);
    ask(f, 1, "b", 1);
    ask(f, 3, "cd", 2);
    assert_false(prompt_queue_next(&f->prompt_queue, &f->jobs, &f->config, &work, &outcome));
    assert_int_equal(work, 0);
    prompt_queue_drop(&f->prompt_queue, 3);
    assert_int_equal(f->prompt_queue.count, 3);
    prompt_queue_drop(&f->prompt_queue, 1);
    assert_int_equal(f->prompt_queue.count, 1);
    run(f, 1000, &outcome);
    check_job(f, &outcome, 2, "abc", 3);
    work = 1000;
    assert_false(prompt_queue_next(&f->prompt_queue, &f->jobs, &f->config, &work, &outcome));
    assert_int_equal(work, 1000);
    ask(f, 4, f->text, LONG); /* and a node that ends in the middle of a prompt */
    assert_false(prompt_queue_next(&f->prompt_queue, &f->jobs, &f->config, &work, &outcome));
}

static void what_cannot_fit_is_refused_before_it_is_read(void **state)
{
    struct fixture *f = *state;
    const size_t longest = LONG / tokenizer_ids_min(f->config.tokenizer, LONG);
    struct fail fail;

    f->config.ctx = 100;
    assert_int_equal(add(f, 1, f->text, (longest + 1) * 101, false, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(fail.text, "tokens or more, the context holds 100: shorten it, or give a larger --ctx"));
    assert_int_equal(add(f, 1, f->text, 404, true, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(fail.text, "the prompt has 101 tokens, the context holds 100"));
    assert_int_equal(add(f, 1, f->text, 6, true, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_int_equal(f->prompt_queue.count, 0);
}

static void what_turns_out_not_to_fit_is_refused_then_and_others_follow(void **state)
{
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;

    f->config.ctx = 100;
    ask(f, 1, f->text, 200);
    ask(f, 2, "abc", 3);
    run(f, 10, &outcome);
    assert_int_equal(outcome.session, 1);
    assert_null(outcome.job);
    assert_int_equal(outcome.fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(outcome.fail.text, "tokens, the context holds 100"));
    run(f, 10, &outcome);
    check_job(f, &outcome, 2, "abc", 3);
    assert_int_equal(jobs_count(&f->jobs), 1);
}

static void a_client_has_places_of_its_own_and_no_others(void **state)
{
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;
    struct fail fail;

    for (unsigned i = 0; i < JOBS_PER_SESSION; i++)
        ask(f, 1, "abc", 3);
    run(f, PROMPT_QUEUE_WORK, &outcome); /* one runs, the others wait */
    assert_int_equal(add(f, 1, "abc", 3, false, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    assert_non_null(strstr(fail.text, "2 of this session run or wait already: ask again when one has ended"));
    ask(f, 2, "abc", 3);
    jobs_remove(outcome.job);
    ask(f, 1, "abc", 3);
    prompt_queue_drop(&f->prompt_queue, 1);
    for (unsigned i = 0; i < JOBS_PER_SESSION; i++)
        ask(f, 1, "abc", 3);
}

static void questions_and_jobs_have_so_many_places_together(void **state)
{
    struct fixture *f = *state;
    struct prompt_queue_outcome outcome;
    struct fail fail;

    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        ask(f, i, "abc", 3);
        if (i % 2 == 0)
            run(f, PROMPT_QUEUE_WORK, &outcome);
    }
    assert_int_equal(f->prompt_queue.count + jobs_count(&f->jobs), JOBS_MAX);
    assert_int_equal(add(f, JOBS_MAX, "abc", 3, false, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_ENVIRONMENT);
    while (f->prompt_queue.count > 0) {
        run(f, PROMPT_QUEUE_WORK, &outcome);
        assert_non_null(outcome.job);
    }
}

/* A question goes to the model in the model's own form; a model that has none is not asked. */
static void a_question_is_put_into_the_form_of_the_model(void **state)
{
    const struct vocab v = {.model = "llama", .chat = "'[INST] ' + content + ' [/INST]'"};
    struct job_asked asked = {.ask = {.predict = 5, .is_chat = true, .sampling = {.top_p = 1, .repeat_penalty = 1}}};
    struct fixture *f = *state;
    struct tokenizer *tokenizer = vocab_open(&v);
    struct prompt_queue_outcome outcome;
    struct fail fail;

    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, "Why?", 4, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(fail.text, "tokenizer.chat_template"));
    f->config.tokenizer = tokenizer;
    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, "Why?", 4, &fail), 0);
    run(f, 8, &outcome);
    check_job_ids(f, outcome.job, "[INST] Why? [/INST]", strlen("[INST] Why? [/INST]"));
    asked.ask.is_ids = true;
    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, "Why?", 4, &fail), -1);
    assert_non_null(strstr(fail.text, "both a question and token ids"));
    tokenizer_close(tokenizer);
}

/* So do turns. What is no conversation, or not for this model, is refused as the fault of who asks. */
static void a_conversation_is_put_into_the_form_of_the_model(void **state)
{
    static const struct chat_turn turns[] = {
        {CHAT_SYSTEM, "Be brief.", 9}, {CHAT_USER, "One", 3}, {CHAT_ASSISTANT, "1", 1}, {CHAT_USER, "Two", 3}};
    const struct vocab v = {.model = "llama", .chat = "'<<SYS>>' '[INST] ' + content + ' [/INST]'"};
    const struct job_asked asked = {.ask = {.predict = 5, .sampling = {.top_p = 1, .repeat_penalty = 1}}, .is_conversation = true};
    struct fixture *f = *state;
    struct tokenizer *tokenizer = vocab_open(&v);
    struct prompt_queue_outcome outcome;
    char packed[100];
    size_t size = 0, count;
    uint32_t *ids;
    struct fail fail;

    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        assert_true(chat_turns_put(packed, sizeof packed, &size, &turns[i]));
    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, packed, size, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(fail.text, "tokenizer.chat_template"));
    f->config.tokenizer = tokenizer;
    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, packed, size - 1, &fail), -1);
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    assert_non_null(strstr(fail.text, "turn 4 is cut short"));
    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, packed, size, &fail), 0);
    assert_true(run(f, 8, &outcome) > 3);
    assert_non_null(outcome.job);
    assert_int_equal(tokenizer_encode_chat(tokenizer, packed, size, &ids, &count, &fail), 0);
    assert_int_equal(outcome.job->prompt_count, count);
    assert_memory_equal(outcome.job->token, ids, count * sizeof *ids);
    f->config.ctx = (uint32_t)tokenizer_ids_min(tokenizer, strlen("Be brief.OneTwo"));
    assert_int_equal(prompt_queue_add(&f->prompt_queue, &f->jobs, &f->config, &asked, packed, size, &fail), -1);
    assert_non_null(strstr(fail.text, "the context holds"));
    free(ids);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_long_prompt_takes_turns_and_a_short_one_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prompts_of_ids_take_turns_as_well, set_up, tear_down),
        cmocka_unit_test_setup_teardown(questions_become_jobs_in_the_order_in_which_they_came, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_goes_away_takes_its_questions_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_fit_is_refused_before_it_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_turns_out_not_to_fit_is_refused_then_and_others_follow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_has_places_of_its_own_and_no_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_question_is_put_into_the_form_of_the_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_conversation_is_put_into_the_form_of_the_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(questions_and_jobs_have_so_many_places_together, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
