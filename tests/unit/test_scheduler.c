/* The contents of a step: no request stalls or starves, and no step is larger than permitted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "libmesh/core/mix.h"
#include "node/engine/scheduler.h"

enum { CTX = 1000, ROOM = 1000000 };

static struct scheduler scheduler;
static struct step_entry entry;

static void begin(uint16_t slots, uint16_t batch, uint64_t candidates_max)
{
    const struct scheduler_limits limits = {.ctx = CTX, .slots = slots, .batch = batch, .candidates_max = candidates_max};

    scheduler_init(&scheduler, &limits);
}

static void add(uint64_t id, uint32_t prompt_count, uint32_t generated_before, uint32_t predict, uint32_t candidates)
{
    const struct request request = {.id = id, .prompt_count = prompt_count, .generated_before = generated_before, .predict = predict};

    scheduler_add(&scheduler, &request, candidates, 0);
}

/* The part of a request in the entry, or NULL. */
static const struct step_part *part_of(uint64_t id)
{
    const struct step_part *found = NULL;

    for (uint16_t i = 0; i < entry.part_count; i++) {
        if (entry.part[i].request != id)
            continue;
        assert_null(found);
        found = &entry.part[i];
    }
    return found;
}

static void assert_part(uint64_t id, uint32_t position, uint16_t count, bool is_sampled)
{
    const struct step_part *p = part_of(id);

    assert_non_null(p);
    assert_int_equal(p->position, position);
    assert_int_equal(p->count, count);
    assert_int_equal(p->is_sampled, is_sampled);
    assert_false(p->is_cancelled);
}

/* ---- one request ---- */

static void a_prompt_is_cut_into_batches_and_only_its_end_is_sampled(void **state)
{
    static const uint16_t counts[] = {4, 4, 3, 1, 1};
    uint32_t position = 0;

    (void)state;
    begin(1, 4, ROOM);
    add(1, 11, 0, 3, 1);
    for (size_t i = 0; i < 5; position += counts[i++]) {
        assert_true(scheduler_next(&scheduler, &entry));
        assert_int_equal(entry.part_count, 1);
        assert_part(1, position, counts[i], i >= 2);
    }
    assert_false(scheduler_next(&scheduler, &entry));
}

static void one_token_to_predict_needs_the_prompt_only(void **state)
{
    (void)state;
    begin(1, 4, ROOM);
    add(1, 8, 0, 1, 1);
    assert_true(scheduler_next(&scheduler, &entry) && scheduler_next(&scheduler, &entry));
    assert_part(1, 4, 4, true);
    assert_false(scheduler_next(&scheduler, &entry));
}

static void tokens_generated_before_are_not_generated_again(void **state)
{
    (void)state;
    begin(1, 100, ROOM);
    add(1, 30, 10, 12, 1); /* 20 of prompt, 10 generated, 2 to come */
    assert_true(scheduler_next(&scheduler, &entry));
    assert_part(1, 0, 30, true);
    assert_true(scheduler_next(&scheduler, &entry));
    assert_part(1, 30, 1, true);
    assert_false(scheduler_next(&scheduler, &entry));
}

static void only_the_first_part_of_a_request_whose_positions_were_kept_says_so(void **state)
{
    const struct request kept = {.id = 2, .prompt_count = 30, .predict = 3}, little = {.id = 3, .prompt_count = 30, .predict = 3};
    unsigned begun = 0;

    (void)state;
    begin(3, 10, ROOM);
    add(1, 8, 0, 3, 1);
    scheduler_add(&scheduler, &kept, 1, 5);
    scheduler_add(&scheduler, &little, 1, 1);
    while (scheduler_next(&scheduler, &entry))
        for (uint16_t i = 0; i < entry.part_count; i++) {
            const struct step_part *p = &entry.part[i];

            assert_int_equal(p->begins, (p->request == 2 && p->position == 5) || (p->request == 3 && p->position == 1));
            begun += p->begins;
        }
    assert_int_equal(begun, 2);
    assert_true(scheduler.sequence[1].is_begun);
}

static void planning_ends_with_the_context(void **state)
{
    (void)state;
    begin(1, 500, ROOM);
    add(1, CTX - 2, 0, 1000, 1);
    for (uint32_t position = 0; position < CTX; position += entry.part[0].count) {
        assert_true(scheduler_next(&scheduler, &entry));
        assert_int_equal(entry.part[0].position, position);
    }
    assert_true(entry.part[0].is_sampled);
    assert_false(scheduler_next(&scheduler, &entry));
}

static void a_prompt_that_fills_the_context_still_gives_a_token(void **state)
{
    (void)state;
    begin(1, 500, ROOM);
    add(1, CTX, 0, 1000, 1);
    assert_true(scheduler_next(&scheduler, &entry) && scheduler_next(&scheduler, &entry));
    assert_part(1, 500, 500, true);
    assert_false(scheduler_next(&scheduler, &entry));
}

/* ---- several ---- */

static void a_long_prompt_does_not_keep_others_from_generating(void **state)
{
    (void)state;
    begin(4, 16, ROOM);
    add(1, 1, 0, 500, 1);
    add(2, 1, 0, 500, 1);
    assert_true(scheduler_next(&scheduler, &entry));
    add(3, 900, 0, 1, 1);
    for (uint32_t step = 1, left = 900; left > 0; step++) {
        assert_true(scheduler_next(&scheduler, &entry));
        assert_part(1, step, 1, true);
        assert_part(2, step, 1, true);
        uint16_t piece = part_of(3)->count;
        assert_int_equal(piece, left < 14 ? left : 14);
        left -= piece;
        assert_int_equal(part_of(3)->is_sampled, left == 0);
    }
}

static void short_prompts_share_a_step(void **state)
{
    (void)state;
    begin(8, 64, ROOM);
    for (uint64_t id = 1; id <= 8; id++)
        add(id, 10, 0, 5, 1);
    assert_true(scheduler_next(&scheduler, &entry));
    for (uint64_t id = 1; id <= 6; id++)
        assert_part(id, 0, 10, true);
    assert_part(7, 0, 4, false);
    assert_null(part_of(8));
    assert_true(scheduler_next(&scheduler, &entry));
    for (uint64_t id = 1; id <= 6; id++)
        assert_part(id, 10, 1, true);
    assert_part(7, 4, 6, true);
    assert_part(8, 0, 10, true);
}

static void sampled_tokens_stand_side_by_side(void **state)
{
    (void)state;
    begin(4, 30, ROOM);
    add(1, 1, 0, 9, 1);
    add(2, 1, 0, 9, 1);
    scheduler_next(&scheduler, &entry);
    add(3, 10, 0, 9, 1);
    add(4, 100, 0, 9, 1);
    assert_true(scheduler_next(&scheduler, &entry));
    assert_int_equal(entry.part_count, 4);
    assert_true(entry.part[0].request == 4 && entry.part[1].request == 3 && entry.part[2].request == 1 && entry.part[3].request == 2);
}

static void a_step_has_no_more_candidates_than_have_room(void **state)
{
    uint32_t times[3] = {0};

    (void)state;
    begin(3, 30, 100);
    add(1, 1, 0, 500, 60);
    add(2, 1, 0, 500, 60);
    add(3, 1, 0, 500, 30);
    for (int step = 0; step < 60; step++) {
        uint32_t candidates = 0;

        assert_true(scheduler_next(&scheduler, &entry));
        for (uint64_t id = 1; id <= 3; id++) {
            if (part_of(id) == NULL)
                continue;
            times[id - 1]++;
            candidates += id == 3 ? 30 : 60;
        }
        assert_true(candidates <= 100);
    }
    assert_true(times[0] >= 29 && times[1] >= 29 && times[2] >= 29);
}

static void candidates_that_just_have_room_do_not_wait(void **state)
{
    (void)state;
    begin(3, 100, 60);
    add(1, 8, 0, 3, 30);
    add(2, 8, 0, 3, 31);
    add(3, 8, 0, 3, 30);
    assert_true(scheduler_next(&scheduler, &entry));
    assert_part(1, 0, 8, true);
    assert_part(2, 0, 7, false);
    assert_part(3, 0, 8, true);
}

static void the_end_of_a_prompt_waits_for_room_and_comes(void **state)
{
    (void)state;
    begin(2, 30, 100);
    add(1, 1, 0, 500, 100);
    scheduler_next(&scheduler, &entry);
    add(2, 10, 0, 500, 100);
    assert_true(scheduler_next(&scheduler, &entry));
    assert_part(1, 1, 1, true);
    assert_part(2, 0, 9, false);
    for (uint32_t n = 0; n < 10; n++) {
        assert_true(scheduler_next(&scheduler, &entry));
        assert_part(n % 2 == 0 ? 1 : 2, n % 2 == 0 ? 2 + n / 2 : 9 + n / 2, 1, true);
        assert_int_equal(entry.part_count, 1);
    }
}

/* Also if all the others are there before it or come after it. */
static void a_prompt_goes_on_in_every_step_that_has_room_for_two_tokens(void **state)
{
    (void)state;
    for (unsigned place = 0; place < 3; place++) {
        begin(3, 2, ROOM);
        for (unsigned i = 0; i < 3; i++)
            add(i + 1, i == place ? 40 : 1, 0, 100, 1);
        for (unsigned step = 0; step < 30; step++) {
            assert_true(scheduler_next(&scheduler, &entry));
            assert_part(place + 1, step, 1, false);
            assert_int_equal(entry.part_count, 2);
        }
    }
}

static void all_go_on_where_a_step_has_one_token(void **state)
{
    (void)state;
    begin(3, 1, ROOM);
    add(1, 1, 0, 200, 1);
    add(2, 1, 0, 200, 1);
    add(3, 50, 0, 1, 1);
    for (int step = 0; step < 120; step++)
        assert_true(scheduler_next(&scheduler, &entry) && entry.part_count == 1);
    assert_int_equal(scheduler.sequence[2].position, 50);
    assert_true(scheduler.sequence[0].position >= 30 && scheduler.sequence[1].position >= 30);
}

/* ---- ends ---- */

static void a_cancel_is_told_once_and_nothing_more_is_planned(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 2; id++) { /* the oldest, or another one */
        begin(2, 10, ROOM);
        add(1, id == 1 ? 100 : 1, 0, 1000, 1);
        add(2, id == 2 ? 100 : 1, 0, 1000, 1);
        assert_true(scheduler_next(&scheduler, &entry));
        assert_true(scheduler_cancel(&scheduler, id));
        assert_true(scheduler_next(&scheduler, &entry));
        assert_true(part_of(id)->is_cancelled);
        assert_false(part_of(id)->is_sampled);
        assert_int_equal(part_of(id)->count, 0);
        assert_part(3 - id, 1, 1, true);
        assert_true(scheduler_next(&scheduler, &entry));
        assert_null(part_of(id));
        assert_part(3 - id, 2, 1, true);
    }
}

static void a_cancel_after_the_last_step_was_planned_is_still_told(void **state)
{
    (void)state;
    begin(1, 10, ROOM);
    add(1, 4, 0, 1, 1);
    assert_true(scheduler_next(&scheduler, &entry));
    assert_false(scheduler_next(&scheduler, &entry));
    assert_true(scheduler_cancel(&scheduler, 1));
    assert_true(scheduler_next(&scheduler, &entry));
    assert_true(entry.part[0].is_cancelled);
    assert_false(scheduler_next(&scheduler, &entry));
}

static void a_request_is_begun_before_it_is_cancelled(void **state)
{
    (void)state;
    begin(1, 10, ROOM);
    add(1, 100, 0, 1, 1);
    assert_true(scheduler_cancel(&scheduler, 1));
    assert_true(scheduler_next(&scheduler, &entry));
    assert_part(1, 0, 10, false);
    assert_true(scheduler_next(&scheduler, &entry));
    assert_true(entry.part[0].is_cancelled);
}

static void nothing_is_planned_for_a_request_that_has_ended(void **state)
{
    (void)state;
    begin(2, 10, ROOM);
    add(1, 4, 0, 1000, 1);
    add(2, 4, 0, 1000, 1);
    assert_false(scheduler_has_room(&scheduler));
    scheduler_end(&scheduler, 1);
    scheduler_end(&scheduler, 77);
    assert_true(scheduler_has_room(&scheduler));
    assert_false(scheduler_cancel(&scheduler, 1));
    assert_true(scheduler_next(&scheduler, &entry));
    assert_int_equal(entry.part_count, 1);
    assert_part(2, 0, 4, true);
}

/* ---- anything ---- */

/* Every request gets all of its positions in order, sampled from the end of its prompt on, within its guaranteed number of steps. */
static void check_random(uint64_t seed)
{
    uint16_t slots = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 1, 0), 8)),
             batch = (uint16_t)(1 + mesh_draw_below(mesh_draw(seed, 2, 0), 20));
    uint32_t known[9], end[9], position[9] = {0}, candidates[9], waited[9] = {0};

    begin(slots, batch, 100);
    for (uint16_t i = 0; i < slots; i++) {
        known[i] = (uint32_t)(1 + mesh_draw_below(mesh_draw(seed, 3, i), 60));
        candidates[i] = (uint32_t)(1 + mesh_draw_below(mesh_draw(seed, 4, i), 100));
        uint32_t predict = (uint32_t)(1 + mesh_draw_below(mesh_draw(seed, 5, i), 40));
        end[i] = known[i] + predict - 1;
        add(i + 1u, known[i], 0, predict, candidates[i]);
    }
    while (scheduler_next(&scheduler, &entry)) {
        uint32_t tokens = 0, wanted = 0;

        for (uint16_t i = 0; i < slots; i++) {
            const struct step_part *p = part_of(i + 1u);

            waited[i] = p != NULL || position[i] == end[i] ? 0 : waited[i] + 1;
            /* Younger prompts wait for older ones; a generating request waits at most for the others' turns. */
            assert_true(waited[i] <= (position[i] + 1 < known[i] ? 8 * 60 * 2 * 8 : 2 * 8));
            if (p == NULL)
                continue;
            assert_int_equal(p->position, position[i]);
            position[i] += p->count;
            assert_true(p->count >= 1 && position[i] <= end[i]);
            assert_int_equal(p->is_sampled, position[i] >= known[i]);
            assert_true(!p->is_sampled || p->count == 1 || position[i] == known[i]);
            tokens += p->count;
            wanted += p->is_sampled ? candidates[i] : 0;
        }
        assert_true(tokens <= batch && wanted <= 100);
    }
    for (uint16_t i = 0; i < slots; i++)
        assert_int_equal(position[i], end[i]);
}

static void every_request_gets_all_of_its_positions_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++)
        check_random(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_cut_into_batches_and_only_its_end_is_sampled),
        cmocka_unit_test(one_token_to_predict_needs_the_prompt_only),
        cmocka_unit_test(tokens_generated_before_are_not_generated_again),
        cmocka_unit_test(only_the_first_part_of_a_request_whose_positions_were_kept_says_so),
        cmocka_unit_test(planning_ends_with_the_context),
        cmocka_unit_test(a_prompt_that_fills_the_context_still_gives_a_token),
        cmocka_unit_test(a_long_prompt_does_not_keep_others_from_generating),
        cmocka_unit_test(short_prompts_share_a_step),
        cmocka_unit_test(sampled_tokens_stand_side_by_side),
        cmocka_unit_test(a_step_has_no_more_candidates_than_have_room),
        cmocka_unit_test(candidates_that_just_have_room_do_not_wait),
        cmocka_unit_test(the_end_of_a_prompt_waits_for_room_and_comes),
        cmocka_unit_test(a_prompt_goes_on_in_every_step_that_has_room_for_two_tokens),
        cmocka_unit_test(all_go_on_where_a_step_has_one_token),
        cmocka_unit_test(a_cancel_is_told_once_and_nothing_more_is_planned),
        cmocka_unit_test(a_cancel_after_the_last_step_was_planned_is_still_told),
        cmocka_unit_test(a_request_is_begun_before_it_is_cancelled),
        cmocka_unit_test(nothing_is_planned_for_a_request_that_has_ended),
        cmocka_unit_test(every_request_gets_all_of_its_positions_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
