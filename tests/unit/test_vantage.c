/* On which host a capture was taken: what proves it, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture_case.h"
#include "dissector/vantage.h"

enum { COUNT = 20, INCOMING = 0, OTHERHOST = 3, OUTGOING = 4 };

static struct vantage vantage;
static struct frame_case built;
static struct frame frame;

static int set_up(void **state)
{
    (void)state;
    memset(&vantage, 0, sizeof vantage);
    return 0;
}

/* 10.0.0.host, mapped, or fd00::host. */
static const uint8_t *address(uint8_t host, bool is_v6)
{
    static uint8_t ip[16];

    memset(ip, 0, sizeof ip);
    memcpy(ip, is_v6 ? (uint8_t[4]){0xfd} : (uint8_t[4]){0}, 4);
    if (!is_v6)
        memcpy(ip + 10, (uint8_t[6]){0xff, 0xff, 10, 0, 0, host}, 6);
    ip[15] = host;
    return ip;
}

static enum vantage_proof at(uint8_t host)
{
    return vantage_at(&vantage, address(host, false));
}

static void add_frame(size_t datagram_bytes)
{
    const struct packet packet = {.state = PACKET_DECODED, .frame = &frame, .size = datagram_bytes != 0 ? datagram_bytes : frame.size};

    assert_int_equal(frame.kind, FRAME_UDP);
    vantage_add(&vantage, &packet);
}

/* A frame of a cooked capture, of either version. */
static void add_cooked(uint8_t src, uint8_t dst, uint8_t packet_type, bool is_second)
{
    const uint8_t first[16] = {[1] = packet_type, [3] = 1, [5] = 6, [14] = 0x08};
    const uint8_t second[20] = {[0] = 0x08, [9] = 1, [10] = packet_type, [11] = 6};
    const uint8_t *bytes;
    size_t size;

    frame_case_start(&built, "payload", 7);
    frame_case_udp(&built, 7411, 7411);
    frame_case_ipv4(&built, src, dst, 17, 0);
    frame_case_put(&built, is_second ? second : first, is_second ? sizeof second : sizeof first);
    bytes = frame_case_bytes(&built, &size);
    frame_parse(&frame, is_second ? FRAME_SLL2 : FRAME_SLL, bytes, size, size);
    add_frame(0);
}

/* A frame whose checksum covers the pseudo-header alone, or something else. */
static void add_checksummed(uint8_t src, uint8_t dst, bool is_unfinished, bool is_v6, size_t datagram_bytes)
{
    enum { UDP_BYTES = 8 + 7 };
    const uint32_t v4 = (10u << 8) * 2 + src + dst + 17 + UDP_BYTES, v6 = (0xfdu << 8) * 2 + src + dst + 17 + UDP_BYTES;
    const uint32_t sum = is_v6 ? (v6 & 0xffff) + (v6 >> 16) : v4;
    const uint16_t checksum = (uint16_t)(is_unfinished ? sum : sum + 1);
    uint8_t udp[UDP_BYTES] = {7411 >> 8, 7411 & 255, 7411 >> 8, 7411 & 255, 0, UDP_BYTES, (uint8_t)(checksum >> 8), (uint8_t)checksum, 'p'};
    const uint8_t *bytes;
    size_t size;

    frame_case_start(&built, udp, sizeof udp);
    if (is_v6)
        frame_case_ipv6(&built, src, dst, 17);
    else
        frame_case_ipv4(&built, src, dst, 17, 0);
    bytes = frame_case_bytes(&built, &size);
    frame_parse(&frame, FRAME_RAW, bytes, size, size);
    add_frame(datagram_bytes);
}

static void nothing_proves_it_at_first(void **state)
{
    (void)state;
    assert_int_equal(at(1), VANTAGE_NONE);
    add_checksummed(1, 2, true, false, 0);
    assert_int_equal(at(1), VANTAGE_NONE);
    assert_false(vantage_is_proved(&vantage));
}

static void a_cooked_capture_tells_which_host_frames_leave(void **state)
{
    (void)state;
    for (unsigned is_second = 0; is_second < 2; is_second++) {
        memset(&vantage, 0, sizeof vantage);
        add_cooked(1, 2, OUTGOING, is_second);
        add_cooked(2, 1, INCOMING, is_second);
        assert_int_equal(at(1), VANTAGE_COOKED);
        assert_int_equal(at(2), VANTAGE_NONE);
        assert_true(vantage_is_proved(&vantage));
    }
}

/* On a router each frame comes in and goes out; on a bridge it comes in for another host. */
static void a_host_that_forwards_is_not_where_the_frames_are_from(void **state)
{
    (void)state;
    add_cooked(1, 2, INCOMING, false);
    add_cooked(1, 2, OUTGOING, false);
    add_cooked(2, 1, OTHERHOST, false);
    add_cooked(2, 1, OUTGOING, false);
    assert_false(vantage_is_proved(&vantage));
}

/* As on a router with -Q out. */
static void frames_that_all_go_out_prove_nothing(void **state)
{
    (void)state;
    add_cooked(1, 2, OUTGOING, false);
    add_cooked(2, 1, OUTGOING, false);
    assert_false(vantage_is_proved(&vantage));
}

static void unfinished_checksums_of_one_host_prove_it(void **state)
{
    (void)state;
    for (unsigned is_v6 = 0; is_v6 < 2; is_v6++) {
        memset(&vantage, 0, sizeof vantage);
        for (unsigned i = 0; i < COUNT; i++) {
            assert_false(vantage_is_proved(&vantage) && i < 8);
            add_checksummed(1, 2, true, is_v6, 0);
            add_checksummed(2, 1, false, is_v6, 0);
        }
        assert_int_equal(vantage_at(&vantage, address(1, is_v6)), VANTAGE_CHECKSUMS);
        assert_int_equal(vantage_at(&vantage, address(2, is_v6)), VANTAGE_NONE);
    }
}

/* Virtual machines and containers of one machine hand such frames to one another. */
static void unfinished_checksums_of_several_hosts_prove_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        add_checksummed(1, 2, true, false, 0);
        add_checksummed(3, 1, true, false, 0);
        add_checksummed(2, 1, false, false, 0);
    }
    assert_false(vantage_is_proved(&vantage));
}

static void finished_checksums_alone_prove_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        add_checksummed(1, 2, false, false, 0);
        add_checksummed(2, 1, false, false, 0);
    }
    assert_false(vantage_is_proved(&vantage));
}

/* What a kernel joins on arrival has an unfinished checksum, too. */
static void frames_of_several_datagrams_do_not_count(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        add_checksummed(1, 2, true, false, 0);
        add_checksummed(2, 1, true, false, 3);
        add_checksummed(2, 1, false, false, 0);
    }
    assert_int_equal(at(1), VANTAGE_CHECKSUMS);
    assert_int_equal(at(2), VANTAGE_NONE);
}

static void what_the_user_says_counts_alone(void **state)
{
    (void)state;
    vantage.is_stated = true;
    memcpy(vantage.stated, address(2, false), sizeof vantage.stated);
    add_cooked(1, 2, OUTGOING, false);
    add_cooked(2, 1, INCOMING, false);
    assert_int_equal(at(1), VANTAGE_NONE);
    assert_int_equal(at(2), VANTAGE_STATED);
}

/* On the loopback interface a frame comes in alone. */
static void frames_from_a_host_to_itself_do_not_count(void **state)
{
    (void)state;
    add_cooked(1, 1, INCOMING, false);
    add_cooked(1, 2, OUTGOING, false);
    assert_int_equal(at(1), VANTAGE_COOKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_proves_it_at_first, set_up),
        cmocka_unit_test_setup(a_cooked_capture_tells_which_host_frames_leave, set_up),
        cmocka_unit_test_setup(a_host_that_forwards_is_not_where_the_frames_are_from, set_up),
        cmocka_unit_test_setup(frames_that_all_go_out_prove_nothing, set_up),
        cmocka_unit_test_setup(unfinished_checksums_of_one_host_prove_it, set_up),
        cmocka_unit_test_setup(unfinished_checksums_of_several_hosts_prove_nothing, set_up),
        cmocka_unit_test_setup(finished_checksums_alone_prove_nothing, set_up),
        cmocka_unit_test_setup(frames_of_several_datagrams_do_not_count, set_up),
        cmocka_unit_test_setup(what_the_user_says_counts_alone, set_up),
        cmocka_unit_test_setup(frames_from_a_host_to_itself_do_not_count, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
