#include "numbers.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct numbers {
    struct numbers_stream streams[NUMBERS_STREAMS];
    uint16_t chain[NUMBERS_STREAMS], buckets[BUCKETS]; /* indices + 1 */
    size_t count;
    size_t last; /* the stream found last: datagrams come in runs */
    bool has_group;
};

struct numbers *numbers_open(void)
{
    return calloc(1, sizeof(struct numbers));
}

void numbers_clear(struct numbers *numbers)
{
    memset(numbers->buckets, 0, sizeof numbers->buckets);
    numbers->count = numbers->last = 0;
    numbers->has_group = false;
}

void numbers_close(struct numbers *numbers)
{
    free(numbers);
}

static struct numbers_key key_of(const struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;
    struct numbers_key key;

    memset(&key, 0, sizeof key); /* padding, too: keys are compared byte by byte */
    key.epoch = header->epoch;
    key.src = header->src;
    key.space = header->dst;
    memcpy(key.from.ip, packet->frame->src.ip, sizeof key.from.ip);
    memcpy(key.to.ip, packet->frame->dst.ip, sizeof key.to.ip);
    key.from.port = packet->frame->src.port;
    key.to.port = packet->frame->dst.port;
    return key;
}

static unsigned bucket_of(const struct numbers_key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint64_t hash = 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i + 4 <= sizeof *key; i += 4) {
        uint32_t word;

        memcpy(&word, bytes + i, sizeof word);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 29;
    }
    return (unsigned)(hash >> 32) % BUCKETS;
}

static void unlink_stream(struct numbers *numbers, size_t index)
{
    uint16_t *at = &numbers->buckets[bucket_of(&numbers->streams[index].key)];

    while (*at != index + 1)
        at = &numbers->chain[*at - 1];
    *at = numbers->chain[index];
}

static size_t place_for(struct numbers *numbers)
{
    size_t oldest = 0;

    if (numbers->count < NUMBERS_STREAMS)
        return numbers->count++;
    for (size_t i = 1; i < NUMBERS_STREAMS; i++)
        if (numbers->streams[i].last_ns < numbers->streams[oldest].last_ns)
            oldest = i;
    unlink_stream(numbers, oldest);
    return oldest;
}

static struct numbers_stream *stream_of(struct numbers *numbers, const struct numbers_key *key)
{
    unsigned bucket;
    size_t index;

    if (numbers->count > 0 && memcmp(&numbers->streams[numbers->last].key, key, sizeof *key) == 0)
        return &numbers->streams[numbers->last];
    bucket = bucket_of(key);
    for (index = numbers->buckets[bucket]; index != 0; index = numbers->chain[index - 1])
        if (memcmp(&numbers->streams[index - 1].key, key, sizeof *key) == 0) {
            numbers->last = index - 1;
            return &numbers->streams[index - 1];
        }
    index = place_for(numbers);
    numbers->streams[index] = (struct numbers_stream){.key = *key};
    memcpy(&numbers->streams[index].key, key, sizeof *key);
    numbers->chain[index] = numbers->buckets[bucket];
    numbers->buckets[bucket] = (uint16_t)(index + 1);
    numbers->last = index;
    return &numbers->streams[index];
}

static bool is_seen(const struct numbers_stream *stream, uint64_t number)
{
    return stream->bits[number % NUMBERS_WINDOW / 64] >> (number % 64) & 1;
}

static void mark(struct numbers_stream *stream, uint64_t number, bool seen)
{
    const uint64_t bit = UINT64_C(1) << (number % 64);

    if (seen)
        stream->bits[number % NUMBERS_WINDOW / 64] |= bit;
    else
        stream->bits[number % NUMBERS_WINDOW / 64] &= ~bit;
}

static void advance(struct numbers_stream *stream, uint64_t number)
{
    if (number - stream->highest >= NUMBERS_WINDOW)
        memset(stream->bits, 0, sizeof stream->bits);
    else
        for (uint64_t skipped = stream->highest + 1; skipped < number; skipped++)
            mark(stream, skipped, false);
    mark(stream, number, true);
    stream->highest = number;
}

static void note_gap(struct numbers_stream *stream, uint64_t number, uint64_t ts_ns)
{
    const unsigned at = stream->next_gap++ % NUMBERS_GAPS;

    stream->gaps[at].number = number;
    stream->gaps[at].ts_ns = ts_ns;
}

/* Was the gap that holds this number seen only a moment ago? A gap is noted with the first number after it. */
static bool is_recent(const struct numbers_stream *stream, uint64_t number, uint64_t ts_ns)
{
    for (unsigned back = 1; back <= NUMBERS_GAPS; back++) {
        const unsigned at = (stream->next_gap + NUMBERS_GAPS - back) % NUMBERS_GAPS;
        const unsigned before = (at + NUMBERS_GAPS - 1) % NUMBERS_GAPS;

        if (stream->gaps[at].number <= number)
            return false;
        if (back == NUMBERS_GAPS || stream->gaps[before].number <= number)
            return ts_ns <= stream->gaps[at].ts_ns + NUMBERS_REORDER_NS;
    }
    return false;
}

bool numbers_extend_incarnation(struct numbers_incarnation *incarnation, uint64_t number, uint64_t sent_ns)
{
    if (sent_ns == 0)
        return true; /* no running clock shows that */
    if (incarnation->first == 0)
        *incarnation = (struct numbers_incarnation){number, sent_ns, number, sent_ns};
    if (number > incarnation->highest ? sent_ns < incarnation->highest_sent_ns : sent_ns > incarnation->highest_sent_ns)
        return false;
    if (number < incarnation->first ? sent_ns > incarnation->first_sent_ns : sent_ns < incarnation->first_sent_ns)
        return false;
    if (number > incarnation->highest) {
        incarnation->highest = number;
        incarnation->highest_sent_ns = sent_ns;
    } else if (number < incarnation->first) {
        incarnation->first = number;
        incarnation->first_sent_ns = sent_ns;
    }
    return true;
}

static void begin(struct numbers_stream *stream, uint64_t number, uint64_t sent_ns)
{
    if (!numbers_extend_incarnation(&stream->incarnation, number, sent_ns)) {
        stream->incarnation = (struct numbers_incarnation){0};
        numbers_extend_incarnation(&stream->incarnation, number, sent_ns);
        memset(stream->gaps, 0, sizeof stream->gaps);
        stream->first = 0;
    }
    if (stream->first != 0)
        return;
    stream->first = number;
    stream->highest = number - 1;
    memset(stream->bits, 0, sizeof stream->bits);
}

/* How many of the `count` numbers before this one are missing; nothing is known of those below the window. */
static uint64_t missing_before(const struct numbers_stream *stream, uint64_t number, uint64_t count)
{
    uint64_t missing = 0;

    for (uint64_t back = 1; back <= count && stream->highest - (number - back) < NUMBERS_WINDOW; back++)
        missing += number - back >= stream->first && !is_seen(stream, number - back);
    return missing;
}

/* Of what a sender with a group sends to all: how many numbers up to this one have been seen on neither path. */
static uint64_t missing_any_way(struct numbers *numbers, struct numbers_key key, const struct packet *packet, uint64_t gap)
{
    const uint64_t number = packet->message.header.number;
    struct numbers_stream *stream;
    uint64_t missing = 0;

    memset(&key.to, 0, sizeof key.to);
    stream = stream_of(numbers, &key);
    begin(stream, number, packet->message.header.sent_ns);
    stream->last_ns = packet->ts_ns;
    if (number > stream->highest) {
        missing = number - stream->highest - 1 < gap ? number - stream->highest - 1 : gap;
        missing += missing_before(stream, number - missing, gap - missing);
        advance(stream, number);
    } else {
        missing = missing_before(stream, number, gap);
        if (stream->highest - number < NUMBERS_WINDOW)
            mark(stream, number, true);
    }
    return missing;
}

struct numbers_verdict numbers_add(struct numbers *numbers, const struct packet *packet)
{
    const uint64_t number = packet->message.header.number;
    struct numbers_verdict verdict = {0};
    struct numbers_stream *stream;
    struct numbers_key key;

    if (!packet_is_numbered(packet))
        return verdict;
    key = key_of(packet);
    stream = stream_of(numbers, &key);
    stream->last_ns = packet->ts_ns;
    begin(stream, number, packet->message.header.sent_ns);
    numbers->has_group |= frame_address_is_group(&packet->frame->dst);
    if (number > stream->highest) {
        verdict.gap = number - stream->highest - 1;
        if (numbers->has_group && key.space == MESH_DST_ALL)
            verdict.gap = missing_any_way(numbers, key, packet, verdict.gap);
        if (verdict.gap > 0)
            note_gap(stream, number, packet->ts_ns);
        advance(stream, number);
    } else if (number >= stream->first && stream->highest - number < NUMBERS_WINDOW && is_seen(stream, number)) {
        verdict.is_duplicate = true;
    } else {
        verdict.is_reordered = number >= stream->first && is_recent(stream, number, packet->ts_ns);
        verdict.is_late = !verdict.is_reordered;
        if (stream->highest - number < NUMBERS_WINDOW)
            mark(stream, number, true);
        if (number < stream->first)
            stream->first = number;
    }
    return verdict;
}
