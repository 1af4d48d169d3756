/* The analysis against the truth: a simulated mesh drops, duplicates and delays datagrams, and records which; the analysis of captures of
 * the same traffic names exactly those, with their pair and number space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dissector/analysis.h"
#include "simbench.h"

enum { TRUTH_MAX = 20000, RUNS = 12, LATE_RUNS = 60, STEPS = 60, NARROW_BYTES = 1300, TOGETHER = 0xffff };

/* A datagram, identified as its sender numbers it. */
struct truth_name {
    uint64_t number;
    uint16_t from, to;
    bool is_all;
};

struct truth_list {
    size_t count;
    struct truth_name names[TRUTH_MAX];
};

/* A rank's endpoint with a capture in front of it. */
struct truth_tap {
    struct mesh *mesh;
    uint16_t rank;
};

static struct simbench bench;
static struct truth_tap taps[MESH_RANKS_MAX];
static struct truth_list dropped, named;
static uint64_t last_arrived[MESH_RANKS_MAX][MESH_RANKS_MAX][2]; /* (from, to, space) highest number */
static struct analysis analysis;
static struct decoder decoder;
static uint64_t captured_count, unnamed_count;
static unsigned viewpoint;        /* the rank on whose host the only capture is taken, or TOGETHER: one on each host */
static uint64_t captured_from_ns; /* when the captures begin */
static bool is_narrow;            /* large datagrams are lost, and nothing else is */
static bool is_outward;           /* for the only capture: compare what left its host, not what arrived there */

static void put_name(struct truth_list *list, struct truth_name name)
{
    assert_true(list->count < TRUTH_MAX);
    list->names[list->count++] = name;
}

static bool is_looked_at(uint16_t from, uint16_t to)
{
    return viewpoint == TOGETHER || viewpoint == (is_outward ? from : to);
}

/* ---- captures ---- */

/* Adds a datagram to a host's capture. */
static void capture(uint16_t host, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *bytes, size_t size)
{
    struct frame frame = {.is_v6 = true, .src = {{0xfd, [15] = (uint8_t)from}, 7411}, .dst = {{0xfd, [15] = (uint8_t)to}, 7411}};
    struct packet packet = {.number = ++captured_count, .ts_ns = now_ns + 1, .frame = &frame};

    if (now_ns < captured_from_ns || (viewpoint != TOGETHER && host != viewpoint))
        return;
    packet.point = viewpoint == TOGETHER ? host : 0;
    packet_decode(&decoder, &packet, bytes, size, size);
    assert_int_equal(packet.state, PACKET_DECODED);
    analysis_add(&analysis, &packet);
}

static void on_wire(void *app, uint64_t now_ns, uint16_t from, uint16_t to, const uint8_t *packet, size_t bytes, bool is_dropped)
{
    struct mesh_header header;

    (void)app;
    if (is_dropped) {
        assert_int_equal(mesh_wire_decode_header(packet, bytes, &header), 0);
        put_name(&dropped, (struct truth_name){header.number, from, to, header.dst == MESH_DST_ALL});
    }
    capture(from, now_ns, from, to, packet, bytes);
}

static int on_arrival(void *core, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    const struct truth_tap *tap = core;
    const int result = mesh_receive(tap->mesh, now_ns, from, packet, bytes);
    struct mesh_header header;
    uint64_t *last;

    if (result == MESH_AGAIN)
        return result; /* still in the host's buffer */
    assert_int_equal(mesh_wire_decode_header(packet, bytes, &header), 0);
    last = &last_arrived[from.port][tap->rank][header.dst == MESH_DST_ALL];
    *last = header.number > *last ? header.number : *last;
    capture(tap->rank, now_ns, from.port, tap->rank, packet, bytes);
    return result;
}

static void tap_tick(void *core, uint64_t now_ns)
{
    const struct truth_tap *tap = core;

    mesh_tick(tap->mesh, now_ns);
}

static uint64_t tap_timeout(const void *core)
{
    const struct truth_tap *tap = core;

    return mesh_timeout(tap->mesh);
}

static bool tap_next(void *core, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    const struct truth_tap *tap = core;

    return mesh_next_datagram(tap->mesh, now_ns, packet, capacity, output);
}

/* ---- runs ---- */

static void tap_all(void)
{
    for (uint16_t rank = 0; rank < bench.shape.rank_count; rank++) {
        const struct mesh_sim_endpoint endpoint = {&taps[rank], on_arrival, tap_tick, tap_timeout, tap_next};

        taps[rank] = (struct truth_tap){bench.apps[rank].mesh, rank};
        mesh_sim_crash(bench.sim, rank); /* before anything happens: only its place is taken */
        mesh_sim_attach_endpoint(bench.sim, rank, &endpoint, simapp_work, &bench.apps[rank]);
    }
    mesh_sim_watch(bench.sim, on_wire, NULL);
}

static void on_loss(void *context, const struct analysis_loss *loss)
{
    const uint16_t to = loss->link->to.ip[15];

    (void)context;
    if (!is_looked_at(loss->link->src, to))
        return;
    if (loss->entry == NULL)
        unnamed_count++;
    else
        put_name(&named, (struct truth_name){loss->entry->number, loss->link->src, to, loss->is_all});
}

static void start_analysis(uint16_t rank_count)
{
    analysis_init(&analysis, on_loss, NULL);
    dropped.count = named.count = 0;
    captured_count = unnamed_count = 0;
    memset(last_arrived, 0, sizeof last_arrived);
    if (viewpoint != TOGETHER)
        return;
    analysis.links.point_count = rank_count;
    for (uint16_t rank = 0; rank < rank_count; rank++)
        analysis.links.points[rank] = (struct links_point){.is_known = true, .ip = {0xfd, [15] = (uint8_t)rank}};
}

/* From 0.1 % to 5 % lost, and as many duplicated and reordered. */
static struct mesh_sim_link bad_link(unsigned seed)
{
    static const uint32_t loss_ppm[] = {1000, 5000, 20000, 50000};
    struct mesh_sim_link link = simbench_ethernet();

    link.loss_ppm = loss_ppm[seed % 4];
    link.duplicate_ppm = seed % 3 * 10000;
    link.reorder_ppm = (seed + 1) % 3 * 10000;
    link.reorder_ns = SIM_US(30) << seed % 4;
    return link;
}

/* Nothing is lost but what is larger than that. */
static struct mesh_sim_link narrow_link(void)
{
    struct mesh_sim_link link = simbench_ethernet();

    link.datagram_bytes_max = NARROW_BYTES;
    return link;
}

static void set_links(const struct mesh_sim_link *link)
{
    for (uint16_t from = 0; from < bench.shape.rank_count; from++)
        for (uint16_t to = 0; to < bench.shape.rank_count; to++)
            if (from != to)
                mesh_sim_set_link(bench.sim, from, to, link);
}

/* Traffic of three to five ranks with losses, then one second without. Losses begin after the handshake: before that a rank records no
 * numbers, and counts datagrams as lost that arrived nevertheless. */
static void run(unsigned seed, unsigned seen_from)
{
    const struct mesh_sim_link good = simbench_ethernet(), bad = is_narrow ? narrow_link() : bad_link(seed);
    const uint16_t rank_count = (uint16_t)(3 + seed % 3);
    struct simshape shape;
    bool is_good;

    simshape_random(&shape, seed, rank_count, 5, 40);
    shape.step_count = STEPS;
    shape.records = 3;
    viewpoint = seen_from;
    start_analysis(rank_count);
    simbench_init(&bench, &shape, seed, &good);
    simbench_start(&bench);
    tap_all();
    is_good = simbench_join(&bench, SIM_S(1));
    set_links(&bad);
    is_good = is_good && simbench_exchange(&bench, SIM_S(60));
    set_links(&good);
    if (is_good)
        mesh_sim_run(bench.sim, mesh_sim_now_ns(bench.sim) + SIM_S(1), NULL, NULL);
    simbench_close(&bench);
    if (!is_good)
        fail_msg("seed %u: %s", seed, bench.error);
    analysis_end(&analysis);
}

/* ---- comparison ---- */

static int compare_names(const void *left, const void *right)
{
    const struct truth_name *a = left, *b = right;
    const uint64_t keys[2] = {(uint64_t)a->from << 32 | (uint64_t)a->to << 16 | a->is_all,
                              (uint64_t)b->from << 32 | (uint64_t)b->to << 16 | b->is_all};

    if (keys[0] != keys[1])
        return keys[0] < keys[1] ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static bool is_in(const struct truth_list *list, const struct truth_name *name)
{
    return bsearch(name, list->names, list->count, sizeof *name, compare_names) != NULL;
}

/* A capture on the receiver's host cannot show losses after the last datagram that arrived of a space. */
static bool is_shown(const struct truth_name *name)
{
    if (viewpoint == TOGETHER)
        return true;
    return is_looked_at(name->from, name->to) && name->number < last_arrived[name->from][name->to][name->is_all];
}

static void expect_in(unsigned seed, const struct truth_list *list, const struct truth_name *name, const char *what)
{
    if (!is_in(list, name))
        fail_msg("seed %u, seen from %u: number %llu of %s from %u to %u %s", seed, viewpoint, (unsigned long long)name->number,
                 name->is_all ? "the space to all" : "the pair's space", name->from, name->to, what);
}

static void sort(void)
{
    qsort(dropped.names, dropped.count, sizeof *dropped.names, compare_names);
    qsort(named.names, named.count, sizeof *named.names, compare_names);
}

/* On how many links it is said that only large datagrams are lost. */
static unsigned count_narrow(void)
{
    unsigned count = 0;

    for (size_t i = 0; i < analysis.links.count; i++) {
        const struct sizes_verdict found = sizes_judge(&analysis.links.links[i]->sizes);

        assert_true(found.bytes == 0 || (is_narrow && found.bytes > NARROW_BYTES && found.large == 0));
        count += found.bytes > 0;
    }
    return count;
}

static void expect_no_other_names(unsigned seed)
{
    assert_true(is_narrow || count_narrow() == 0);
    for (size_t i = 0; i < named.count; i++) {
        expect_in(seed, &dropped, &named.names[i], "is named and was not dropped");
        assert_true(i == 0 || compare_names(&named.names[i - 1], &named.names[i]) != 0);
    }
}

/* Every visible loss is named once, and nothing else is. */
static void compare(unsigned seed)
{
    sort();
    for (size_t i = 0; i < dropped.count; i++)
        if (is_shown(&dropped.names[i]))
            expect_in(seed, &named, &dropped.names[i], "was dropped and is not named");
    expect_no_other_names(seed);
}

static void captures_on_all_hosts_name_what_the_network_dropped_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= RUNS; seed++) {
        run(seed, TOGETHER);
        compare(seed);
        assert_true(dropped.count > 0);
        assert_int_equal(unnamed_count, 0);
        assert_int_equal(analysis.sum.lost, dropped.count);
        assert_int_equal(analysis.sum.not_captured, 0);
        analysis_release(&analysis);
    }
}

static void a_capture_on_one_host_names_what_was_dropped_on_the_way_to_it_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= RUNS; seed++) {
        run(seed, seed % 3);
        compare(seed);
        assert_true(named.count > 0);
        assert_int_equal(unnamed_count, 0);
        assert_int_equal(analysis.sum.not_captured, 0);
        analysis_release(&analysis);
    }
}

static size_t count_dropped_of_what_is_looked_at(void)
{
    size_t count = 0;

    for (size_t i = 0; i < dropped.count; i++)
        count += is_looked_at(dropped.names[i].from, dropped.names[i].to);
    return count;
}

/* A run as a sender's host shows it: all losses are counted, and none is named that was none. */
static void compare_count(unsigned seed)
{
    is_outward = true;
    run(seed, seed % 3);
    sort();
    assert_int_equal(named.count + unnamed_count, count_dropped_of_what_is_looked_at());
    expect_no_other_names(seed);
    analysis_release(&analysis);
    is_outward = false;
}

/* Often the lost datagrams cannot be identified there. */
static void a_capture_on_the_senders_host_counts_what_was_dropped_and_names_nothing_else_where_none_overtakes(void **state)
{
    (void)state;
    for (unsigned seed = 2; seed <= RUNS; seed += 3) {
        assert_int_equal(bad_link(seed).reorder_ppm, 0);
        compare_count(seed);
    }
}

/* A late datagram is asked for and counted as lost like a lost one, and the count is taken back only later, or behind the next loss. */
static void a_capture_on_the_senders_host_names_nothing_that_came_late(void **state)
{
    (void)state;
    for (unsigned seed = 20; seed <= 20 + LATE_RUNS; seed++) {
        if (bad_link(seed).reorder_ppm == 0)
            continue;
        compare_count(seed);
    }
}

/* A receiver may count only in its second report what was lost before the capture. */
static void a_capture_that_begins_while_datagrams_are_lost_names_none_that_arrived(void **state)
{
    (void)state;
    captured_from_ns = SIM_MS(15);
    for (unsigned seed = 44; seed <= 55; seed++) {
        run(seed, seed % 3);
        sort();
        expect_no_other_names(seed);
        analysis_release(&analysis);
    }
    captured_from_ns = 0;
}

static void a_path_that_becomes_narrow_is_named_by_captures_of_both_ends_with_its_size(void **state)
{
    unsigned told = 0;

    (void)state;
    is_narrow = is_outward = true;
    for (unsigned seed = 1; seed <= RUNS; seed++) {
        run(seed, TOGETHER);
        told += count_narrow();
        analysis_release(&analysis);
        run(seed, seed % 3);
        count_narrow();
        analysis_release(&analysis);
    }
    is_narrow = is_outward = false;
    assert_true(told >= RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures_on_all_hosts_name_what_the_network_dropped_and_nothing_else),
        cmocka_unit_test(a_capture_on_one_host_names_what_was_dropped_on_the_way_to_it_and_nothing_else),
        cmocka_unit_test(a_capture_on_the_senders_host_counts_what_was_dropped_and_names_nothing_else_where_none_overtakes),
        cmocka_unit_test(a_capture_on_the_senders_host_names_nothing_that_came_late),
        cmocka_unit_test(a_capture_that_begins_while_datagrams_are_lost_names_none_that_arrived),
        cmocka_unit_test(a_path_that_becomes_narrow_is_named_by_captures_of_both_ends_with_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
