/* Any datagrams as captures, through all that mesh-dissect does with them: text, JSON, reports of one capture and of two taken at different
 * hosts, ladders, qlog, traces, and frames written again. Whatever the datagrams say, it ends in order, and what is JSON can be read.
 *
 * The first byte chooses the command line, and whether keys are given. The rest is a list of frames, each a byte of flags and its arguments
 * (see take_frame), or, with the highest bit of the first byte set, a capture file as it is. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dissector/dissect.h"
#include "mesh/seal.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/capture_case.h"
#include "tests/unit/json_check.h"

enum { CAPTURES = 2, FRAMES_MAX = 200, PACKET_BYTES = 4000, RANKS = 4, NAME_BYTES = 80, SIGNALS = 5 };
enum { IN_FIRST = 1, IN_SECOND = 2, IS_RAW = 4, IS_TWICE = 8, HAS_NUMBER = 16, IS_CUT = 32, IS_SESSION = 64, IS_CHANGED = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char first[NAME_BYTES], second[NAME_BYTES], printed[NAME_BYTES], made[NAME_BYTES], made_too[NAME_BYTES];
static char key_file[NAME_BYTES], key_log[NAME_BYTES];
static const struct mesh_key cluster_key = {{1, 2, 3}};
static struct mesh_seal_key rank_keys[RANKS]; /* of the only epoch, in the key log */

#define FIRST .files = {.values = {first}, .count = 1}
#define BOTH  .files = {.values = {first, second}, .count = 2}
#define ALL   .filter = no_filter, .cluster = "mesh", .ladder_range = {0, UINT64_MAX, 0, 1e15}

static char no_filter[] = "";
static uint64_t numbers[RANKS][RANKS + 1]; /* the latest from each to each, and to all */

/* Command lines, as they are parsed. */
static const struct settings modes[] = {
    {FIRST, ALL, .verbose = 2, .link_header = true, .numbered = true, .hex_ascii = 2},
    {FIRST, ALL, .verbose = 1, .time_form = 5, .display_filter = "!spurious"},
    {FIRST, ALL, .json = true},
    {FIRST, ALL, .json = true, .display_filter = "lost || spurious"},
    {FIRST, ALL, .analyze = true},
    {FIRST, ALL, .analyze = true, .json = true},
    {FIRST, ALL, .analyze = true, .at = {{"10.0.0.1"}, 1}},
    {FIRST, ALL, .analyze = true, .json = true, .at = {{"-"}, 1}},
    {FIRST, ALL, .analyze = true, .ladder = true},
    {FIRST, ALL, .analyze = true, .ladder = true, .display_filter = "lost || tile"},
    {BOTH, ALL, .analyze = true},
    {BOTH, ALL, .analyze = true, .json = true},
    {BOTH, ALL, .analyze = true, .ladder = true},
    {FIRST, ALL, .qlog_file = made},
    {FIRST, ALL, .import_file = made},
    {FIRST, ALL, .write_file = made, .display_filter = "tile || spurious"},
};

/* ---- captures ---- */

static size_t take_bytes(struct input *input, uint8_t *out)
{
    const size_t wanted = take(input, 1) * 4, left = (size_t)(input->end - input->at), bytes = wanted < left ? wanted : left;

    memcpy(out, input->at, bytes);
    input->at += bytes;
    return bytes;
}

/* With the key of its sender, as a member seals it; datagrams without epoch by that of the process they name. */
static void seal(uint8_t *packet, size_t bytes, unsigned src)
{
    const bool is_outside = packet[offsetof(struct mesh_header_bytes, epoch)] == 0;
    struct mesh_seal_key key = rank_keys[src];

    if (is_outside && (bytes < MESH_HEADER_BYTES + MESH_INCARNATION_BYTES ||
                       mesh_seal_key_of_process(&key, &cluster_key, "mesh", packet + MESH_HEADER_BYTES) != 0))
        return;
    mesh_seal_packet(&key, is_outside ? MESH_SECURITY_AUTH : MESH_SECURITY_SEAL, packet, bytes);
}

/* A message whose fields are in range, with the sender, receiver and number from the input, and changes wherever it says. */
static size_t take_message(struct input *input, unsigned flags, unsigned src, unsigned dst, uint8_t *packet)
{
    const unsigned type = (unsigned)take(input, 1) % MESH_TYPE_COUNT, how = (unsigned)take(input, 1) % 4;
    uint64_t *number = &numbers[src][dst];
    size_t bytes;

    if (mesh_wire_message(type) == NULL)
        return 0;
    *number += flags & HAS_NUMBER ? take(input, 1) - 64 : 1;
    bytes = message_case(type, 1, packet, PACKET_BYTES);
    for (unsigned i = 0; i < sizeof *number; i++)
        packet[offsetof(struct mesh_header_bytes, number) + i] = (uint8_t)(*number >> 8 * i);
    packet[offsetof(struct mesh_header_bytes, src)] = (uint8_t)src;
    packet[offsetof(struct mesh_header_bytes, dst)] = dst < RANKS ? (uint8_t)dst : 255;
    packet[offsetof(struct mesh_header_bytes, dst) + 1] = dst < RANKS ? 0 : 255;
    packet[offsetof(struct mesh_header_bytes, flags)] |= dst < RANKS ? 0 : MESH_FLAG_ALL;
    if (flags & IS_SESSION)
        packet[offsetof(struct mesh_header_bytes, epoch) + 3] = 0x80;
    if (how == 1)
        seal(packet, bytes, src);
    for (unsigned changes = flags & IS_CHANGED ? (unsigned)take(input, 1) % 16 : 0; changes > 0; changes--) {
        const size_t at = take(input, 1);

        packet[at % bytes] = (uint8_t)take(input, 1);
    }
    if (how == 2)
        seal(packet, bytes, src);
    return bytes;
}

static void add(struct capture_case *capture, const struct frame_case *frame, uint64_t ts_ns, uint32_t snaplen)
{
    if (capture->size + CAPTURE_CASE_FRAME_BYTES > sizeof capture->bytes)
        return;
    capture->ts_ns = ts_ns;
    capture->snaplen = snaplen;
    capture_case_add(capture, frame);
}

/* One frame, in either capture or both. */
static void take_frame(struct input *input, struct capture_case captures[CAPTURES], uint64_t *now_ns)
{
    static uint8_t packet[PACKET_BYTES];
    static struct frame_case frame;
    const unsigned flags = (unsigned)take(input, 1), hosts = (unsigned)take(input, 1);
    const unsigned src = hosts % RANKS, dst = hosts / RANKS % (RANKS + 1);
    const uint32_t snaplen = flags & IS_CUT ? (uint32_t)take(input, 1) + 1 : 0;
    size_t bytes;

    *now_ns += take(input, 1) * 20000;
    bytes = flags & IS_RAW ? take_bytes(input, packet) : take_message(input, flags, src, dst, packet);
    frame_case_start(&frame, packet, bytes);
    frame_case_udp(&frame, (uint16_t)(7411 + src), (uint16_t)(7411 + dst));
    frame_case_ipv4(&frame, (uint8_t)(1 + src), dst < RANKS ? (uint8_t)(1 + dst) : 9, 17, 0x4000);
    frame_case_ethernet(&frame, 0x0800);
    for (unsigned times = flags & IS_TWICE ? 2 : 1; times > 0; times--) {
        if (flags & IN_FIRST)
            add(&captures[0], &frame, *now_ns, snaplen);
        if (flags & IN_SECOND)
            add(&captures[1], &frame, *now_ns + 130000, snaplen);
    }
}

static void store(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    require(file != NULL && (size == 0 || fwrite(bytes, 1, size, file) == size));
    require(fclose(file) == 0);
}

static void make_captures(struct input *input)
{
    static struct capture_case captures[CAPTURES];
    uint64_t now_ns = UINT64_C(1700000000000000000);

    memset(numbers, 0, sizeof numbers);
    for (unsigned i = 0; i < CAPTURES; i++)
        capture_case_start(&captures[i], 1);
    for (unsigned i = 0; i < FRAMES_MAX && input->at < input->end; i++)
        take_frame(input, captures, &now_ns);
    store(first, captures[0].bytes, captures[0].size);
    store(second, captures[1].bytes, captures[1].size);
}

/* ---- what it makes of them ---- */

/* Every line is JSON, after a record separator in qlog. */
static void check(const char *path, bool is_qlog)
{
    FILE *file = fopen(path, "rb");
    char *line = NULL;
    size_t room = 0;
    ssize_t size;

    while (file != NULL && (size = getdelim(&line, &room, '\n', file)) > 0)
        require(is_qlog ? line[0] == '\x1e' && json_check(line + 1, (size_t)size - 1) : json_check(line, (size_t)size));
    free(line);
    if (file != NULL)
        fclose(file);
}

/* libFuzzer's own handlers of signals are there again afterwards. */
static int run(const struct settings *settings, struct fail *fail)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP};
    struct sigaction before[SIGNALS];
    int result;

    for (unsigned i = 0; i < SIGNALS; i++)
        sigaction(numbers[i], NULL, &before[i]);
    result = dissect(settings, fail);
    for (unsigned i = 0; i < SIGNALS; i++)
        sigaction(numbers[i], &before[i], NULL);
    return result;
}

static void make_keys(void)
{
    char text[1000], reason[300];
    size_t used = 0;

    unlink(key_file);
    require(mesh_key_write_new(key_file, &cluster_key, reason, sizeof reason) == 0);
    for (unsigned rank = 0; rank < RANKS; rank++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "MESH_EPOCH 01000000000000000000000000000000 %u ", rank);
        for (unsigned i = 0; i < sizeof rank_keys[rank].bytes; i++) {
            rank_keys[rank].bytes[i] = (uint8_t)(rank + 1);
            used += (size_t)snprintf(text + used, sizeof text - used, "%02x", rank + 1);
        }
        text[used++] = '\n';
    }
    store(key_log, text, used);
}

static void remove_keys(void)
{
    unlink(key_file);
    unlink(key_log);
}

static void start(void)
{
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(first, sizeof first, "%s/fuzz_dissect.%d.first", folder, (int)getpid());
    snprintf(second, sizeof second, "%s/fuzz_dissect.%d.second", folder, (int)getpid());
    snprintf(printed, sizeof printed, "%s/fuzz_dissect.%d.printed", folder, (int)getpid());
    snprintf(made, sizeof made, "%s/fuzz_dissect.%d.made", folder, (int)getpid());
    snprintf(key_file, sizeof key_file, "%s/fuzz_dissect.%d.key", folder, (int)getpid());
    snprintf(key_log, sizeof key_log, "%s/fuzz_dissect.%d.log", folder, (int)getpid());
    make_keys();
    atexit(remove_keys);
    require(freopen(printed, "w", stdout) != NULL && unlink(printed) == 0);
}

/* qlog writes a file for each node. */
static void clean(void)
{
    unlink(first);
    unlink(second);
    unlink(made);
    for (unsigned i = 1; i < RANKS + 2; i++) {
        snprintf(made_too, sizeof made_too, "%.*s.%u%s", (int)(strlen(made) - strlen(".made")), made, i, ".made");
        check(made_too, true);
        unlink(made_too);
    }
    rewind(stdout);
    require(ftruncate(fileno(stdout), 0) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    const unsigned choice = (unsigned)take(&input, 1);
    struct settings settings = modes[choice % (sizeof modes / sizeof *modes)];
    struct fail fail = {0};
    int result;

    if (first[0] == '\0')
        start();
    if (choice < 128) {
        make_captures(&input);
    } else {
        store(first, input.at, (size_t)(input.end - input.at));
        store(second, input.at, (size_t)(input.end - input.at));
    }
    if ((choice & 64) != 0 && mesh_seal_is_available())
        settings.keys = (struct option_list){.values = {key_log, key_file}, .count = 2};
    result = run(&settings, &fail);
    require(result == 0 || (fail.exit_code == EXIT_BAD_FILE && fail.text[0] != '\0'));
    require(fflush(stdout) == 0);
    if (settings.json)
        check("/proc/self/fd/1", false);
    if (settings.qlog_file != NULL)
        check(made, true);
    clean();
    return 0;
}
