#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>

#include "node/kernel/team.h"

enum { TASKS = 500 };

struct count {
    _Atomic uint32_t task[TASKS];
    _Atomic uint32_t wrong_thread;
    struct team *team;
};

static void count_task(void *app, size_t task, uint16_t thread)
{
    struct count *count = app;

    atomic_fetch_add(&count->task[task], 1);
    if (thread >= team_threads(count->team))
        atomic_fetch_add(&count->wrong_thread, 1);
}

static void every_task_is_done_once_in_each_of_many_works(void **state)
{
    (void)state;
    for (uint16_t threads = 1; threads <= 6; threads++) {
        static struct count count;
        struct fail fail = {0};

        count.team = team_open(threads, &fail);
        assert_non_null(count.team);
        assert_int_equal(team_threads(count.team), threads);
        for (size_t i = 0; i < TASKS; i++)
            atomic_store(&count.task[i], 0);
        for (uint32_t work = 0; work < 200; work++) {
            team_run(count.team, TASKS - work, count_task, &count);
            /* The work is done when the call returns, not later. */
            assert_int_equal(atomic_load(&count.task[0]), work + 1);
            assert_int_equal(atomic_load(&count.task[TASKS - work - 1]), work + 1);
        }
        for (size_t i = 0; i < TASKS; i++)
            assert_int_equal(atomic_load(&count.task[i]), i <= TASKS - 200 ? 200 : TASKS - i);
        assert_int_equal(atomic_load(&count.wrong_thread), 0);
        team_close(count.team);
    }
}

static void a_work_without_tasks_returns(void **state)
{
    static struct count count;
    struct fail fail = {0};

    (void)state;
    count.team = team_open(3, &fail);
    team_run(count.team, 0, count_task, &count);
    team_run(count.team, 0, count_task, &count);
    team_close(count.team);
    team_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_done_once_in_each_of_many_works),
        cmocka_unit_test(a_work_without_tasks_returns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
