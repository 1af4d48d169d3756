/* Probes for larger datagrams than a path carries, in the analysis: rank 0 sends to rank 1, which reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/findings.h"

enum { LOSSES_MAX = 16, SAID_MAX = 4, TRY_MS = 20 };

static struct analysis analysis;
static struct findings findings;
static struct timeline timeline;
static uint64_t now_ns, back_number;
static uint64_t lost_numbers[LOSSES_MAX];
static uint8_t lost_types[LOSSES_MAX];
static size_t loss_count, said_count;
static char said[SAID_MAX][FINDINGS_BYTES];
static const char *severities[SAID_MAX];

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    assert_true(loss_count < LOSSES_MAX);
    lost_numbers[loss_count] = loss->entry ? loss->entry->number : 0;
    lost_types[loss_count] = loss->entry ? loss->entry->type : 0;
    loss_count++;
    findings_note_loss(&findings, loss, FINDINGS_UNKNOWN);
}

static void on_finding(void *context, const char *severity, const char *text)
{
    (void)context;
    assert_true(said_count < SAID_MAX);
    severities[said_count] = severity;
    snprintf(said[said_count++], FINDINGS_BYTES, "%s", text);
}

static int start(void **state)
{
    (void)state;
    analysis_init(&analysis, on_loss, NULL);
    memset(&timeline, 0, sizeof timeline);
    memset(&findings, 0, sizeof findings);
    findings = (struct findings){.analysis = &analysis, .timeline = &timeline, .on_finding = on_finding};
    now_ns = 1000000;
    back_number = 0;
    loss_count = said_count = 0;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    analysis_release(&analysis);
    return 0;
}

/* A datagram from rank 0 to 1, or back; 1 ms later than the one before. */
static struct packet datagram(unsigned src, uint8_t type, uint64_t number, uint32_t bytes)
{
    static struct frame frames[2];
    struct packet packet = {.ts_ns = now_ns, .state = PACKET_DECODED, .frame = &frames[src], .captured = bytes, .size = bytes};

    for (unsigned i = 0; i < 2; i++) {
        frames[i].src.port = (uint16_t)(1 + i);
        frames[i].dst.port = (uint16_t)(2 - i);
        frames[i].src.ip[15] = (uint8_t)i;
        frames[i].dst.ip[15] = (uint8_t)(1 - i);
    }
    packet.message.header = (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = 1, .type = type, .number = number, .epoch = 1};
    packet.message.header.src = (uint16_t)src;
    packet.message.header.dst = (uint16_t)(1 - src);
    packet.message.header.have_step = MESH_STEP_NONE;
    now_ns += 1000000;
    return packet;
}

static void send(uint8_t type, uint64_t number)
{
    const struct packet packet = datagram(0, type, number, 100);

    analysis_add(&analysis, &packet);
}

static void probe(uint64_t number, uint32_t bytes)
{
    struct packet packet = datagram(0, MESH_TYPE_PROBE, number, bytes);

    packet.message.as.probe.bytes = bytes;
    analysis_add(&analysis, &packet);
    now_ns += UINT64_C(1000000) * TRY_MS;
}

static void probe_ack(uint32_t bytes)
{
    struct packet packet = datagram(1, MESH_TYPE_PROBE_ACK, ++back_number, 100);

    packet.message.as.probe_ack.bytes = bytes;
    analysis_add(&analysis, &packet);
}

static void status(uint64_t seen, uint64_t lost)
{
    struct packet packet = datagram(1, MESH_TYPE_STATUS, ++back_number, 100);

    packet.message.as.status = (struct mesh_status){.seen_peer = seen, .window_bytes = 1, .lost = lost};
    analysis_add(&analysis, &packet);
}

static void end(void)
{
    analysis_end(&analysis);
    findings_tell(&findings);
}

static void probes_that_the_sender_s_capture_shows_are_the_lost_ones(void **state)
{
    (void)state;
    send(MESH_TYPE_HELLO, 1); /* which the receiver may have missed, too, as may the pongs */
    send(MESH_TYPE_PONG, 2);
    for (uint64_t i = 0; i < 3; i++) {
        probe(3 + 2 * i, 1452);
        send(MESH_TYPE_PONG, 4 + 2 * i);
    }
    status(8, 3);
    end();
    assert_int_equal(loss_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(lost_numbers[i], 3 + 2 * i);
        assert_int_equal(lost_types[i], MESH_TYPE_PROBE);
    }
    assert_int_equal(analysis.sum.lost, 3);
    assert_int_equal(analysis.sum.lost_probes, 3);
    assert_int_equal(said_count, 1);
    assert_string_equal(severities[0], "note");
    assert_non_null(strstr(said[0], "the path carries no datagram of 1452 bytes (its MTU is below 1480), and 1200 at least: 3 of"));
}

static void what_a_path_carries_is_what_was_answered(void **state)
{
    (void)state;
    send(MESH_TYPE_PONG, 1);
    probe(2, 1452);
    probe_ack(1452);
    for (uint64_t i = 0; i < 3; i++)
        probe(3 + i, 8952);
    send(MESH_TYPE_PONG, 6);
    status(6, 3);
    end();
    assert_int_equal(analysis.sum.lost_probes, 3);
    assert_non_null(strstr(said[0], "no datagram of 8952 bytes (its MTU is below 8980), and 1452 at least: 3 of"));
}

/* The same size arrives a moment later, so it is the network that loses: what the receiver counts is a loss like any other. Which datagram
 * it was, nothing proves: of the probe the answer alone may have been lost. */
static void a_lost_probe_of_a_size_that_the_path_carries_is_a_loss_like_any_other(void **state)
{
    (void)state;
    send(MESH_TYPE_PONG, 1);
    probe(2, 1452);
    probe(3, 1452);
    probe_ack(1452);
    send(MESH_TYPE_PONG, 4);
    status(4, 1);
    end();
    assert_int_equal(loss_count, 1);
    assert_int_equal(lost_numbers[0], 0);
    assert_int_equal(analysis.sum.lost, 1);
    assert_int_equal(analysis.sum.lost_probes, 0);
    assert_string_equal(said[0], "nothing unusual");
}

static void what_nobody_asked_for_may_be_a_probe(void **state)
{
    (void)state;
    send(MESH_TYPE_PONG, 1);
    send(MESH_TYPE_PONG, 3);
    send(MESH_TYPE_PONG, 6);
    status(6, 3);
    end();
    assert_int_equal(analysis.sum.lost, 3);
    assert_int_equal(analysis.sum.lost_probes, 0);
    assert_int_equal(said_count, 1);
    assert_string_equal(severities[0], "warning");
    assert_non_null(strstr(said[0], ": 3 lost, 3 of them at an unknown place"));
    assert_non_null(strstr(said[0], "nobody asked for any of them: probes of sizes that the path does not carry look like that"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(probes_that_the_sender_s_capture_shows_are_the_lost_ones),
        CASE(what_a_path_carries_is_what_was_answered),
        CASE(a_lost_probe_of_a_size_that_the_path_carries_is_a_loss_like_any_other),
        CASE(what_nobody_asked_for_may_be_a_probe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
