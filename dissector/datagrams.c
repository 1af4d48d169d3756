#include "datagrams.h"

#include "gso.h"

int datagrams_open(struct datagrams *datagrams, struct keys *keys, struct fail *fail)
{
    datagrams->decoder.keys = keys;
    datagrams->reassembly = reassembly_open();
    return datagrams->reassembly ? 0 : fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for fragments: close other programs");
}

void datagrams_close(struct datagrams *datagrams)
{
    reassembly_close(datagrams->reassembly);
    datagrams->reassembly = NULL;
}

/* One datagram or, with segmentation offload, several. */
static void take_payload(struct datagrams *datagrams)
{
    struct packet *packet = &datagrams->packet;
    const uint8_t *at = datagrams->frame.payload;
    size_t captured = datagrams->frame.captured, size = datagrams->frame.size;

    do {
        const size_t first = gso_first_size(at, captured, size);
        const size_t present = captured < first ? captured : first;

        packet->number = datagrams->count + 1;
        packet_decode(&datagrams->decoder, packet, at, present, first);
        if (packet->state == PACKET_FOREIGN)
            datagrams->foreign++;
        else
            datagrams->count++;
        datagrams->take(datagrams->context, packet);
        at += present;
        captured -= present;
        size -= first;
    } while (size > 0);
}

bool datagrams_add(struct datagrams *datagrams, enum frame_link link, const struct capture_frame *captured)
{
    struct packet *packet = &datagrams->packet;
    struct frame *frame = &datagrams->frame;

    frame_parse(frame, link, captured->bytes, captured->captured, captured->size);
    packet->frame_number = ++datagrams->frames;
    packet->ts_ns = captured->ts_ns;
    packet->frame = frame;
    packet->link = captured->bytes;
    packet->link_captured = captured->captured;
    packet->link_size = captured->size;
    packet->bytes = NULL;
    datagrams->is_fragment = frame->kind == FRAME_FRAGMENT;
    if (datagrams->is_fragment)
        reassembly_add(datagrams->reassembly, captured->ts_ns, frame);
    if (frame->kind == FRAME_UDP) {
        take_payload(datagrams);
        return true;
    }
    datagrams->foreign += frame->kind != FRAME_FRAGMENT;
    return false;
}
