/* Any text as a display filter: it is refused with a message that points at a column, or runs over every message, and over a loss. */
#include <stdlib.h>
#include <string.h>

#include "dissector/filter.h"
#include "tests/unit/capture_case.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKET_BYTES = 4000, TEXT_BYTES = 2000 };

static uint8_t bytes[MESH_TYPE_COUNT][PACKET_BYTES];
static struct packet packets[MESH_TYPE_COUNT];
static struct decoder decoder;
static struct frame frame;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void make_packets(void)
{
    frame = (struct frame){.kind = FRAME_UDP, .has_addresses = true, .has_macs = true, .vlan_count = 1};
    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++) {
        struct packet *packet = &packets[type];

        if (mesh_wire_message(type) == NULL)
            continue;
        packet->frame = &frame;
        packet->ts_ns = 5;
        packet->size = message_case(type, 7, bytes[type], PACKET_BYTES);
        packet_decode(&decoder, packet, bytes[type], packet->size, packet->size);
        require(packet->state == PACKET_DECODED);
    }
}

static void run(const struct filter *filter)
{
    static const struct numbers_verdict numbers = {.gap = 1, .is_late = true};
    static const struct link_entry entry = {.number = 3, .type = MESH_TYPE_TILE, .has_range = true};
    static struct link link;
    const struct analysis_loss loss = {.link = &link, .entry = &entry}, counted = {.link = &link};

    for (unsigned type = 0; type < MESH_TYPE_COUNT; type++) {
        const struct filter_subject subject = {.packet = &packets[type], .numbers = &numbers, .verdicts = FILTER_LOST};

        if (mesh_wire_message(type) != NULL)
            filter_match(filter, &subject);
    }
    filter_match_loss(filter, &loss);
    filter_match_loss(filter, &counted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_BYTES + 1];
    struct fail fail = {0};
    struct filter *filter;

    if (frame.vlan_count == 0)
        make_packets();
    size = size < TEXT_BYTES ? size : TEXT_BYTES;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    filter = filter_compile(text, &fail);
    if (filter == NULL) {
        require(fail.exit_code == EXIT_USAGE && strncmp(fail.text, "-Y: column ", 11) == 0);
        require(strrchr(fail.text, '\n') != NULL && strchr(strrchr(fail.text, '\n'), '^') != NULL);
        return 0;
    }
    run(filter);
    filter_free(filter);
    return 0;
}
