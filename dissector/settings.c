#include "settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 256, EXPRESSION_BYTES_MAX = 8192 };

static const char *const direction_words[] = {"inout", "in", "out", NULL};
static const char *const export_words[] = {"wireshark", "protocol", "fields", "filter", NULL};

static const char *const usage[] = {"mesh-dissect [-i IFACE | -r FILE ...] [options] [FILTER EXPRESSION]",
                                    "Decode the mesh protocol, live or from captures; the expression is BPF's.", NULL};
static const char *const examples[] = {
    "mesh-dissect -i eth0 -n udp port 7411", "mesh-dissect -r run.pcap -Y 'tile.phase == 17 && peer.src == 2 && lost'",
    "mesh-dissect -r a.pcap -r b.pcap --key keys.log --analyze", "mesh-dissect --export wireshark >mesh.lua", NULL};

/* What the command line says; options write here. */
static struct settings parsed;

/* clang-format off */
static const struct option_spec specs[] = {
    {.name = "interface", .short_name = 'i', .kind = OPTION_LIST, .target = &parsed.interfaces, .metavar = "IFACE", .help = "capture on this interface (the first one)"},
    {.name = "read", .short_name = 'r', .kind = OPTION_LIST, .target = &parsed.files, .metavar = "FILE", .help = "pcap or pcapng, - is stdin; may be repeated"},
    {.name = "write", .short_name = 'w', .kind = OPTION_TEXT, .target = &parsed.write_file, .metavar = "FILE", .help = "write frames to a pcap file instead of text"},
    {.name = "import", .kind = OPTION_TEXT, .target = &parsed.import_file, .metavar = "TRACE.db", .help = "write datagrams and analysis to a trace instead of text"},
    {.name = "qlog", .kind = OPTION_TEXT, .target = &parsed.qlog_file, .metavar = "FILE.sqlog", .help = "write what each node sent, received and lost instead of text"},
    {.name = "key", .kind = OPTION_LIST, .target = &parsed.keys, .metavar = "FILE", .help = "cluster key or key log, to open sealed datagrams"},
    {.name = "name", .kind = OPTION_PROSE, .target = &parsed.cluster, .was_set = &parsed.has_cluster, .metavar = "TEXT", .help = "cluster name, for the cluster key (mesh)"},
    {.name = "display-filter", .short_name = 'Y', .kind = OPTION_PROSE, .target = &parsed.display_filter, .metavar = "EXPR", .help = "only datagrams whose fields match, in tshark's syntax"},
    {.name = "packets", .short_name = 'c', .kind = OPTION_U64, .target = &parsed.count, .min = 1, .metavar = "N", .help = "stop after N frames"},
    {.name = "count", .kind = OPTION_FLAG, .target = &parsed.count_only, .help = "print only the number of datagrams"},
    {.name = "verbose", .short_name = 'v', .kind = OPTION_COUNT, .target = &parsed.verbose, .help = "print every field; -vv with its meaning"},
    {.name = "quiet", .short_name = 'q', .kind = OPTION_FLAG, .target = &parsed.quiet, .help = "print only the header's fields"},
    {.name = "link", .short_name = 'e', .kind = OPTION_FLAG, .target = &parsed.link_header, .help = "print link-layer addresses, VLANs"},
    {.name = "hex", .short_name = 'x', .kind = OPTION_COUNT, .target = &parsed.hex, .help = "print the datagram's bytes; -xx the frame's"},
    {.name = "hex-ascii", .short_name = 'X', .kind = OPTION_COUNT, .target = &parsed.hex_ascii, .help = "the same, with characters"},
    {.name = "ascii", .short_name = 'A', .kind = OPTION_FLAG, .target = &parsed.ascii, .help = "the same, as characters alone"},
    {.name = "time", .short_name = 't', .kind = OPTION_COUNT, .target = &parsed.time_form, .help = "no time; -tt epoch, -ttt delta, -tttt date, -ttttt since first"},
    {.name = "number", .short_name = '#', .kind = OPTION_FLAG, .target = &parsed.numbered, .help = "print the frame's number first"},
    {.name = "analyze", .kind = OPTION_FLAG, .target = &parsed.analyze, .help = "report losses, repairs, duplicates, reordering and stalls"},
    {.name = "at", .kind = OPTION_LIST, .target = &parsed.at, .metavar = "ADDRESS", .help = "with --analyze: the host of the capture, once for each -r; - for a switch"},
    {.name = "ladder", .kind = OPTION_FLAG, .target = &parsed.ladder, .help = "draw the conversation: a column per rank, an arrow per datagram"},
    {.name = "steps", .kind = OPTION_TEXT, .target = &parsed.steps, .metavar = "A..B", .help = "with --ladder: only these steps"},
    {.name = "seconds", .kind = OPTION_TEXT, .target = &parsed.seconds, .metavar = "A..B", .help = "with --ladder: only these, since the first datagram"},
    {.name = "json", .kind = OPTION_FLAG, .target = &parsed.json, .help = "print one object per datagram, or per loss and link"},
    {.name = "line-buffered", .short_name = 'l', .kind = OPTION_FLAG, .target = &parsed.line_buffered, .help = "write every line immediately"},
    {.name = "packet-buffered", .short_name = 'U', .kind = OPTION_FLAG, .target = &parsed.flush_packets, .help = "write every frame of -w immediately"},
    {.name = "print", .kind = OPTION_FLAG, .target = &parsed.print_too, .help = "print text as well, with -w, --import or --qlog"},
    {.name = "rotate-mb", .short_name = 'C', .kind = OPTION_U32, .target = &parsed.file_mb, .min = 1, .metavar = "MB", .help = "begin another file of -w after MB million bytes"},
    {.name = "rotate-seconds", .short_name = 'G', .kind = OPTION_U32, .target = &parsed.file_seconds, .min = 1, .metavar = "S", .help = "the same after S seconds; strftime forms its name"},
    {.name = "files", .short_name = 'W', .kind = OPTION_U32, .target = &parsed.file_count, .min = 1, .metavar = "N", .help = "reuse N files in turn (-C), or end after N (-G)"},
    {.name = "snapshot-length", .short_name = 's', .kind = OPTION_U32, .target = &parsed.snaplen, .max = 262144, .metavar = "BYTES", .help = "keep at most BYTES of each frame (all)"},
    {.name = "buffer-size", .short_name = 'B', .kind = OPTION_U32, .target = &parsed.buffer_kib, .min = 1, .max = 1 << 20, .metavar = "KIB", .help = "size of the kernel's buffer"},
    {.name = "no-promiscuous-mode", .short_name = 'p', .kind = OPTION_FLAG, .target = &parsed.not_promiscuous, .help = "capture only frames for this host"},
    {.name = "direction", .short_name = 'Q', .kind = OPTION_WORD, .target = &parsed.direction, .words = direction_words, .help = "direction of captured frames (inout)"},
    {.name = "immediate-mode", .kind = OPTION_FLAG, .target = &parsed.is_immediate, .help = "deliver frames as they come, not in batches"},
    {.name = "relinquish-privileges", .short_name = 'Z', .kind = OPTION_TEXT, .target = &parsed.user, .metavar = "USER", .help = "user to become once the capture is open (nobody; root: stay root)"},
    {.name = "filter-file", .short_name = 'F', .kind = OPTION_TEXT, .target = &parsed.filter_file, .metavar = "FILE", .help = "read the BPF expression from FILE"},
    {.name = "dump-filter", .short_name = 'd', .kind = OPTION_COUNT, .target = &parsed.dump_filter, .help = "print the compiled expression and exit"},
    {.name = "list-interfaces", .short_name = 'D', .kind = OPTION_FLAG, .target = &parsed.list_interfaces, .help = "list the interfaces and exit"},
    {.name = "export", .kind = OPTION_WORD, .target = &parsed.export, .was_set = &parsed.has_export, .words = export_words, .metavar = "WHAT", .help = "print wireshark (the Lua plugin), protocol, fields or filter"},
    {.name = "no-names", .short_name = 'n', .kind = OPTION_FLAG, .target = &parsed.numeric}, /* always: names are never looked up */
    {.name = "help", .short_name = 'h', .kind = OPTION_STOP, .target = &parsed.help, .help = "this text"},
    {.name = "version", .short_name = 'V', .kind = OPTION_STOP, .target = &parsed.version, .help = "the version"},
};
/* clang-format on */

/* The expression of -F, or the words of the command line with blanks between them. A # begins a comment in the file. */
static int read_filter_file(struct settings *settings, struct fail *fail)
{
    const char *name = settings->filter_file;
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    char *comment = settings->filter;
    size_t size;
    int reason;

    if (file == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be opened: %s: %s", name, strerror(errno),
                        fail_advice(errno, "check the name"));
    size = fread(settings->filter, 1, EXPRESSION_BYTES_MAX, file);
    reason = ferror(file) ? errno : 0;
    if (file != stdin)
        fclose(file);
    if (reason != 0) /* a part of the filter may let through what the whole would not */
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be read: %s: check the file", name, strerror(reason));
    if (size == EXPRESSION_BYTES_MAX)
        return fail_set(fail, EXIT_USAGE, "%s: the filter expression is longer than %d bytes: shorten it", name, EXPRESSION_BYTES_MAX - 1);
    settings->filter[size] = '\0';
    while ((comment = strchr(comment, '#')) != NULL)
        memset(comment, ' ', strcspn(comment, "\n"));
    return 0;
}

static int join_words(struct settings *settings, const struct options_operands *operands, struct fail *fail)
{
    size_t used = 0;

    for (size_t i = 0; i < operands->count; i++) {
        const int more = snprintf(settings->filter + used, EXPRESSION_BYTES_MAX - used, "%s%s", used > 0 ? " " : "", operands->values[i]);

        used += more > 0 ? (size_t)more : 0;
        if (used >= EXPRESSION_BYTES_MAX)
            return fail_set(fail, EXIT_USAGE, "the filter expression is longer than %d bytes: use -F FILE", EXPRESSION_BYTES_MAX - 1);
    }
    return 0;
}

static int check(const struct settings *s, struct fail *fail)
{
    if (s->interfaces.count > 1)
        return fail_set(fail, EXIT_USAGE,
                        "-i: several interfaces: capture on any, or run one program for each and join the files with -r A -r B --analyze");
    if (s->interfaces.count > 0 && s->files.count > 0)
        return fail_set(fail, EXIT_USAGE, "-i and -r: both given: capture live or read a file");
    if (s->files.count > 1 && (s->write_file || s->dump_filter))
        return fail_set(fail, EXIT_USAGE, "-r: several files with -w or -d: give one");
    if (s->import_file && s->files.count != 1)
        return fail_set(fail, EXIT_USAGE, "--import: %s: give one file with -r", s->files.count ? "several files" : "without -r");
    if (s->import_file && s->display_filter)
        return fail_set(fail, EXIT_USAGE, "--import: with -Y: a trace holds the whole capture: leave -Y out, then ask mesh-replay query");
    if (s->qlog_file && (s->files.count != 1 || strcmp(s->files.values[0], "-") == 0))
        return fail_set(fail, EXIT_USAGE, "--qlog: needs one file that can be read twice: give it with -r");
    if (s->qlog_file && (s->analyze || s->ladder || s->import_file))
        return fail_set(fail, EXIT_USAGE, "--qlog: with --analyze, --ladder or --import: give one of them at a time");
    if ((s->steps || s->seconds) && !s->ladder)
        return fail_set(fail, EXIT_USAGE, "--steps and --seconds: without --ladder: they choose what it shows");
    if (s->at.count > 0 && !s->analyze)
        return fail_set(fail, EXIT_USAGE, "--at: without --analyze: the place of losses depends on it, and nothing else");
    if (s->at.count > 1 && s->at.count != s->files.count)
        return fail_set(fail, EXIT_USAGE,
                        "--at: given %zu times for %zu captures: give it once, for all, or once for each -r, in their order", s->at.count,
                        s->files.count);
    if (s->ladder && s->analyze)
        return fail_set(fail, EXIT_USAGE, "--ladder: with --analyze: it is drawn instead of the report: leave one out");
    if (s->ladder && s->json)
        return fail_set(fail, EXIT_USAGE, "--ladder: with --json: it is a picture in text: leave one out");
    if (s->time_form > 5)
        return fail_set(fail, EXIT_USAGE, "-t: given %u times: give it one to five times", s->time_form);
    if (s->has_cluster && s->keys.count == 0)
        return fail_set(fail, EXIT_USAGE, "--name: without --key: it names the cluster of a key: give that with --key FILE");
    if (s->direction != 0 && s->files.count > 0)
        return fail_set(fail, EXIT_USAGE, "-Q: with -r: a file does not tell in from out: give an expression such as 'src host A' instead");
    if (s->count_only && s->json)
        return fail_set(fail, EXIT_USAGE, "--count: with --json: it is a line of text: leave one out");
    if (s->json && (s->has_export || s->list_interfaces || s->dump_filter))
        return fail_set(fail, EXIT_USAGE, "--json: with --export, -D or -d: what they print has no other form: leave one out");
    if (s->json && (s->hex || s->hex_ascii || s->ascii))
        return fail_set(fail, EXIT_USAGE, "--json: with -x, -X or -A: the objects have fields, not bytes: leave one out");
    if (s->file_count && !s->file_mb && !s->file_seconds)
        return fail_set(fail, EXIT_USAGE, "-W: without -C or -G: say when another file begins");
    if ((s->file_mb || s->file_seconds || s->file_count) && !s->write_file)
        return fail_set(fail, EXIT_USAGE, "-C, -G and -W: without -w: say which file with -w FILE");
    return 0;
}

/* "4" or "4..7": whole numbers, or fractions too. */
static int read_range(const char *text, const char *name, bool is_whole, double range[2], struct fail *fail)
{
    const char *dots = strstr(text, "..");
    char first[32] = "", *first_end = first, *end = NULL;

    snprintf(first, sizeof first, "%.*s", dots ? (int)(dots - text) : 0, text); /* copied: "4." would be a number */
    range[1] = strtod(dots ? dots + 2 : text, &end);
    range[0] = dots ? strtod(first, &first_end) : range[1];
    if (end == (dots ? dots + 2 : text) || *end != '\0' || *first_end != '\0' || (dots && first_end == first) ||
        !(range[0] >= 0 && range[1] >= range[0] && range[1] < 1e15))
        return fail_set(fail, EXIT_USAGE, "%s: not a range: write the lower number first, such as 4..7", name);
    if (is_whole && (range[0] != floor(range[0]) || range[1] != floor(range[1])))
        return fail_set(fail, EXIT_USAGE, "%s: a fraction: steps are whole numbers", name);
    return 0;
}

static int read_ladder_range(struct settings *s, struct fail *fail)
{
    double steps[2] = {0, 0}, seconds[2] = {0, INFINITY};

    if (s->steps && read_range(s->steps, "--steps", true, steps, fail) < 0)
        return -1;
    if (s->seconds && read_range(s->seconds, "--seconds", false, seconds, fail) < 0)
        return -1;
    s->ladder_range = (struct ladder_range){(uint64_t)steps[0], s->steps ? (uint64_t)steps[1] : UINT64_MAX, seconds[0], seconds[1]};
    return 0;
}

/* IPv4 is mapped into IPv6, as in frames. False: no address. */
static bool read_address(const char *text, uint8_t out[16])
{
    uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};

    if (inet_pton(AF_INET, text, ip + 12) != 1 && inet_pton(AF_INET6, text, ip) != 1)
        return false;
    memcpy(out, ip, sizeof ip);
    return true;
}

static int check_places(const struct settings *s, struct fail *fail)
{
    uint8_t ip[16];

    for (size_t i = 0; i < s->at.count; i++)
        if (strcmp(s->at.values[i], "-") != 0 && !read_address(s->at.values[i], ip))
            return fail_set(
                fail, EXIT_USAGE,
                "--at: %.100s: not an address: give the IPv4 or IPv6 address of the host where the capture was taken, or - if it "
                "was taken at none, but between them",
                s->at.values[i]);
    return 0;
}

void settings_place(const struct settings *settings, size_t file, struct vantage *vantage)
{
    const size_t index = settings->at.count > 1 ? file : 0;

    memset(vantage, 0, sizeof *vantage);
    if (settings->at.count == 0)
        return;
    vantage->is_stated = true;
    vantage->is_between = !read_address(settings->at.values[index], vantage->stated);
}

int settings_parse(struct settings *settings, int argc, char *const *argv, struct fail *fail)
{
    const char *words[WORDS_MAX];
    struct options_operands operands = {.metavar = "a filter expression", .max = WORDS_MAX, .values = words, .may_be_empty = true};
    int result;

    parsed = (struct settings){.cluster = "mesh"};
    if (options_parse(specs, sizeof specs / sizeof *specs, argc, argv, &operands, fail) < 0)
        return -1;
    *settings = parsed;
    if (settings->help)
        options_help(stdout, usage, specs, sizeof specs / sizeof *specs, examples);
    if (settings->help || settings->version)
        return 0;
    if (check(settings, fail) < 0 || read_ladder_range(settings, fail) < 0 || check_places(settings, fail) < 0)
        return -1;
    settings->analyze |= settings->ladder;
    settings->filter = calloc(1, EXPRESSION_BYTES_MAX);
    if (settings->filter == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the filter: close other programs");
    result = settings->filter_file ? read_filter_file(settings, fail) : join_words(settings, &operands, fail);
    if (result < 0)
        settings_release(settings);
    return result;
}

void settings_release(struct settings *settings)
{
    free(settings->filter);
    settings->filter = NULL;
}
