/* From captured frames to datagrams: layers, fragments, segmentation offload, decoding. */
#ifndef DISSECTOR_DATAGRAMS_H
#define DISSECTOR_DATAGRAMS_H

#include "capture.h"
#include "packet.h"
#include "reassembly.h"

struct datagrams {
    struct reassembly *reassembly;
    struct decoder decoder;
    struct frame frame;
    struct packet packet;            /* the one at hand */
    bool is_fragment;                /* the frame at hand is a fragment, even if it has completed its datagram */
    uint64_t frames, count, foreign; /* so far; foreign: datagrams and frames not of the mesh */
    /* Called for each datagram, ours or not. */
    void (*take)(void *context, const struct packet *packet);
    void *context;
};

/* keys: borrowed, may be NULL. -1 with EXIT_ENVIRONMENT. */
int datagrams_open(struct datagrams *datagrams, struct keys *keys, struct fail *fail);
void datagrams_close(struct datagrams *datagrams);

/* Take a frame apart, and call `take` for each datagram in it. False when there is none: then packet says what else the frame is. */
bool datagrams_add(struct datagrams *datagrams, enum frame_link link, const struct capture_frame *captured);

#endif
