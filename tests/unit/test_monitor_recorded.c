/* The monitor's model over the recorded telemetry of a real mesh (tests/golden/telemetry, made by tests/tools/record-telemetry): three
 * nodes; rank 1, which was asked, loses 2 % of what it receives; rank 2 is slow, and is killed when the answer is complete. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/findings.h"
#include "monitor/report.h"
#include "monitor/view.h"
#include "tests/unit/telemetry_file.h"

#define RECORDING "tests/golden/telemetry/three-nodes.tel"

/* What the programs printed when the recording was made. */
enum { NODES = 3, ASKED = 1, SLOW = 2, EPOCH = 3, PROMPT_TOKENS = 5, TOKENS = 40, FIRST_TOKEN_US = 70494 };
static const char *const address[NODES] = {"127.0.0.1:31375", "127.0.0.1:31376", "127.0.0.1:31377"};
static const double answer_tok_per_s = 14.01;

static const uint64_t second_ns = 1000000000;

struct tape {
    FILE *file;
    struct telemetry_file reader;
    struct telemetry_entry entry;
    bool has_entry;
    struct fleet fleet;
    uint64_t begin_ns, next_tick_ns; /* since the beginning */
    uint64_t random;                 /* 0: all records arrive; otherwise one in three is lost in the three seconds of the answer */
};

static int set_up(void **state)
{
    struct tape *tape = calloc(1, sizeof *tape);

    assert_non_null(tape);
    tape->file = fopen(RECORDING, "rb");
    assert_int_equal(telemetry_file_open(&tape->reader, tape->file), 0);
    tape->has_entry = telemetry_file_next(&tape->reader, &tape->entry);
    assert_int_equal(fleet_init(&tape->fleet), 0);
    tape->begin_ns = 5 * second_ns;
    tape->next_tick_ns = second_ns;
    tape->fleet.interval_ns = second_ns;
    fleet_set_connected(&tape->fleet, tape->begin_ns, (int64_t)tape->reader.begin_wall_ns, true, address[ASKED]);
    *state = tape;
    return 0;
}

static int tear_down(void **state)
{
    struct tape *tape = *state;

    fleet_release(&tape->fleet);
    fclose(tape->file);
    free(tape);
    return 0;
}

static void take(struct tape *tape)
{
    const uint64_t since_ns = tape->entry.since_ns;

    tape->random = tape->random * UINT64_C(6364136223846793005) + (tape->random != 0);
    if (tape->random >> 33 == 0 || (tape->random >> 33) % 3 != 0 || since_ns < 3 * second_ns || since_ns > 6 * second_ns)
        assert_int_equal(fleet_report(&tape->fleet, tape->begin_ns + since_ns, (int64_t)(tape->reader.begin_wall_ns + since_ns),
                                      tape->reader.record, tape->entry.bytes),
                         0);
    tape->has_entry = telemetry_file_next(&tape->reader, &tape->entry);
}

/* Plays one more second, with a tick at its end; false when the recording was over. */
static bool play(struct tape *tape)
{
    if (!tape->has_entry)
        return false;
    while (tape->has_entry && tape->entry.since_ns < tape->next_tick_ns)
        take(tape);
    fleet_tick(&tape->fleet, tape->begin_ns + tape->next_tick_ns, (int64_t)(tape->reader.begin_wall_ns + tape->next_tick_ns));
    tape->next_tick_ns += second_ns;
    return true;
}

static void play_all(struct tape *tape)
{
    while (play(tape))
        ;
}

static int node(const struct tape *tape, int rank)
{
    for (int i = 0; i < FLEET_NODES_MAX; i++)
        if (tape->fleet.nodes[i].is_used && strcmp(tape->fleet.nodes[i].address, address[rank]) == 0)
            return i;
    fail_msg("%s is not known", address[rank]);
    return FLEET_NOBODY;
}

static const struct fleet_node *of_rank(const struct tape *tape, int rank)
{
    return &tape->fleet.nodes[node(tape, rank)];
}

/* Plays until all tokens of the answer have been reported, and one second more. */
static void play_answer(struct tape *tape)
{
    while (play(tape))
        if (of_rank(tape, 0)->now.tokens == TOKENS && of_rank(tape, ASKED)->now.tokens == TOKENS &&
            of_rank(tape, SLOW)->now.tokens == TOKENS)
            break;
    assert_true(play(tape));
}

/* ---- */

static void every_node_is_known_by_its_address_and_rank(void **state)
{
    struct tape *tape = *state;

    play_answer(tape);
    for (int rank = 0; rank < NODES; rank++) {
        const struct fleet_node *n = of_rank(tape, rank);

        assert_int_equal(n->head.rank, rank);
        assert_int_equal(n->head.epoch, EPOCH);
        assert_int_equal(n->state, FLEET_UP);
        assert_int_equal(n->now.threads, 1);
        assert_string_equal(n->model, "stories-q8_0.gguf");
    }
    assert_int_equal(fleet_witness(&tape->fleet), node(tape, 0));
    assert_int_equal(tape->fleet.refused, 0);
    assert_int_equal(of_rank(tape, SLOW)->now.lab_pace, 15000000);
    assert_int_equal(of_rank(tape, ASKED)->now.lab_loss_ppm, 20000);
}

static uint64_t sum_of_tokens(const struct tape *tape, int rank)
{
    uint64_t sum = 0;

    for (uint64_t tick = 0; tick < tape->fleet.ticks; tick++) {
        const struct node_sample *sample = fleet_node_at(&tape->fleet, node(tape, rank), tick);

        sum += sample != NULL ? sample->tokens : 0;
    }
    return sum;
}

static void intervals_add_up_to_the_tokens_of_the_answer(void **state)
{
    struct tape *tape = *state;

    play_all(tape);
    for (int rank = 0; rank < NODES; rank++)
        assert_int_equal(sum_of_tokens(tape, rank), TOKENS);
}

static void records_that_do_not_come_cost_nothing_but_time(void **state)
{
    struct tape *tape = *state;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        tape->random = seed;
        play_all(tape);
        for (int rank = 0; rank < NODES; rank++)
            assert_int_equal(sum_of_tokens(tape, rank), TOKENS);
        tear_down(state);
        set_up(state);
        tape = *state;
    }
}

static void a_second_within_the_answer_has_its_speed(void **state)
{
    struct tape *tape = *state;
    float fastest = 0;

    play_answer(tape);
    for (uint64_t tick = 0; tick < tape->fleet.ticks; tick++)
        fastest = fmaxf(fastest, fleet_tok_per_s(&tape->fleet, tick)); /* the first is NAN, which fmaxf ignores */
    assert_true(fabs((double)fastest / answer_tok_per_s - 1) < 0.1);
}

static void the_request_is_told_as_the_client_was(void **state)
{
    struct tape *tape = *state;
    const struct fleet_request *found = NULL;
    int count = 0;

    play_answer(tape);
    for (int i = 0; i < FLEET_REQUESTS; i++)
        if (tape->fleet.requests[i].is_used) {
            found = &tape->fleet.requests[i];
            count++;
        }
    assert_int_equal(count, 1);
    assert_int_equal(found->node, node(tape, ASKED));
    assert_int_equal(found->now.state, MESH_REQUEST_DONE);
    assert_int_equal(found->now.prompt_tokens, PROMPT_TOKENS);
    assert_int_equal(found->now.tokens, TOKENS);
    assert_int_equal(found->now.first_ns / 1000, FIRST_TOKEN_US);
    assert_true(fabs((TOKENS - 1) * 1e9 / (double)(found->now.last_ns - found->now.first_ns) / answer_tok_per_s - 1) < 0.01);
}

static void loss_shows_on_the_links_into_the_node_that_loses(void **state)
{
    struct tape *tape = *state;

    play_answer(tape);
    for (int to = 0; to < NODES; to++)
        for (int from = 0; from < NODES; from++) {
            const double loss = from == to ? 0 : fleet_loss(&tape->fleet, node(tape, from), node(tape, to), tape->fleet.ticks - 1, 60);

            if (to == ASKED && from != to)
                assert_true(loss > 0.01 && loss < 0.035);
            else
                assert_true(loss < 0.003);
        }
}

static void latencies_of_every_link_are_those_of_a_loopback(void **state)
{
    struct tape *tape = *state;

    play_answer(tape);
    for (int to = 0; to < NODES; to++)
        for (int from = 0; from < NODES; from++) {
            const struct link_sample *sample =
                from == to ? NULL : fleet_link_at(&tape->fleet, node(tape, from), node(tape, to), tape->fleet.ticks - 1);

            if (sample == NULL) {
                assert_int_equal(from, to);
                continue;
            }
            assert_true(sample->p50_us > 1 && sample->p50_us <= sample->p99_us && sample->p99_us < 20000);
            assert_true(sample->use_p50_us > 1 && sample->use_p50_us <= sample->use_p99_us && sample->use_p99_us < 200000);
            assert_true(sample->rtt_us > 10 && sample->rtt_us < 20000);
        }
}

static void the_slow_node_is_the_one_that_others_wait_for(void **state)
{
    struct tape *tape = *state;
    unsigned busy = 0;
    double part;

    while (play(tape) && of_rank(tape, 0)->now.tokens < TOKENS) {
        const uint64_t tick = tape->fleet.ticks - 1;
        const struct node_sample *slow = fleet_node_at(&tape->fleet, node(tape, SLOW), tick);
        const struct node_sample *fast = fleet_node_at(&tape->fleet, node(tape, 0), tick);

        if (!slow->is_fresh || !fast->is_fresh || slow->tokens < 10 || fast->tokens < 10)
            continue;
        busy++;
        if (busy > 1) /* one interval says too little */
            assert_int_equal(findings_waited_for(&tape->fleet, tick, &part), node(tape, SLOW));
        assert_int_equal(fast->waits_for, node(tape, SLOW));
        assert_true(slow->utilisation > 0.7f && fast->utilisation < 0.1f);
        assert_true(fast->time[TIME_WAIT] > 0.7f && slow->time[TIME_WAIT] < 0.1f);
    }
    assert_true(busy >= 2);
}

static void steps_are_told_with_all_of_their_phases_and_their_stall(void **state)
{
    struct tape *tape = *state;
    unsigned count = 0, for_slow = 0;

    play_answer(tape);
    for (int i = 0; i < FLEET_STEPS; i++) {
        const struct fleet_step *step = &of_rank(tape, 0)->steps[i];

        if (!step->is_known)
            continue;
        assert_int_equal(step->phases_known, step->step.phase_total);
        for (uint16_t p = 0; p < step->phases_known; p++)
            assert_true((uint64_t)(step->phases[p].begin + step->phases[p].duration) * MESH_TELEMETRY_PHASE_NS <=
                        step->step.duration_ns + MESH_TELEMETRY_PHASE_NS);
        count++;
        for_slow += step->step.stall_rank == SLOW;
    }
    assert_true(count >= 6); /* some of the many in an interval */
    assert_true(for_slow * 10 > count * 9);
}

static void the_one_that_was_killed_stays_with_its_time_of_death(void **state)
{
    struct tape *tape = *state;
    const struct fleet_node *dead;
    bool is_told = false;

    play_answer(tape);
    assert_int_equal(of_rank(tape, SLOW)->state, FLEET_UP);
    play_all(tape);
    dead = of_rank(tape, SLOW);
    assert_int_equal(dead->state, FLEET_DEAD);
    assert_true(dead->gone_wall_ns > (int64_t)(tape->reader.begin_wall_ns + 4 * second_ns));
    assert_true(dead->gone_wall_ns < (int64_t)(tape->reader.begin_wall_ns + tape->next_tick_ns - 2 * second_ns));
    for (int rank = 0; rank < SLOW; rank++) {
        assert_int_equal(of_rank(tape, rank)->state, FLEET_UP);
        assert_int_equal(of_rank(tape, rank)->now.members, 2);
        assert_true(of_rank(tape, rank)->head.epoch > EPOCH);
    }
    for (unsigned i = 0; i < tape->fleet.events_kept; i++) {
        const struct fleet_event *event = &tape->fleet.events[i];

        is_told |= event->happened == MESH_NODE_EVENT_LOST && event->about == node(tape, SLOW);
    }
    assert_true(is_told);
}

static void everything_can_be_drawn_and_printed_of_every_second(void **state)
{
    struct tape *tape = *state;
    static const int sizes[][2] = {{40, 10}, {80, 24}, {200, 60}};
    FILE *out = tmpfile();
    struct canvas canvas;
    struct ui ui;

    assert_non_null(out);
    ui_init(&ui, &settings_default);
    while (play(tape))
        for (int i = 0; i < 3; i++) {
            assert_int_equal(canvas_init(&canvas, sizes[i][0], sizes[i][1], GLYPHS_FULL), 0);
            for (int screen = 0; screen < SCREENS; screen++) {
                ui.screen = (enum screen)screen;
                view_draw(&canvas, &tape->fleet, &ui, tape->begin_ns + tape->next_tick_ns, (int64_t)tape->reader.begin_wall_ns);
            }
            report_json(&tape->fleet, tape->fleet.ticks - 1, NULL, out);
            canvas_release(&canvas);
        }
    assert_false(ferror(out));
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_node_is_known_by_its_address_and_rank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(intervals_add_up_to_the_tokens_of_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(records_that_do_not_come_cost_nothing_but_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_within_the_answer_has_its_speed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_request_is_told_as_the_client_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(loss_shows_on_the_links_into_the_node_that_loses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(latencies_of_every_link_are_those_of_a_loopback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_slow_node_is_the_one_that_others_wait_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steps_are_told_with_all_of_their_phases_and_their_stall, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_one_that_was_killed_stays_with_its_time_of_death, set_up, tear_down),
        cmocka_unit_test_setup_teardown(everything_can_be_drawn_and_printed_of_every_second, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
