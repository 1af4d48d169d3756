#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mesh/program/progress.h"
#include "mesh/program/replace_file.h"

enum { READ_TIMEOUT_MS = 200, SHOW_FRAMES = 1024 /* from one look at the clock to the next */ };

struct capture {
    pcap_t *pcap;
    struct bpf_program program;
    bool has_program, is_live, is_nano;
    enum frame_link link;
    const char *name;
    char chosen[64]; /* the interface's name, where the options give none */
    struct progress *progress;
    uint64_t frames, bytes; /* read so far; of the file, 0: it is a pipe */
    int pipe, end;          /* descriptors: of a pipe, and of what is put in its place to end it; -1: none */
};

struct capture_writer {
    pcap_dumper_t *dumper;
    const char *path;
    bool is_nano;
};

/* ---- interfaces ---- */

/* The interface that -D lists with this number; 0: the first. False: there is none. */
static bool find_device(unsigned long number, char *out, size_t size, char *error)
{
    pcap_if_t *devices = NULL;
    const pcap_if_t *device;

    if (pcap_findalldevs(&devices, error) != 0)
        return false;
    for (device = devices; device != NULL && number > 1; device = device->next)
        number--;
    if (device != NULL)
        snprintf(out, size, "%s", device->name);
    pcap_freealldevs(devices);
    return device != NULL;
}

/* As tcpdump lists them, for scripts that read its list. */
static void list_device(FILE *out, unsigned number, const pcap_if_t *device)
{
    static const struct {
        bpf_u_int32 mask, value;
        const char *word;
    } words[] = {{PCAP_IF_UP, PCAP_IF_UP, "Up"},
                 {PCAP_IF_RUNNING, PCAP_IF_RUNNING, "Running"},
                 {PCAP_IF_LOOPBACK, PCAP_IF_LOOPBACK, "Loopback"},
                 {PCAP_IF_WIRELESS, PCAP_IF_WIRELESS, "Wireless"},
                 {PCAP_IF_CONNECTION_STATUS | PCAP_IF_WIRELESS, PCAP_IF_CONNECTION_STATUS_CONNECTED, "Connected"},
                 {PCAP_IF_CONNECTION_STATUS | PCAP_IF_WIRELESS, PCAP_IF_CONNECTION_STATUS_DISCONNECTED, "Disconnected"}};
    const char *between = "";

    fprintf(out, "%u.%s%s%s%s [", number, device->name, device->description ? " (" : "", device->description ? device->description : "",
            device->description ? ")" : "");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((device->flags & words[i].mask) == words[i].value) {
            fprintf(out, "%s%s", between, words[i].word);
            between = ", ";
        }
    fputs(between[0] ? "]\n" : "none]\n", out);
}

int capture_list(FILE *out, struct fail *fail)
{
    char error[PCAP_ERRBUF_SIZE] = "";
    pcap_if_t *devices = NULL;
    unsigned number = 1;

    if (pcap_findalldevs(&devices, error) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "interfaces: %s: run as root", error);
    for (const pcap_if_t *device = devices; device != NULL; device = device->next)
        list_device(out, number++, device);
    pcap_freealldevs(devices);
    return 0;
}

/* ---- opening ---- */

static int set_live_options(struct capture *c, const struct capture_options *options, struct fail *fail)
{
    pcap_t *p = c->pcap;
    const uint32_t buffer_kib = options->buffer_kib ? options->buffer_kib : CAPTURE_BUFFER_KIB_DEFAULT;
    int err;

    pcap_set_snaplen(p, options->snaplen ? (int)options->snaplen : CAPTURE_SNAPLEN_DEFAULT);
    pcap_set_promisc(p, options->is_promiscuous);
    pcap_set_timeout(p, READ_TIMEOUT_MS);
    pcap_set_immediate_mode(p, options->is_immediate);
    pcap_set_buffer_size(p, buffer_kib > INT32_MAX / 1024 ? INT32_MAX : (int)buffer_kib * 1024);
    c->is_nano = pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO) == 0;
    err = pcap_activate(p);
    if (err == PCAP_ERROR_PERM_DENIED || err == PCAP_ERROR_PROMISC_PERM_DENIED)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: no permission to capture: run as root, or with CAP_NET_RAW", c->name);
    if (err == PCAP_ERROR_NO_SUCH_DEVICE)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: there is no such interface: mesh-dissect -D lists them", c->name);
    if (err < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot capture: %s: is the interface up?", c->name, pcap_geterr(p));
    if (options->direction != CAPTURE_BOTH && pcap_setdirection(p, options->direction == CAPTURE_IN ? PCAP_D_IN : PCAP_D_OUT) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "-Q: %s: leave it out on this interface", pcap_geterr(p));
    return 0;
}

static int open_live(struct capture *c, const struct capture_options *options, struct fail *fail)
{
    const char *name = options->interface;
    const bool is_number =
        name != NULL && name[0] >= '1' && name[0] <= '9' && name[strspn(name, "0123456789")] == '\0' && if_nametoindex(name) == 0;
    char error[PCAP_ERRBUF_SIZE] = "";

    c->name = name;
    if (name == NULL || is_number) {
        if (!find_device(is_number ? strtoul(name, NULL, 10) : 0, c->chosen, sizeof c->chosen, error) && !is_number)
            return fail_set(fail, EXIT_ENVIRONMENT, "no interface can be captured on: %s: run as root, or read a file with -r",
                            error[0] ? error : "no permission");
        if (c->chosen[0] != '\0')
            c->name = c->chosen;
    }
    c->pcap = pcap_create(c->name, error);
    if (c->pcap == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot capture: %s: mesh-dissect -D lists interfaces", c->name, error);
    c->is_live = true;
    return set_live_options(c, options, fail);
}

/* Advice on a file that libpcap cannot read, or not to its end: it reads pcapng with only one kind of link and one snapshot length. */
static const char *advice_on(const char *error, const char *otherwise)
{
    if (strstr(error, "different from the type of the first interface") != NULL)
        return "split the file by interface, each with its number and type (editcap -T lists these): tshark -r FILE "
               "-Y 'frame.interface_id == 0' -w a.pcapng, then editcap -T ether -F nsecpcap a.pcapng a.pcap; the frames before that "
               "were read";
    if (strstr(error, "different from the snapshot length of the first interface") != NULL)
        return "give all one length: editcap -F nsecpcap FILE a.pcap; the frames before that were read";
    return otherwise;
}

/* Advice on a compressed file, as Wireshark reads and writes them: how to read it here. NULL: it is not compressed, or is a pipe. */
static const char *advice_on_packed(FILE *file)
{
    static const struct {
        const char *magic, *advice;
    } packed[] = {{"\x1f\x8b", "zcat FILE | mesh-dissect -r -"},
                  {"\x28\xb5\x2f\xfd", "zstdcat FILE | mesh-dissect -r -"},
                  {"\xfd"
                   "7zXZ",
                   "xzcat FILE | mesh-dissect -r -"},
                  {"\x04\x22\x4d\x18", "lz4cat FILE | mesh-dissect -r -"}};
    char start[8] = "";

    if (fseek(file, 0, SEEK_SET) != 0 || fread(start, 1, sizeof start - 1, file) == 0)
        return NULL;
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (memcmp(start, packed[i].magic, strlen(packed[i].magic)) == 0)
            return packed[i].advice;
    return NULL;
}

static int refuse_file(FILE *file, const char *path, const char *error, struct fail *fail)
{
    const char *packed = advice_on_packed(file);

    if (file != stdin)
        fclose(file);
    if (packed != NULL)
        return fail_set(fail, EXIT_BAD_FILE, "%s: is compressed: unpack it: %s", path, packed);
    return fail_set(fail, EXIT_BAD_FILE, "%s: not a capture: %s: %s", path, error, advice_on(error, "give a pcap or pcapng file"));
}

static int open_file(struct capture *c, const char *path, struct fail *fail)
{
    char error[PCAP_ERRBUF_SIZE] = "";
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    struct stat status;

    c->name = path;
    if (file == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be opened: %s: %s", path, strerror(errno),
                        fail_advice(errno, "check the name"));
    c->pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error);
    if (c->pcap == NULL)
        return refuse_file(file, path, error, fail);
    if (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode))
        c->bytes = (uint64_t)status.st_size;
    else
        c->end = open("/dev/null", O_RDONLY | O_CLOEXEC);
    c->pipe = fileno(file);
    c->is_nano = true;
    return 0;
}

static int set_link(struct capture *c, struct fail *fail)
{
    const int type = pcap_datalink(c->pcap);

    switch (type) {
    case DLT_EN10MB:
        c->link = FRAME_ETHERNET;
        return 0;
    case DLT_LINUX_SLL:
        c->link = FRAME_SLL;
        return 0;
    case DLT_LINUX_SLL2:
        c->link = FRAME_SLL2;
        return 0;
    case DLT_NULL:
    case DLT_LOOP:
        c->link = FRAME_NULL;
        return 0;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
        c->link = FRAME_RAW;
        return 0;
    default:
        return fail_set(fail, EXIT_BAD_FILE, "%s: link type %d (%s): not known: capture on Ethernet, any, lo or a tunnel of IP", c->name,
                        type, pcap_datalink_val_to_name(type) ? pcap_datalink_val_to_name(type) : "?");
    }
}

static int set_filter(struct capture *c, const char *filter, struct fail *fail)
{
    if (filter == NULL)
        return 0;
    if (pcap_compile(c->pcap, &c->program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return fail_set(fail, EXIT_USAGE, "'%.200s': not a capture filter: %s: see man pcap-filter", filter, pcap_geterr(c->pcap));
    c->has_program = true;
    if (pcap_setfilter(c->pcap, &c->program) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "'%.200s': cannot be set: %s: use a simpler filter", filter, pcap_geterr(c->pcap));
    return 0;
}

struct capture *capture_open(const struct capture_options *options, struct fail *fail)
{
    struct capture *c = calloc(1, sizeof *c);
    int result;

    if (c == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for a capture: close other programs"), NULL;
    c->pipe = c->end = -1;
    c->progress = options->file ? options->progress : NULL;
    result = options->file ? open_file(c, options->file, fail) : open_live(c, options, fail);
    if (result == 0)
        result = set_link(c, fail);
    if (result == 0)
        result = set_filter(c, options->filter, fail);
    if (result == 0)
        return c;
    capture_close(c);
    return NULL;
}

void capture_close(struct capture *capture)
{
    if (capture == NULL)
        return;
    if (capture->progress)
        progress_end(capture->progress);
    if (capture->has_program)
        pcap_freecode(&capture->program);
    if (capture->pcap)
        pcap_close(capture->pcap);
    if (capture->end >= 0)
        close(capture->end);
    free(capture);
}

/* ---- what there is ---- */

enum frame_link capture_link(const struct capture *capture)
{
    return capture->link;
}

const char *capture_link_text(const struct capture *capture)
{
    const char *text = pcap_datalink_val_to_description(pcap_datalink(capture->pcap));

    return text ? text : "?";
}

const char *capture_name(const struct capture *capture)
{
    return capture->name;
}

/* pcap has 32 bits of seconds, which end in 2106; libpcap takes them for a signed number, which ends in 2038. */
static uint64_t seconds_of(const struct pcap_pkthdr *header)
{
    return header->ts.tv_sec < 0 ? (uint32_t)header->ts.tv_sec : (uint64_t)header->ts.tv_sec;
}

static void show_progress(struct capture *capture)
{
    if (capture->progress == NULL || ++capture->frames % SHOW_FRAMES != 0)
        return;
    if (capture->bytes > 0)
        progress_show(capture->progress, "%.120s: %3.0f %%", capture->name,
                      100.0 * (double)ftello(pcap_file(capture->pcap)) / (double)capture->bytes);
    else
        progress_show(capture->progress, "%.120s: %" PRIu64 " frames", capture->name, capture->frames);
}

int capture_next(struct capture *capture, struct capture_frame *out, struct fail *fail)
{
    struct pcap_pkthdr *header;
    const u_char *bytes;
    const int got = pcap_next_ex(capture->pcap, &header, &bytes);

    switch (got) {
    case 1:
        out->ts_ns = seconds_of(header) * 1000000000u + (uint64_t)header->ts.tv_usec * (capture->is_nano ? 1u : 1000u);
        out->bytes = bytes;
        out->captured = header->caplen;
        out->size = header->len < header->caplen ? header->caplen : header->len;
        show_progress(capture);
        return 1;
    case 0:
        return 0;
    case PCAP_ERROR_BREAK:
        return 2;
    default:
        return fail_set(fail, capture->is_live ? EXIT_ENVIRONMENT : EXIT_BAD_FILE, "%s: %s: %s", capture->name, pcap_geterr(capture->pcap),
                        capture->is_live ? "is the interface still up?"
                                         : advice_on(pcap_geterr(capture->pcap), "the frames before it were read"));
    }
}

/* A read of the pipe that is under way goes on with what has its number now. */
void capture_break(struct capture *capture, bool is_end)
{
    const int before = errno;

    if (capture->is_live)
        pcap_breakloop(capture->pcap);
    else if (is_end && capture->end >= 0)
        dup2(capture->end, capture->pipe);
    errno = before;
}

void capture_settle(struct capture *capture)
{
    const struct timespec wait = {.tv_nsec = (READ_TIMEOUT_MS + 50) * 1000000L};
    char error[PCAP_ERRBUF_SIZE];

    nanosleep(&wait, NULL);
    pcap_setnonblock(capture->pcap, 1, error);
}

void capture_count(struct capture *capture, struct capture_counts *out)
{
    struct pcap_stat stat;

    *out = (struct capture_counts){.is_live = capture->is_live};
    if (capture->is_live && pcap_stats(capture->pcap, &stat) == 0) {
        out->received = stat.ps_recv;
        out->dropped = stat.ps_drop;
        out->dropped_by_interface = stat.ps_ifdrop;
    }
}

void capture_dump_filter(const struct capture *capture, unsigned form)
{
    if (capture->has_program)
        bpf_dump(&capture->program, (int)form);
}

/* ---- files of frames ---- */

bool capture_is_same_file(const char *file, const char *path)
{
    return replace_file_is_same(strcmp(file, "-") == 0 ? "/dev/stdin" : file, path);
}

bool capture_is_repeatable(const char *file)
{
    struct stat status;

    return strcmp(file, "-") != 0 && (stat(file, &status) != 0 || !S_ISFIFO(status.st_mode)); /* what is no file is found later */
}

struct capture_writer *capture_writer_open(const struct capture *capture, const char *path, struct fail *fail)
{
    struct capture_writer *writer;

    if (!capture->is_live && capture_is_same_file(capture->name, path))
        return fail_set(fail, EXIT_USAGE, "-w %.200s: is the input capture: give another name", path), NULL;
    writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for a file of frames: close other programs"), NULL;
    errno = 0; /* it may refuse without a failed call */
    writer->dumper = pcap_dump_open(capture->pcap, path);
    writer->path = path;
    writer->is_nano = capture->is_nano;
    if (writer->dumper == NULL) {
        /* libpcap's message names the file. */
        fail_set(fail, EXIT_ENVIRONMENT, "-w: %s: %s", pcap_geterr(capture->pcap), fail_advice(errno, "choose another name"));
        free(writer);
        return NULL;
    }
    return writer;
}

static int refuse_write(const struct capture_writer *writer, struct fail *fail)
{
    return fail_set(fail, EXIT_ENVIRONMENT, "%s: cannot be written: %s: free some space", writer->path, strerror(errno));
}

/* pcap_dump does not report a failed write, nor does a later flush, which then finds nothing to write; but the stream remembers it. */
int capture_writer_add(struct capture_writer *writer, const struct capture_frame *frame, struct fail *fail)
{
    struct pcap_pkthdr header = {.caplen = (bpf_u_int32)frame->captured, .len = (bpf_u_int32)frame->size};

    header.ts.tv_sec = (time_t)(frame->ts_ns / 1000000000u);
    header.ts.tv_usec = (suseconds_t)(frame->ts_ns % 1000000000u / (writer->is_nano ? 1u : 1000u));
    pcap_dump((u_char *)writer->dumper, &header, frame->bytes);
    return ferror(pcap_dump_file(writer->dumper)) ? refuse_write(writer, fail) : 0;
}

uint64_t capture_writer_bytes(struct capture_writer *writer)
{
    const long at = pcap_dump_ftell(writer->dumper);

    return at > 0 ? (uint64_t)at : 0;
}

int capture_writer_flush(struct capture_writer *writer, struct fail *fail)
{
    return pcap_dump_flush(writer->dumper) != 0 ? refuse_write(writer, fail) : 0;
}

int capture_writer_close(struct capture_writer *writer, struct fail *fail)
{
    int result = 0;

    if (writer == NULL)
        return 0;
    result = capture_writer_flush(writer, fail);
    pcap_dump_close(writer->dumper);
    free(writer);
    return result;
}
