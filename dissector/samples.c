#include "samples.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 2 * SAMPLES_MAX };

int samples_open(struct samples *samples, size_t captures, struct fail *fail)
{
    memset(samples, 0, sizeof *samples);
    samples->captures = captures;
    samples->table = calloc(PLACES, sizeof *samples->table);
    samples->times = calloc(PLACES * captures, sizeof *samples->times);
    if (samples->table == NULL || samples->times == NULL) {
        samples_close(samples);
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory to compare captures: close other programs");
    }
    for (size_t i = 0; i < PLACES; i++)
        samples->table[i].ts_ns = samples->times + i * captures;
    return 0;
}

void samples_close(struct samples *samples)
{
    free(samples->table);
    free(samples->times);
    samples->table = NULL;
    samples->times = NULL;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0xff51afd7ed558ccdu;
    return hash ^ hash >> 31;
}

static uint64_t mix_address(uint64_t hash, const struct frame_address *address)
{
    uint64_t halves[2];

    memcpy(halves, address->ip, sizeof halves);
    return mix(mix(mix(hash, halves[0]), halves[1]), address->port);
}

uint64_t samples_hash(const struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;
    uint64_t hash = mix(0x9e3779b97f4a7c15u, header->epoch);

    hash = mix_address(mix_address(hash, &packet->frame->src), &packet->frame->dst);
    hash = mix(mix(hash, header->dst == MESH_DST_ALL), header->number);
    return hash ? hash : 1;
}

/* The sample's place, or the empty place where it belongs. The table is never full. */
static struct sample *find(struct samples *samples, uint64_t hash)
{
    size_t at = (size_t)(hash >> 32) % PLACES;

    while (samples->table[at].hash != 0 && samples->table[at].hash != hash)
        at = (at + 1) % PLACES;
    return &samples->table[at];
}

static void move(struct samples *samples, struct sample *from)
{
    const struct sample old = *from;
    uint64_t times[SAMPLES_CAPTURES_MAX];
    struct sample *to;

    memcpy(times, old.ts_ns, samples->captures * sizeof *times);
    memset(old.ts_ns, 0, samples->captures * sizeof *times);
    from->hash = 0;
    if (old.hash & samples->skipped_bits) {
        samples->count--;
        return;
    }
    to = find(samples, old.hash);
    memcpy(to->from, old.from, sizeof to->from);
    memcpy(to->to, old.to, sizeof to->to);
    to->hash = old.hash;
    memcpy(to->ts_ns, times, samples->captures * sizeof *times);
}

/* Forget half of the samples. Two rounds, since a run of places may wrap around the end of the table. */
static void thin(struct samples *samples)
{
    samples->skipped_bits = samples->skipped_bits << 1 | 1;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < PLACES; i++)
            if (samples->table[i].hash != 0)
                move(samples, &samples->table[i]);
}

void samples_add(struct samples *samples, size_t capture, const struct packet *packet)
{
    const uint64_t hash = samples_hash(packet);
    struct sample *sample;

    if (hash & samples->skipped_bits)
        return;
    sample = find(samples, hash);
    if (sample->hash == 0) {
        sample->hash = hash;
        memcpy(sample->from, packet->frame->src.ip, sizeof sample->from);
        memcpy(sample->to, packet->frame->dst.ip, sizeof sample->to);
        samples->count++;
    }
    if (sample->ts_ns[capture] == 0)
        sample->ts_ns[capture] = packet->ts_ns;
    while (samples->count > SAMPLES_MAX)
        thin(samples);
}
