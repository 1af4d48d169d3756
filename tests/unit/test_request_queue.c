/* Waiting requests: first come, first served, bounded, none twice; and requests sent by other ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/engine/request_queue.h"
#include "tests/unit/simsaved.h"

enum { CTX = 10000, VOCAB = 500 };

static struct request_queue queue;
static uint32_t prompt[CTX + 1];
static uint8_t record[RECORD_BYTES_MAX];

static int begin(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= CTX; i++)
        prompt[i] = i * 7919 % VOCAB;
    request_queue_init(&queue, CTX, VOCAB);
    return 0;
}

static int end(void **state)
{
    (void)state;
    request_queue_release(&queue);
    return 0;
}

static struct request request_of(uint64_t id, uint32_t prompt_count)
{
    return (struct request){
        .id = id,
        .prompt = prompt,
        .prompt_count = prompt_count,
        .predict = 100000,
        .sampling = {.top_p = 1, .repeat_penalty = 1},
    };
}

static bool submit(uint64_t id, uint32_t prompt_count, uint16_t origin)
{
    struct request request = request_of(id, prompt_count);

    return request_queue_submit(&queue, &request, origin);
}

/* Sends all records of a request; returns the id that was refused, or 0. */
static uint64_t send(const struct request *request, uint16_t from)
{
    uint64_t refused = 0;

    for (uint32_t i = 0; refused == 0 && i < record_request_count(request); i++)
        assert_int_equal(request_queue_take_record(&queue, from, record, record_put_request(request, i, record), &refused), 0);
    return refused;
}

/* ---- the queue ---- */

static void requests_are_taken_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    assert_null(request_queue_take(&queue));
    for (uint64_t id = 1; id <= 5; id++)
        assert_true(submit(id, (uint32_t)id, 3));
    for (uint64_t id = 1; id <= 5; id++) {
        const struct request *request = request_queue_take(&queue);

        assert_true(request->id == id);
        assert_int_equal(request->prompt_count, id);
        assert_int_equal(request->origin, 3);
        assert_memory_equal(request->prompt, prompt, id * sizeof *prompt);
    }
    assert_null(request_queue_take(&queue));
}

static void a_request_stays_until_it_is_removed(void **state)
{
    uint16_t origin;

    (void)state;
    submit(1, 5, 3);
    assert_int_equal(request_queue_state(&queue, 1, &origin), REQUEST_QUEUE_FRESH);
    assert_int_equal(origin, 3);
    request_queue_take(&queue);
    assert_int_equal(request_queue_state(&queue, 1, &origin), REQUEST_QUEUE_TAKEN);
    assert_true(request_queue_remove(&queue, 1));
    assert_int_equal(request_queue_state(&queue, 1, &origin), REQUEST_QUEUE_ABSENT);
    assert_false(request_queue_remove(&queue, 1));
}

static void the_prompt_is_copied(void **state)
{
    (void)state;
    submit(1, 5, 0);
    prompt[2] = 499;
    assert_int_equal(request_queue_take(&queue)->prompt[2], 2 * 7919 % VOCAB);
}

static void each_rank_has_so_many_waiting_and_no_more(void **state)
{
    (void)state;
    for (uint16_t origin = 0; origin < 2; origin++) {
        for (uint64_t i = 0; i < REQUEST_QUEUE_WAITING_MAX; i++)
            assert_true(submit(1000u * (origin + 1u) + i, 1, origin));
        assert_false(submit(1000u * (origin + 1u) + REQUEST_QUEUE_WAITING_MAX, 1, origin));
    }
    /* A taken request still counts, until it is removed. */
    assert_true(request_queue_take(&queue)->id == 1000);
    assert_false(submit(3000, 1, 0));
    assert_true(request_queue_remove(&queue, 1000));
    assert_true(submit(3000, 1, 0));
}

static void of_two_histories_the_longer_one_waits_in_the_place_of_the_first(void **state)
{
    (void)state;
    submit(1, 5, 0);
    submit(2, 5, 0);
    assert_true(submit(1, 9, 1));
    assert_true(submit(1, 7, 2));
    const struct request *request = request_queue_take(&queue);
    assert_true(request->id == 1);
    assert_int_equal(request->prompt_count, 9);
    assert_int_equal(request->origin, 1);
    /* A taken request is not replaced. */
    assert_true(submit(1, 11, 0));
    assert_int_equal(request->prompt_count, 9);
    assert_true(request_queue_take(&queue)->id == 2);
    assert_null(request_queue_take(&queue));
}

/* However often it was submitted: with each epoch a history is longer. */
static void a_request_that_waits_counts_once(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 2 * REQUEST_QUEUE_WAITING_MAX; i++)
        assert_true(submit(1000, i, 3));
    for (uint64_t id = 1; id < REQUEST_QUEUE_WAITING_MAX; id++)
        assert_true(submit(id, 1, 3));
    assert_false(submit(2000, 1, 3));
    assert_true(submit(1000, 1, 3)); /* it is there */
    for (unsigned i = 0; i < REQUEST_QUEUE_WAITING_MAX; i++)
        assert_non_null(request_queue_take(&queue));
    assert_int_equal(atomic_load(&queue.fresh), 0);
    assert_null(request_queue_take(&queue));
}

static void a_request_of_another_rank_that_fills_the_context_is_not_refused(void **state)
{
    const struct request full = request_of(5, CTX);

    (void)state;
    assert_int_equal(send(&full, 3), 0);
    assert_int_equal(request_queue_take(&queue)->prompt_count, CTX);
}

/* A rank may be lost while it tells of one: nothing is left of that at the end. */
static void what_has_only_begun_to_arrive_refuses_nothing_and_is_freed(void **state)
{
    const struct request large = request_of(5, CTX);
    uint64_t refused = 77;

    (void)state;
    for (uint16_t from = 0; from < MESH_RANKS_MAX; from++)
        assert_int_equal(request_queue_take_record(&queue, from, record, record_put_request(&large, 0, record), &refused), 0);
    assert_int_equal(refused, 0);
    assert_null(request_queue_take(&queue));
}

static void all_that_wait_are_saved_taken_or_not(void **state)
{
    struct simsaved saved = {0};

    (void)state;
    submit(1, 5, 0);
    submit(2, 6, 1);
    request_queue_take(&queue);
    assert_int_equal(simsaved_add_queue(&saved, &queue), 0);
    assert_int_equal(saved.count, 2);
    assert_int_equal(simsaved_find(&saved, 1)->prompt_count, 5);
    assert_int_equal(simsaved_find(&saved, 2)->origin, 1);
    assert_int_equal(request_queue_take(&queue)->id, 2); /* they wait all the same */
    simsaved_release(&saved);
}

/* ---- of other ranks ---- */

static void a_request_of_another_rank_is_taken_like_an_own_one(void **state)
{
    struct request request = request_of(5, RECORD_TOKENS_MAX + 3);

    (void)state;
    request.origin = 9; /* replaced by the sender's rank */
    assert_true(send(&request, 4) == 0);
    const struct request *taken = request_queue_take(&queue);
    assert_true(taken->id == 5);
    assert_int_equal(taken->origin, 4);
    assert_int_equal(taken->prompt_count, request.prompt_count);
    assert_memory_equal(taken->prompt, prompt, request.prompt_count * sizeof *prompt);
}

static void requests_of_several_ranks_may_arrive_in_pieces_side_by_side(void **state)
{
    struct request one = request_of(1, RECORD_TOKENS_MAX + 1), two = request_of(2, RECORD_TOKENS_MAX + 1);
    uint64_t refused;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(request_queue_take_record(&queue, 1, record, record_put_request(&one, i, record), &refused), 0);
        assert_int_equal(request_queue_take_record(&queue, 2, record, record_put_request(&two, i, record), &refused), 0);
    }
    assert_true(request_queue_take(&queue)->id == 1);
    assert_true(request_queue_take(&queue)->id == 2);
}

static void a_request_that_is_given_up_for_another_leaves_nothing(void **state)
{
    struct request one = request_of(1, RECORD_TOKENS_MAX + 1), two = request_of(2, 3);
    uint64_t refused;

    (void)state;
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(request_queue_take_record(&queue, 1, record, record_put_request(&one, i, record), &refused), 0);
    assert_true(send(&two, 1) == 0);
    assert_int_equal(request_queue_take_record(&queue, 1, record, record_put_request(&one, 2, record), &refused), -1);
    assert_true(request_queue_take(&queue)->id == 2);
    assert_null(request_queue_take(&queue));
}

static void what_is_not_possible_or_too_much_is_refused_by_its_id(void **state)
{
    struct request request = request_of(7, CTX + 1);

    (void)state;
    assert_true(send(&request, 1) == 7);
    request = request_of(8, 10);
    request.sampling.top_p = 0;
    assert_true(send(&request, 1) == 8);
    request = request_of(9, 10);
    prompt[9] = VOCAB;
    assert_true(send(&request, 1) == 9);
    request = request_of(10, 9);
    assert_true(send(&request, 1) == 0);
    for (uint64_t id = 100; id < 100 + REQUEST_QUEUE_WAITING_MAX - 1; id++) {
        request = request_of(id, 1);
        assert_true(send(&request, 1) == 0);
    }
    request = request_of(11, 1);
    assert_true(send(&request, 1) == 11);
    assert_true(send(&request, 2) == 0);
}

static void malformed_records_are_refused_and_harmless(void **state)
{
    struct request request = request_of(7, 5);
    uint64_t refused;

    (void)state;
    size_t bytes = record_put_request(&request, 1, record);
    assert_int_equal(request_queue_take_record(&queue, 1, record, bytes, &refused), -1); /* of no request */
    bytes = record_put_request(&request, 0, record);
    for (size_t size = 0; size < bytes; size++) {
        uint8_t *copy = malloc(size + 1);

        assert_non_null(copy);
        memcpy(copy, record, size);
        assert_int_equal(request_queue_take_record(&queue, 1, copy, size, &refused), -1);
        free(copy);
    }
    for (unsigned kind = 0; kind < 256; kind++) {
        record[0] = (uint8_t)kind;
        if (kind != RECORD_REQUEST)
            assert_int_equal(request_queue_take_record(&queue, 1, record, bytes, &refused), -1);
    }
    assert_null(request_queue_take(&queue));
}

/* ---- cancels ---- */

/* Takes the ids from the cells, which are empty afterwards. */
static size_t take_cancels(uint64_t *ids)
{
    size_t count = 0;

    for (uint32_t i = 0; i < REQUEST_QUEUE_CANCELS_MAX; i++) {
        uint64_t id = request_queue_cancel_at(&queue, i);

        if (id == 0)
            continue;
        ids[count++] = id;
        request_queue_cancel_done(&queue, i);
    }
    return count;
}

static void cancels_are_noted_once_and_bounded(void **state)
{
    uint64_t ids[REQUEST_QUEUE_CANCELS_MAX];

    (void)state;
    assert_false(request_queue_has_cancels(&queue));
    for (uint64_t id = 1; id <= REQUEST_QUEUE_CANCELS_MAX; id++)
        assert_true(request_queue_cancel(&queue, id) && request_queue_cancel(&queue, id));
    assert_false(request_queue_cancel(&queue, 1000));
    assert_true(request_queue_has_cancels(&queue));
    assert_int_equal(take_cancels(ids), REQUEST_QUEUE_CANCELS_MAX);
    assert_false(request_queue_has_cancels(&queue));
    assert_true(request_queue_cancel(&queue, 1000));
    assert_int_equal(take_cancels(ids), 1);
    assert_true(ids[0] == 1000);
}

static void a_cancel_of_another_rank_is_noted(void **state)
{
    uint8_t cancel[RECORD_CANCEL_BYTES];
    uint64_t ids[REQUEST_QUEUE_CANCELS_MAX], refused;

    (void)state;
    size_t bytes = record_put_cancel(42, false, cancel);
    assert_int_equal(request_queue_take_record(&queue, 3, cancel, bytes, &refused), 0);
    assert_int_equal(take_cancels(ids), 1);
    assert_true(ids[0] == 42);
    record_put_cancel(0, false, cancel);
    assert_int_equal(request_queue_take_record(&queue, 3, cancel, bytes, &refused), -1);
}

#define queue_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        queue_test(requests_are_taken_in_the_order_in_which_they_came),
        queue_test(a_request_stays_until_it_is_removed),
        queue_test(the_prompt_is_copied),
        queue_test(each_rank_has_so_many_waiting_and_no_more),
        queue_test(of_two_histories_the_longer_one_waits_in_the_place_of_the_first),
        queue_test(a_request_that_waits_counts_once),
        queue_test(a_request_of_another_rank_that_fills_the_context_is_not_refused),
        queue_test(what_has_only_begun_to_arrive_refuses_nothing_and_is_freed),
        queue_test(all_that_wait_are_saved_taken_or_not),
        queue_test(a_request_of_another_rank_is_taken_like_an_own_one),
        queue_test(requests_of_several_ranks_may_arrive_in_pieces_side_by_side),
        queue_test(a_request_that_is_given_up_for_another_leaves_nothing),
        queue_test(what_is_not_possible_or_too_much_is_refused_by_its_id),
        queue_test(malformed_records_are_refused_and_harmless),
        queue_test(cancels_are_noted_once_and_bounded),
        queue_test(a_cancel_of_another_rank_is_noted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
