/* Members on busy machines: paused for some milliseconds again and again, which is no death. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libmesh/core/mix.h"
#include "simmembers.h"

enum { COUNT = 4, ALL = 15, DRAW_STOP = 7100, DRAW_GAP };

#define LOOK_NS   (5 * SIMMEMBERS_MS)
#define SILENT_NS (20 * SIMMEMBERS_MS) /* as in the mesh layer, where tiles are waited for */

static struct simmembers members; /* too large for the stack */

/* Each member is paused for 20 to 100 ms and runs for 20 to 400 ms, in turns. */
struct busy {
    uint64_t places, seed, changes, at_ns[COUNT], since_ns[COUNT];
    uint64_t stopped; /* places */
    bool is_stepping; /* silent members are suspected */
};

static uint64_t draw_ns(struct busy *busy, unsigned which, uint64_t from_ms, uint64_t to_ms)
{
    return (from_ms + mesh_draw_below(mesh_draw(busy->seed, which, busy->changes++), to_ms - from_ms)) * SIMMEMBERS_MS;
}

static void stop_or_go_on(struct busy *busy, uint16_t place)
{
    const uint64_t now_ns = mesh_sim_now_ns(members.sim);
    const bool stops = !(busy->stopped >> place & 1);

    if (!(busy->places >> place & 1) || now_ns < busy->at_ns[place])
        return;
    busy->stopped ^= UINT64_C(1) << place;
    busy->since_ns[place] = now_ns;
    busy->at_ns[place] = now_ns + (stops ? draw_ns(busy, DRAW_STOP, 20, 100) : draw_ns(busy, DRAW_GAP, 20, 400));
    mesh_sim_pause(members.sim, place, stops);
}

static void suspect_silent(const struct busy *busy, uint16_t by)
{
    const uint64_t now_ns = mesh_sim_now_ns(members.sim);

    for (uint16_t of = 0; of < COUNT; of++)
        if (busy->stopped >> of & 1 && now_ns - busy->since_ns[of] >= SILENT_NS)
            simmembers_suspect(&members, by, of);
}

static void run_busy(struct busy *busy, uint64_t span_ns)
{
    for (uint64_t ns = 0; ns < span_ns; ns += LOOK_NS) {
        for (uint16_t place = 0; place < COUNT; place++)
            stop_or_go_on(busy, place);
        for (uint16_t place = 0; busy->is_stepping && place < COUNT; place++)
            if (!(busy->stopped >> place & 1))
                suspect_silent(busy, place);
        assert_true(simmembers_run(&members, LOOK_NS));
    }
}

static void go_on(struct busy *busy)
{
    for (uint16_t place = 0; place < COUNT; place++)
        mesh_sim_pause(members.sim, place, false);
    busy->stopped = 0;
}

static void form(uint64_t seed)
{
    struct mesh_sim_link link = simmembers_link();

    simmembers_open(&members, COUNT, seed, &link);
    simmembers_form(&members);
}

static int close_members(void **state)
{
    (void)state;
    simmembers_close(&members);
    return 0;
}

static void expect_death(uint16_t dead, uint64_t within_ns)
{
    simmembers_crash(&members, dead);
    simmembers_suspect(&members, simmembers_place(&members, dead == simmembers_place(&members, 0)), dead);
    assert_in_range(simmembers_run_agree(&members, ALL & ~(UINT64_C(1) << dead), SIMMEMBERS_S), 0, within_ns);
}

static void stops_of_busy_machines_are_no_deaths(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct busy busy = {.places = seed % 2 ? 4 : ALL, .seed = seed};
        uint64_t epochs;

        form(seed);
        epochs = members.epochs;
        run_busy(&busy, 10 * SIMMEMBERS_S);
        busy.is_stepping = true;
        run_busy(&busy, 60 * SIMMEMBERS_S);
        go_on(&busy);
        assert_true(simmembers_run(&members, SIMMEMBERS_S));
        if (members.epochs != epochs)
            fail_msg("seed %u: %u epochs more", (unsigned)seed, (unsigned)(members.epochs - epochs));
        assert_true(simmembers_agree(&members, ALL));
        expect_death(2, 820 * SIMMEMBERS_MS);
        simmembers_close(&members);
    }
}

static void after_ten_calm_minutes_a_death_is_found_as_soon_as_ever(void **state)
{
    struct busy busy = {.places = ALL, .seed = 3};

    (void)state;
    form(3);
    run_busy(&busy, 10 * SIMMEMBERS_S);
    go_on(&busy);
    assert_true(simmembers_run(&members, 601 * SIMMEMBERS_S));
    expect_death(simmembers_place(&members, 2), 10 * SIMMEMBERS_MS);
}

/* Rank 0 suspects rank 2, which does not receive the question that rank 0 asks. */
static void suspect_unheard(uint16_t *first, uint16_t *other)
{
    *first = simmembers_place(&members, 0);
    *other = simmembers_place(&members, 2);
    mesh_sim_block(members.sim, *first, *other, true);
    simmembers_suspect(&members, *first, *other);
}

/* Rank 0's first question is lost, and its repetition would have been sent while rank 0 was paused. */
static void who_was_stopped_itself_gives_as_much_more_time(void **state)
{
    uint16_t first, other;
    uint64_t epochs;

    (void)state;
    form(1);
    suspect_unheard(&first, &other);
    epochs = members.epochs;
    assert_true(simmembers_run(&members, SIMMEMBERS_MS));
    mesh_sim_block(members.sim, first, other, false);
    mesh_sim_pause(members.sim, first, true);
    assert_true(simmembers_run(&members, 30 * SIMMEMBERS_MS));
    mesh_sim_pause(members.sim, first, false);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_int_equal(members.epochs, epochs);
    assert_true(simmembers_agree(&members, ALL));
}

/* It does not receive the first question either, but is heard. */
static void who_is_heard_while_it_is_asked_has_its_time_again(void **state)
{
    uint16_t first, other;
    uint64_t epochs;

    (void)state;
    form(1);
    suspect_unheard(&first, &other);
    epochs = members.epochs;
    assert_true(simmembers_run(&members, 2 * SIMMEMBERS_MS));
    simmembers_suspect(&members, other, simmembers_place(&members, 3));
    assert_true(simmembers_run(&members, 6 * SIMMEMBERS_MS)); /* 7 ms have passed */
    mesh_sim_block(members.sim, first, other, false);
    assert_true(simmembers_run(&members, SIMMEMBERS_S));
    assert_int_equal(members.epochs, epochs);
    assert_true(simmembers_agree(&members, ALL));
}

/* Paused and suspected; true when the others went on without it. */
static bool is_lost_when_stopped(uint16_t place, uint64_t stopped_ns)
{
    const uint64_t epochs = members.epochs;

    mesh_sim_pause(members.sim, place, true);
    simmembers_suspect(&members, simmembers_place(&members, 0), place);
    assert_true(simmembers_run(&members, stopped_ns));
    mesh_sim_pause(members.sim, place, false);
    assert_true(simmembers_run(&members, 2 * SIMMEMBERS_S));
    assert_true(simmembers_agree(&members, ALL));
    return members.epochs != epochs;
}

static void what_is_known_of_a_member_outlives_its_being_left_out(void **state)
{
    struct busy busy = {.places = 4, .seed = 5};

    (void)state;
    form(5);
    run_busy(&busy, 10 * SIMMEMBERS_S);
    go_on(&busy);
    assert_true(is_lost_when_stopped(2, 900 * SIMMEMBERS_MS));
    assert_false(is_lost_when_stopped(2, 60 * SIMMEMBERS_MS));
}

static void who_is_often_stopped_itself_gives_others_more_time(void **state)
{
    struct busy busy = {.seed = 7};
    uint16_t first;

    (void)state;
    form(7);
    first = simmembers_place(&members, 0);
    busy.places = UINT64_C(1) << first;
    run_busy(&busy, 10 * SIMMEMBERS_S);
    go_on(&busy);
    assert_false(is_lost_when_stopped(simmembers_place(&members, 2), 40 * SIMMEMBERS_MS));
}

int main(void)
{
#define MEMBERS_TEST(name) cmocka_unit_test_teardown(name, close_members)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_of_busy_machines_are_no_deaths),
        MEMBERS_TEST(after_ten_calm_minutes_a_death_is_found_as_soon_as_ever),
        MEMBERS_TEST(who_was_stopped_itself_gives_as_much_more_time),
        MEMBERS_TEST(who_is_heard_while_it_is_asked_has_its_time_again),
        MEMBERS_TEST(what_is_known_of_a_member_outlives_its_being_left_out),
        MEMBERS_TEST(who_is_often_stopped_itself_gives_others_more_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
