/* Display filters: what they let through, and where they report an error in an expression. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_case.h"
#include "dissector/filter_field.h"
#include "dissector/filter_source.h"

enum { PACKET_BYTES = 4000 };

static uint8_t bytes[PACKET_BYTES];
static struct decoder decoder;
static struct frame frame;
static struct packet packet;
static struct numbers_verdict numbers;
static struct filter_subject subject;

/* The current packet: a message of this type, from 10.0.0.1 port 7411 to 10.0.0.2 port 7412, in a frame with two VLANs. */
static void given(unsigned type)
{
    const size_t size = message_case(type, 9, bytes, sizeof bytes);

    frame = (struct frame){.kind = FRAME_UDP, .has_addresses = true, .has_macs = true, .vlan_count = 2, .vlans = {100, 200}, .hops = 64};
    memcpy(frame.src.ip, (const uint8_t[16]){[10] = 0xff, 0xff, 10, 0, 0, 1}, 16);
    memcpy(frame.dst.ip, (const uint8_t[16]){[10] = 0xff, 0xff, 10, 0, 0, 2}, 16);
    memcpy(frame.source_mac, (const uint8_t[]){2, 0, 0, 0, 0, 1}, FRAME_MAC_BYTES);
    frame.src.port = 7411;
    frame.dst.port = 7412;
    memset(&packet, 0, sizeof packet);
    packet.frame_number = 3;
    packet.link_size = packet.link_captured = size + 42;
    packet.ts_ns = UINT64_C(1700000000250000000);
    packet.frame = &frame;
    packet_decode(&decoder, &packet, bytes, size, size);
    numbers = (struct numbers_verdict){0};
    subject = (struct filter_subject){.packet = &packet, .numbers = &numbers, .first_ns = packet.ts_ns - 1500000000};
    subject.previous_ns = packet.ts_ns - 250000000;
}

static bool lets_through(const char *text)
{
    struct fail fail = {0};
    struct filter *filter = filter_compile(text, &fail);
    bool is_through;

    if (filter == NULL)
        fail_msg("%s", fail.text);
    is_through = filter_match(filter, &subject);
    filter_free(filter);
    return is_through;
}

#define assert_through(text) assert_true(lets_through(text))
#define assert_held(text)    assert_false(lets_through(text))

/* message_case gives the n-th field of a message the value n + 3, or the nearest value in its range. */
static void fields_of_the_schema_are_compared(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("tile.phase == 5");
    assert_through("mesh.tile.phase eq 0x5");
    assert_held("tile.phase != 5");
    assert_through("tile.phase < 6 && tile.phase <= 5 && tile.phase > 4 && tile.phase >= 5");
    assert_held("tile.phase < 5 or tile.phase gt 5");
    assert_held("tile.phase < 0");
    assert_through("tile.phase ge 0");
    assert_through("mesh.src == 0 && peer.dst == 1 && epoch == 1 && mesh.number == 9");
    assert_held("tile.step > 18446744073709551615");
}

static void what_is_not_there_is_neither_equal_nor_unequal(void **state)
{
    (void)state;
    given(MESH_TYPE_PING);
    assert_held("tile.phase == 5");
    assert_held("tile.phase != 5");
    assert_through("!(tile.phase == 5)");
    assert_held("tile.phase");
    assert_held("tile");
    assert_through("ping && ping.origin_ns && mesh");
    assert_through("tile.phase not in {5}");
}

static void a_name_without_its_message_is_enough_where_only_one_has_it(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("ready_ns == 4");
    assert_through("mesh.ready_ns == 4");
}

static void and_binds_more_tightly_than_or(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("tile || nak && ping");
    assert_held("(tile || nak) && ping");
    assert_through("! ping && !! tile");
    assert_through("not (ping or nak) and tile");
    assert_through("ping && nak || ping && nak || tile && (ping || tile)");
    assert_held("tile && (ping || (nak && tile)) || ping");
    assert_through("");
}

static void one_of_several_values_is_enough_and_unequal_means_all_of_them(void **state)
{
    (void)state;
    given(MESH_TYPE_NAK); /* two ranges: the fields of the first are 20 and on, of the second 30 and on */
    assert_through("range.token_first == 20 && range.token_first == 30");
    assert_held("range.token_first != 30");
    assert_through("range.token_first != 31");
    assert_through("udp.port == 7411 && udp.port == 7412 && udp.srcport == 7411 && udp.dstport != 7411");
    assert_through("vlan.id == 200 && vlan.id == 100");
    given(MESH_TYPE_COMMIT);
    assert_through("member.port in {41, 42, 62}");
    assert_held("range");
}

static void sets_hold_values_and_ranges_of_them(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("tile.phase in {1, 3..5}");
    assert_through("tile.phase in {1 5}");
    assert_held("tile.phase in {1..4,6..9}");
    assert_through("tile.phase not in {1..4}");
    assert_through("type in {NAK, TILE}");
    assert_through("ip.src in {10.1.0.0/16, 10.0.0.1..10.0.0.9}");
}

static void numbers_with_names_may_be_named(void **state)
{
    (void)state;
    given(MESH_TYPE_HELLO_ACK);
    assert_through("type == HELLO_ACK && type == hello_ack && type == \"HELLO_ACK\" && type == 2");
    assert_through("type contains \"ack\"");
    assert_held("type contains TILE");
    assert_through("state == decoded && seal == plain && dst != all");
}

static void some_bits_can_be_asked_for(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    packet.message.header.flags = MESH_FLAG_RESEND | MESH_FLAG_ALL;
    assert_through("flags & 2 && flags & 3 == 3 && resent && to_all");
    assert_held("flags & 8 || copy || sealed");
    assert_through("copy == false && resent == 1 && mesh.analysis.resend");
}

static void addresses_may_have_a_prefix(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("ip.src == 10.0.0.1 && ip.dst != 10.0.0.1 && ip.addr == 10.0.0.2");
    assert_through("ip.src == 10.0.0.0/24 && ip.src < 10.0.0.2 && ip.src == 0.0.0.0/0");
    assert_held("ip.src == 10.0.1.0/24 || ip.src > 10.0.0.0/24 || ipv6.src");
    frame.is_v6 = true;
    memcpy(frame.src.ip, (const uint8_t[16]){0xfd, [15] = 7}, 16);
    assert_through("ipv6.src == fd00::7 && ipv6.src == fd00::/8 && !ip.src");
    assert_held("ipv6.src == fd00::/125 && ipv6.src == fd00::8");
}

static void bytes_and_texts_are_compared_and_searched(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("eth.src == 02:00:00:00:00:01 && eth.src == 020000000001 && eth.src < 02:00:00:00:00:02");
    assert_held("eth.addr == ff:ff:ff:ff:ff:ff");
    assert_through("data contains \"tile d\" && data contains 64:61:74:61 && data contains \"\\x64a\"");
    assert_held("data contains \"tile e\" || data == \"tile\"");
    assert_through("data > \"tile\" && data_bytes == 100");
    packet.captured = 60;
    packet.state = PACKET_HEADER;
    assert_through("trouble contains \"cut short\" && trouble >= \"cut\" && trouble < d");
    assert_held("tile || trouble == \"cut\"");
}

static void times_are_seconds_or_dates(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    given(MESH_TYPE_TILE);
    assert_through("frame.time == 1700000000.25 && time > 1700000000 && frame.time_epoch < 1700000000.250000001");
    assert_through("frame.time == \"2023-11-14 22:13:20.25\" && frame.time < \"2023-11-14T22:13:21\"");
    assert_through("frame.time_relative == 1.5 && frame.time_delta <= 0.25");
    assert_held("frame.time_relative in {0..1.4}");
}

static void the_frame_and_what_numbers_say_have_fields(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    assert_through("frame.number == 3 && frame.len == 224 && length == 182 && ip.ttl == 64");
    assert_held("gap || duplicate || reordered || late || lost || spurious || frame.note");
    numbers.gap = 2;
    numbers.is_late = true;
    subject.verdicts = FILTER_LOST;
    assert_through("gap == 2 && late && mesh.analysis.lost && !analysis.spurious_resend");
    subject.verdicts = FILTER_SPURIOUS;
    assert_through("spurious && lost == 0");
}

/* Of the list in filter_source.h. filter_get.c asserts that it knows each. */
static void fields_outside_the_schema_are_there_or_not(void **state)
{
#define NAME_OF(id, name, group, kind, size, meaning) name,
    static const char *const names[] = {FILTER_SOURCES(NAME_OF)};
    static const char *const absent =
        " spurious gap duplicate reordered late resent copy to_all sealed trouble frame.note ipv6.src ipv6.dst "
        "ipv6.addr ipv6.hlim ";

    (void)state;
    given(MESH_TYPE_TILE);
    subject.verdicts = FILTER_LOST;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char word[FILTER_NAME_BYTES + 2];

        snprintf(word, sizeof word, " %s ", names[i]);
        if (lets_through(names[i]) != (strstr(absent, word) == NULL))
            fail_msg("%s", names[i]);
    }
}

static void a_frame_without_a_datagram_has_only_the_fields_of_a_frame(void **state)
{
    (void)state;
    given(MESH_TYPE_TILE);
    packet.bytes = NULL;
    frame.kind = FRAME_FOREIGN;
    frame.note = "ARP";
    assert_held("mesh || tile || length || lost || udp.port || state == decoded || gap == 0");
    assert_through("frame.note == \"ARP\" && vlan.id == 100");
}

static void a_loss_has_what_is_known_of_it(void **state)
{
    static struct link link;
    const struct link_entry entry = {.number = 12, .type = MESH_TYPE_TILE, .step = 4, .phase = 17, .has_range = true, .is_missing = true};
    const struct analysis_loss tile = {.link = &link, .entry = &entry, .is_all = true}, counted = {.link = &link};
    struct fail fail = {0};
    struct filter *filter = filter_compile("tile.phase == 17 && peer.src == 2 && dst == 1 && lost && to_all && number == 12", &fail);
    struct filter *unknown = filter_compile("flags || sent_ns || ready_ns || length || state == decoded || frame.number", &fail);
    struct filter *either = filter_compile("src == 2 && !number", &fail);

    (void)state;
    assert_true(filter && unknown && either);
    link.src = 2;
    link.dst = 1;
    assert_true(filter_match_loss(filter, &tile));
    assert_false(filter_match_loss(filter, &counted));
    assert_false(filter_match_loss(unknown, &tile));
    assert_false(filter_match_loss(either, &tile));
    assert_true(filter_match_loss(either, &counted));
    filter_free(filter);
    filter_free(unknown);
    filter_free(either);
}

static void only_what_is_known_later_needs_the_whole_capture(void **state)
{
    struct fail fail = {0};
    struct filter *now = filter_compile("late || duplicate || status.lost == 3", &fail);
    struct filter *later = filter_compile("tile && lost", &fail);

    (void)state;
    assert_null(filter_needs_verdicts(now));
    assert_string_equal(filter_needs_verdicts(later), "lost");
    filter_free(now);
    filter_free(later);
}

/* ---- what is refused ---- */

static void assert_refused(const char *text, unsigned column, const char *why)
{
    struct fail fail = {0};
    char start[40];
    const char *mark, *line;

    assert_null(filter_compile(text, &fail));
    assert_int_equal(fail.exit_code, EXIT_USAGE);
    snprintf(start, sizeof start, "-Y: column %u: ", column);
    if (strncmp(fail.text, start, strlen(start)) != 0 || strstr(fail.text, why) == NULL)
        fail_msg("%s\nis not at column %u: %s", fail.text, column, why);
    mark = strrchr(fail.text, '\n');
    line = strchr(fail.text, '\n');
    assert_true(line != NULL && mark != line);
    mark += 1 + strspn(mark + 1, " ");
    assert_int_equal(*mark, '^');
    assert_null(strpbrk(mark + 1, " \n"));
}

static void a_field_that_is_none_is_named_with_the_nearest_one(void **state)
{
    (void)state;
    assert_refused("tile.phse == 17", 1, "'tile.phse': no such field: did you mean tile.phase?");
    assert_refused("tile && mesh.peer.sr == 2", 9, "no such field");
    assert_refused("zzzzzzzzzzzz", 1, "--export filter lists them");
    assert_refused("tile && phase == 3", 9, "of which message? write tile.phase, nak.phase, not_yet.phase");
    assert_refused("tile || not_captured", 9, "--analyze counts it");
}

static void a_value_that_does_not_fit_is_pointed_at(void **state)
{
    (void)state;
    assert_refused("tile.phase == many", 15, "not a number");
    assert_refused("tile.phase == 65536", 15, "more than that field can hold");
    assert_refused("tile.step == 18446744073709551616", 14, "not a number");
    assert_refused("type == TLIE", 9, "did you mean TILE");
    assert_refused("lost == 2", 9, "a flag is 0 or 1");
    assert_refused("ip.src == fd00::1", 11, "ipv6.src");
    assert_refused("ip.src == 10.0.0.0/33", 11, "more than 32 bits");
    assert_refused("eth.src == 02:00", 12, "2 bytes, but the field has 6");
    assert_refused("tag == 0g", 8, "not bytes");
    assert_refused("frame.time > \"yesterday\"", 14, "not a time");
    assert_refused("tile.phase in {1, 9..5}", 19, "an empty range");
    assert_refused("data contains \"abc", 15, "a text without end");
    assert_refused("tile == 3", 6, "tile.step");
    assert_refused("tile.phase contains 3", 21, "neither text nor bytes");
}

static void a_sentence_that_is_wrong_is_pointed_at(void **state)
{
    (void)state;
    assert_refused("tile &&", 8, "it ends here");
    assert_refused("tile.phase ==", 14, "a value is missing");
    assert_refused("tile nak", 6, "'and' or 'or'");
    assert_refused("(tile && (nak)", 1, "not closed");
    assert_refused("tile)", 5, "'and' or 'or'");
    assert_refused("src = 2", 5, "write ==");
    assert_refused("tile.phase in 5", 15, "in {1, 3, 5..9}");
    assert_refused("tile.phase in {}", 16, "no value");
    assert_refused("tile & 2", 6, "is not a number");
    assert_refused("&& tile", 1, "the name of a field");
    assert_refused("tile.phase == 1 ~ 2", 17, "'and' or 'or'");
}

static void a_place_behind_what_is_no_text_is_pointed_at(void **state)
{
    char text[700] = "trouble == \"";
    const size_t start = strlen(text);

    (void)state;
    memset(text + start, 0x80, 300); /* bytes that may continue a character, but do not begin one */
    strcpy(text + start + 300, "\" )");
    assert_refused(text, 315, "'and' or 'or'");
    strcpy(text + start + 300, "\" \"");
    memset(text + start + 303, 'a', 300);
    assert_refused(text, 315, "'and' or 'or'");
}

/* As many parentheses as given, one pair inside another. */
static char *nested(unsigned count)
{
    char *text = malloc(2 * (size_t)count + 5);

    assert_non_null(text);
    memset(text, '(', count);
    memcpy(text + count, "tile", 4);
    memset(text + count + 4, ')', count);
    text[2 * count + 4] = '\0';
    return text;
}

static void what_is_too_long_or_too_deep_is_refused(void **state)
{
    static char text[20000];
    char *deep = nested(FILTER_DEPTH_MAX), *too_deep = nested(FILTER_DEPTH_MAX + 1);
    size_t size = 0;

    (void)state;
    given(MESH_TYPE_TILE);
    assert_true(lets_through(deep));
    assert_refused(too_deep, FILTER_DEPTH_MAX + 1, "nested parentheses");
    for (unsigned i = 0; i < 200; i++)
        size += (size_t)sprintf(text + size, "%stile", i > 0 ? " && " : "");
    assert_refused(text, 1 + 128 * 8, "too long");
    size = (size_t)sprintf(text, "tile.phase in {0");
    for (unsigned i = 1; i <= FILTER_RANGES_MAX; i++)
        size += (size_t)sprintf(text + size, ",%u", i);
    strcpy(text + size, "}");
    assert_refused(text, (unsigned)size + 1, "at most 512 values");
    free(deep);
    free(too_deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_the_schema_are_compared),
        cmocka_unit_test(what_is_not_there_is_neither_equal_nor_unequal),
        cmocka_unit_test(a_name_without_its_message_is_enough_where_only_one_has_it),
        cmocka_unit_test(and_binds_more_tightly_than_or),
        cmocka_unit_test(one_of_several_values_is_enough_and_unequal_means_all_of_them),
        cmocka_unit_test(sets_hold_values_and_ranges_of_them),
        cmocka_unit_test(numbers_with_names_may_be_named),
        cmocka_unit_test(some_bits_can_be_asked_for),
        cmocka_unit_test(addresses_may_have_a_prefix),
        cmocka_unit_test(bytes_and_texts_are_compared_and_searched),
        cmocka_unit_test(times_are_seconds_or_dates),
        cmocka_unit_test(the_frame_and_what_numbers_say_have_fields),
        cmocka_unit_test(fields_outside_the_schema_are_there_or_not),
        cmocka_unit_test(a_frame_without_a_datagram_has_only_the_fields_of_a_frame),
        cmocka_unit_test(a_loss_has_what_is_known_of_it),
        cmocka_unit_test(only_what_is_known_later_needs_the_whole_capture),
        cmocka_unit_test(a_field_that_is_none_is_named_with_the_nearest_one),
        cmocka_unit_test(a_value_that_does_not_fit_is_pointed_at),
        cmocka_unit_test(a_sentence_that_is_wrong_is_pointed_at),
        cmocka_unit_test(a_place_behind_what_is_no_text_is_pointed_at),
        cmocka_unit_test(what_is_too_long_or_too_deep_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
