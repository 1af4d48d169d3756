#include "verdicts.h"

#include <stdlib.h>

#include "capture_signals.h"
#include "datagrams.h"

enum { BITS = 2, FIRST_CAPACITY = 1024 };

struct verdicts {
    struct analysis analysis;
    struct datagrams datagrams;
    size_t count, capacity;
    uint64_t left_out, not_judged;
    bool lacks_memory;                                                /* for the list */
    void (*on_loss)(void *context, const struct analysis_loss *loss); /* may be NULL */
    void *context;
    uint64_t *list; /* (count) datagram << BITS | verdict; owned */
};

/* ---- reading ---- */

static void add(struct verdicts *verdicts, const struct link_entry *entry, enum filter_verdict verdict)
{
    if (entry == NULL || entry->datagram == 0)
        return;
    if (verdicts->count == verdicts->capacity) {
        const size_t capacity = verdicts->capacity ? 2 * verdicts->capacity : FIRST_CAPACITY;
        uint64_t *list = capacity <= VERDICTS_MAX ? realloc(verdicts->list, capacity * sizeof *list) : NULL;

        if (list == NULL) {
            verdicts->left_out += capacity > VERDICTS_MAX;
            verdicts->lacks_memory |= capacity <= VERDICTS_MAX;
            return;
        }
        verdicts->list = list;
        verdicts->capacity = capacity;
    }
    verdicts->list[verdicts->count++] = entry->datagram << BITS | verdict;
}

static void on_loss(void *context, const struct analysis_loss *loss)
{
    const struct verdicts *verdicts = context;

    add(context, loss->entry, FILTER_LOST);
    if (verdicts->on_loss != NULL)
        verdicts->on_loss(verdicts->context, loss);
}

static void on_spurious(void *context, const struct link_entry *entry)
{
    add(context, entry, FILTER_SPURIOUS);
}

static void take(void *context, const struct packet *packet)
{
    struct verdicts *verdicts = context;

    analysis_add(&verdicts->analysis, packet);
}

static int by_datagram(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static int read_all(struct verdicts *verdicts, const struct capture_options *options, struct fail *fail)
{
    struct capture *capture = capture_open(options, fail);
    struct capture_frame frame;

    if (capture == NULL)
        return -1;
    while (!capture_signals_end && capture_next(capture, &frame, fail) == 1)
        datagrams_add(&verdicts->datagrams, capture_link(capture), &frame);
    capture_close(capture);
    return 0; /* errors in the file, and signals, are reported when it is printed */
}

struct verdicts *verdicts_open(struct fail *fail)
{
    struct verdicts *verdicts = calloc(1, sizeof *verdicts);

    if (verdicts == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the analysis: close other programs"), NULL;
    analysis_init(&verdicts->analysis, on_loss, verdicts);
    verdicts->analysis.on_spurious = on_spurious;
    return verdicts;
}

struct analysis *verdicts_analysis(struct verdicts *verdicts)
{
    return &verdicts->analysis;
}

int verdicts_end(struct verdicts *verdicts, struct fail *fail)
{
    int result;

    analysis_end(&verdicts->analysis);
    verdicts->not_judged = verdicts->analysis.links.left_out + verdicts->analysis.links.sessions_left_out;
    result = analysis_check(&verdicts->analysis, fail);
    if (result == 0 && verdicts->lacks_memory)
        result = fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the lost datagrams: close other programs");
    analysis_release(&verdicts->analysis);
    if (verdicts->count > 0)
        qsort(verdicts->list, verdicts->count, sizeof *verdicts->list, by_datagram);
    return result;
}

struct verdicts *verdicts_read(const struct capture_options *options, struct keys *keys,
                               void (*on_each_loss)(void *context, const struct analysis_loss *loss), void *context, struct fail *fail)
{
    struct verdicts *verdicts = verdicts_open(fail);

    if (verdicts == NULL)
        return NULL;
    verdicts->on_loss = on_each_loss;
    verdicts->context = context;
    verdicts->datagrams.take = take;
    verdicts->datagrams.context = verdicts;
    if (datagrams_open(&verdicts->datagrams, keys, fail) < 0 || read_all(verdicts, options, fail) < 0) {
        verdicts_free(verdicts);
        return NULL;
    }
    datagrams_close(&verdicts->datagrams);
    if (verdicts_end(verdicts, fail) < 0) {
        verdicts_free(verdicts);
        return NULL;
    }
    return verdicts;
}

void verdicts_free(struct verdicts *verdicts)
{
    if (verdicts == NULL)
        return;
    analysis_release(&verdicts->analysis);
    datagrams_close(&verdicts->datagrams);
    free(verdicts->list);
    free(verdicts);
}

/* ---- asking ---- */

unsigned verdicts_of(const struct verdicts *verdicts, uint64_t datagram)
{
    size_t first = 0, end = verdicts->count;
    unsigned found = 0;

    while (first < end) { /* the first one that is not of an earlier datagram */
        const size_t middle = first + (end - first) / 2;

        if (verdicts->list[middle] >> BITS < datagram)
            first = middle + 1;
        else
            end = middle;
    }
    for (; first < verdicts->count && verdicts->list[first] >> BITS == datagram; first++)
        found |= (unsigned)(verdicts->list[first] & ((1u << BITS) - 1));
    return found;
}

uint64_t verdicts_left_out(const struct verdicts *verdicts)
{
    return verdicts->left_out;
}

uint64_t verdicts_not_judged(const struct verdicts *verdicts)
{
    return verdicts->not_judged;
}
