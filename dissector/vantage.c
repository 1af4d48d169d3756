#include "vantage.h"

#include <string.h>

/* So many checksums at least on either side: a finished one looks unfinished once in 65536 times. */
enum { CHECKSUMS_MIN = 8, MOSTLY_PERCENT = 95, HARDLY_PERCENT = 1 };

static const struct vantage_host *find(const struct vantage *vantage, const uint8_t ip[16])
{
    for (size_t i = 0; i < vantage->host_count; i++)
        if (memcmp(vantage->hosts[i].ip, ip, sizeof vantage->hosts[i].ip) == 0)
            return &vantage->hosts[i];
    return NULL;
}

static struct vantage_host *host_of(struct vantage *vantage, const struct frame_address *address, bool is_v6)
{
    struct vantage_host *host = (struct vantage_host *)find(vantage, address->ip);

    if (host != NULL || vantage->host_count == VANTAGE_HOSTS_MAX)
        return host;
    host = &vantage->hosts[vantage->host_count++];
    memcpy(host->ip, address->ip, sizeof host->ip);
    host->is_v6 = is_v6;
    return host;
}

/* Checksums of frames that hold several datagrams, and of fragments, are finished and unfinished for other reasons. */
static bool has_plain_checksum(const struct packet *packet)
{
    const struct frame *frame = packet->frame;

    return frame->checksum != FRAME_CHECKSUM_NONE && packet->size == frame->size && frame->fragment_offset == 0 &&
           !frame->has_more_fragments;
}

void vantage_add(struct vantage *vantage, const struct packet *packet)
{
    const struct frame *frame = packet->frame;
    struct vantage_host *from, *to;

    if (packet->state == PACKET_FOREIGN || memcmp(frame->src.ip, frame->dst.ip, sizeof frame->src.ip) == 0)
        return;
    from = host_of(vantage, &frame->src, frame->is_v6);
    to = frame_address_is_group(&frame->dst) ? NULL : host_of(vantage, &frame->dst, frame->is_v6);
    if (from == NULL)
        return;
    from->left += frame->way == FRAME_WAY_OUT;
    from->came += frame->way == FRAME_WAY_IN;
    if (to != NULL)
        to->to_left += frame->way == FRAME_WAY_OUT;
    if (!has_plain_checksum(packet))
        return;
    *(frame->checksum == FRAME_CHECKSUM_UNFINISHED ? &from->unfinished : &from->finished) += 1;
    *(frame->checksum == FRAME_CHECKSUM_UNFINISHED ? &vantage->unfinished : &vantage->finished) += 1;
}

/* Are the checksums of this host left to its network card, and those of all others not? Hosts on one machine all leave theirs. */
static bool is_by_checksums(const struct vantage *vantage, const struct vantage_host *host)
{
    const uint64_t own = host->unfinished + host->finished, unfinished = vantage->unfinished - host->unfinished;
    const uint64_t others = unfinished + vantage->finished - host->finished;

    return own >= CHECKSUMS_MIN && others >= CHECKSUMS_MIN && 100 * host->unfinished >= MOSTLY_PERCENT * own &&
           100 * unfinished <= HARDLY_PERCENT * others;
}

enum vantage_proof vantage_at(const struct vantage *vantage, const uint8_t ip[16])
{
    const struct vantage_host *host = find(vantage, ip);

    if (vantage->is_stated)
        return !vantage->is_between && memcmp(vantage->stated, ip, sizeof vantage->stated) == 0 ? VANTAGE_STATED : VANTAGE_NONE;
    if (host == NULL)
        return VANTAGE_NONE;
    if (host->left > 0 && host->came == 0 && host->to_left == 0) /* a host that forwards sees both */
        return VANTAGE_COOKED;
    return is_by_checksums(vantage, host) ? VANTAGE_CHECKSUMS : VANTAGE_NONE;
}

bool vantage_is_proved(const struct vantage *vantage)
{
    for (size_t i = 0; i < vantage->host_count; i++)
        if (vantage_at(vantage, vantage->hosts[i].ip) != VANTAGE_NONE)
            return true;
    return false;
}
