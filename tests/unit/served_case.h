/* How tests of a serving node begin (served.h): one node, opened for each test, once without a key and once with one; and time that passes
 * until something holds. */
#ifndef TESTS_SERVED_CASE_H
#define TESTS_SERVED_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "served.h"
#include "served_clock.h"

static struct served served; /* too large for the stack */
static struct server *const server = &served.server;
static enum mesh_security served_security; /* of the nodes to come */

static inline int open_node(void **state)
{
    (void)state;
    served_open(&served, 0, served_security);
    return 0;
}

/* It looks for the other process first. */
static inline int open_seeker(void **state)
{
    (void)state;
    served_open(&served, 1, served_security);
    return 0;
}

static inline int close_node(void **state)
{
    (void)state;
    served_close(&served);
    return 0;
}

static inline int use_key(void **state)
{
    (void)state;
    served_security = MESH_SECURITY_SEAL;
    return 0;
}

#define NODE_TEST(test)   cmocka_unit_test_setup_teardown(test, open_node, close_node)
#define SEEKER_TEST(test) cmocka_unit_test_setup_teardown(test, open_seeker, close_node)

/* As cmocka_run_group_tests: without a key, and with one where anything can be sealed. */
#define SERVED_RUN(tests)                                              \
    (cmocka_run_group_tests_name("without a key", tests, NULL, NULL) + \
     (mesh_seal_is_available() ? cmocka_run_group_tests_name("with a key", tests, use_key, NULL) : 0))

/* ---- time ---- */

static inline void run_until(bool (*is_done)(const struct served *s))
{
    struct fail fail = {0};

    if (!served_run(&served, 60 * SERVED_S, is_done, &fail))
        fail_msg("%s", fail.text);
    assert_true(is_done(&served));
}

static inline void run_for(uint64_t ns)
{
    struct fail fail = {0};

    if (!served_run(&served, ns, NULL, &fail))
        fail_msg("%s", fail.text);
}

static inline bool is_alone(const struct served *s)
{
    return s->server.run != NULL && s->server.run->count == 1;
}

static inline bool is_of_two(const struct served *s)
{
    return s->server.run != NULL && s->server.run->count == 2;
}

static inline bool is_in_no_epoch(const struct served *s)
{
    return s->server.run == NULL;
}

static inline bool is_preparing(const struct served *s)
{
    return s->server.next != NULL;
}

/* Loading takes real time. */
static inline void wait_until_loaded(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    for (unsigned ms = 0; ms < 10000 && !epoch_run_is_loaded(server->run); ms++)
        nanosleep(&moment, NULL);
    assert_true(epoch_run_is_loaded(server->run));
}

/* ---- members ---- */

static inline void form_two(void)
{
    run_until(is_alone);
    served_start_other(&served, false);
    run_until(is_of_two);
}

static inline uint16_t other_rank(void)
{
    return server->run->rank == 0 ? 1 : 0;
}

static inline void break_off(bool is_broken)
{
    served.other_is_deaf = served.other_is_mute = is_broken;
}

/* ---- clients ---- */

static inline const struct served_client *client(unsigned index)
{
    return &served.client[index];
}

static inline void ask(unsigned index, const char *text, uint32_t predict)
{
    served_ask_text(&served, index, text, predict);
}

static inline void tell(void)
{
    serve_tell_clients(server);
    served_pump(&served);
}

static inline void answer(void)
{
    serve_run_prompt_queue(server);
    served_work(&served);
    tell();
}

/* A job with a complete answer. */
static inline struct job *make_long_answer(unsigned index, uint32_t count)
{
    struct job *job;

    ask(index, "abc", count);
    serve_run_prompt_queue(server);
    job = &server->jobs.job[0];
    assert_true(job->id != 0);
    for (uint32_t i = 0; i < count; i++) {
        const struct epoch_run_result result = {.request = job->id, .token = {.index = i, .id = 3 + i % 250, .digest = i}};

        job_take(job, &result);
    }
    job_take(job, &(struct epoch_run_result){.request = job->id, .is_done = true, .reason = ENGINE_DONE_LENGTH});
    return job;
}

#endif
