#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/telemetry/event_ring.h"

static struct event_ring events;

static void note(uint32_t epoch, const char *text)
{
    const struct mesh_telemetry_event event = {.happened = MESH_NODE_EVENT_EPOCH, .epoch = epoch};

    event_ring_add(&events, &event, text);
}

static void events_are_numbered_from_one_and_the_last_ones_kept(void **state)
{
    (void)state;
    memset(&events, 0, sizeof events);
    assert_int_equal(event_ring_first(&events), events.count + 1);
    for (uint32_t i = 1; i <= 3 * EVENT_RING_ENTRIES; i++) {
        note(i, "it began");
        assert_int_equal(event_ring_get(&events, i)->event.number, i);
    }
    assert_int_equal(event_ring_first(&events), 2 * EVENT_RING_ENTRIES + 1);
    for (uint32_t i = event_ring_first(&events); i <= events.count; i++) {
        assert_int_equal(event_ring_get(&events, i)->event.epoch, i);
        assert_string_equal(event_ring_get(&events, i)->text, "it began");
    }
    assert_int_equal(events.by_kind[MESH_NODE_EVENT_EPOCH], 3 * EVENT_RING_ENTRIES);
    assert_int_equal(events.by_kind[MESH_NODE_EVENT_LOST], 0);
}

static void a_long_text_is_cut_between_two_characters_with_a_mark(void **state)
{
    char text[1000];
    const char *kept = events.entry[1].text;

    (void)state;
    memset(&events, 0, sizeof events);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    note(1, text);
    assert_int_equal(strlen(kept), MESH_TELEMETRY_TEXT_BYTES_MAX);
    assert_string_equal(kept + MESH_TELEMETRY_TEXT_BYTES_MAX - 4, "x…");
    text[MESH_TELEMETRY_TEXT_BYTES_MAX] = '\0'; /* as much as there is room for */
    memset(&events, 0, sizeof events);
    note(1, text);
    assert_string_equal(kept, text);
    memcpy(text + MESH_TELEMETRY_TEXT_BYTES_MAX - 4, "é and on", 10);
    memset(&events, 0, sizeof events);
    note(1, text);
    assert_string_equal(kept + MESH_TELEMETRY_TEXT_BYTES_MAX - 5, "x…");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_numbered_from_one_and_the_last_ones_kept),
        cmocka_unit_test(a_long_text_is_cut_between_two_characters_with_a_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
