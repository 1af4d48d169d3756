/* Any bytes as captured frames, one after another: layers, fragments, several datagrams in one, decoding, text, and the analysis of them.
 *
 * The first byte of the input chooses the link. Then each frame is its size (u8, times 8), its snapshot length (u8, times 8; 0: whole) and
 * its bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dissector/analysis.h"
#include "dissector/frame.h"
#include "dissector/gso.h"
#include "dissector/line.h"
#include "dissector/numbers.h"
#include "dissector/packet.h"
#include "dissector/reassembly.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct decoder decoder;
static struct line line;
static struct analysis analysis;
static struct reassembly *reassembly; /* megabytes each: allocated once, cleared for every input */
static struct numbers *numbers;
static FILE *nowhere;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void on_loss(void *context, const struct analysis_loss *loss)
{
    (void)context;
    require(loss->link != NULL);
    require(loss->entry == NULL || loss->entry->is_lost);
}

static void take_payload(struct packet *packet, const struct frame *frame)
{
    const uint8_t *at = frame->payload;
    size_t captured = frame->captured, size = frame->size;

    do {
        const size_t first = gso_first_size(at, captured, size), present = captured < first ? captured : first;
        struct packet_part part;

        require(first > 0 || size == 0);
        require(first <= size);
        packet_decode(&decoder, packet, at, present, first);
        numbers_add(numbers, packet);
        packet->ts_ns += 1000;
        analysis_add(&analysis, packet);
        for (unsigned i = 0; packet_part(packet, i, &part); i++)
            require(part.offset + part.part->wire_bytes <= packet->captured);
        line_write(&line, packet, NULL);
        at += present;
        captured -= present;
        size -= first;
    } while (size > 0);
}

static void take(enum frame_link link, const uint8_t *bytes, size_t captured, size_t size)
{
    uint8_t *copy = malloc(captured > 0 ? captured : 1); /* not larger, so that reads beyond the end are detected */
    struct frame frame;
    struct packet packet = {.frame = &frame, .link = copy, .link_captured = captured, .link_size = size};

    require(copy != NULL);
    memcpy(copy, bytes, captured);
    frame_parse(&frame, link, copy, captured, size);
    if (frame.kind == FRAME_FRAGMENT)
        reassembly_add(reassembly, 1, &frame);
    if (frame.kind == FRAME_UDP)
        take_payload(&packet, &frame);
    else
        line_write_frame(&line, &packet);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct line_options options = {.verbose = 2, .hex_ascii = 1, .ascii = true, .link_header = true, .numbered = true};
    enum frame_link link;

    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        reassembly = reassembly_open();
        numbers = numbers_open();
    }
    require(reassembly && numbers && nowhere);
    reassembly_clear(reassembly);
    numbers_clear(numbers);
    line_init(&line, nowhere, &options);
    analysis_init(&analysis, on_loss, NULL);
    link = size > 0 ? (enum frame_link)(data[0] % FRAME_LINKS) : FRAME_RAW;
    for (size_t at = 1; at + 2 <= size;) {
        const size_t told = data[at] * 8u, snaplen = data[at + 1] * 8u, left = size - at - 2;
        const size_t here = told < left ? told : left;

        take(link, data + at + 2, snaplen > 0 && snaplen < here ? snaplen : here, told);
        at += 2 + here;
    }
    analysis_end(&analysis);
    analysis_release(&analysis);
    return 0;
}
