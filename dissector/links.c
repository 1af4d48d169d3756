#include "links.h"

#include <stdlib.h>
#include <string.h>

void links_release(struct links *links)
{
    for (size_t i = 0; i < links->count; i++) {
        free(links->links[i]->departures);
        free(links->links[i]);
    }
    for (size_t i = 0; i < links->host_count; i++)
        free(links->hosts[i]);
    links->count = links->host_count = links->session_count = 0;
    links->last = NULL;
}

static struct link *find(struct links *links, uint32_t epoch, const struct frame_address *from, const struct frame_address *to)
{
    struct link *last = links->last;

    if (last != NULL && last->epoch == epoch && frame_address_equals(&last->from, from) && frame_address_equals(&last->to, to))
        return last;
    for (size_t i = links->count; i > 0; i--) { /* the newest epoch is the likely one */
        struct link *link = links->links[i - 1];

        if (link->epoch == epoch && frame_address_equals(&link->from, from) && frame_address_equals(&link->to, to))
            return link;
    }
    return NULL;
}

/* The point at a host; -1: none. */
static int point_at(const struct links *links, const struct frame_address *address)
{
    for (size_t i = 0; i < links->point_count; i++)
        if (links->points[i].is_known && memcmp(links->points[i].ip, address->ip, sizeof address->ip) == 0)
            return (int)i;
    return -1;
}

/* after_ns: a host first seen then or before belongs to a process that is gone; 0: any host. */
static struct link_host *host_of(struct links *links, const struct packet *packet, const struct frame_address *address, uint64_t after_ns)
{
    const uint32_t epoch = packet->message.header.epoch;
    const int point = point_at(links, address);
    struct link_host *host;

    for (size_t i = links->host_count; i > 0; i--)
        if (links->hosts[i - 1]->epoch == epoch && frame_address_equals(&links->hosts[i - 1]->address, address)) {
            if (after_ns != 0 && links->hosts[i - 1]->begun_ns <= after_ns)
                break;
            return links->hosts[i - 1];
        }
    if (links->host_count == LINKS_MAX)
        return NULL;
    host = calloc(1, sizeof *host);
    if (host == NULL) {
        links->lacks_memory = true;
        return NULL;
    }
    host->epoch = epoch;
    host->address = *address;
    host->begun_ns = packet->ts_ns;
    host->mesh = (unsigned)links->host_count;
    host->point = point >= 0 ? (unsigned)point : packet->point;
    links->hosts[links->host_count++] = host;
    return host;
}

/* Two hosts that exchange datagrams are of one mesh, as are all that exchanged any with either. */
static void join_meshes(struct links *links, const struct link_host *a, const struct link_host *b)
{
    const unsigned kept = a->mesh < b->mesh ? a->mesh : b->mesh, other = a->mesh < b->mesh ? b->mesh : a->mesh;

    for (size_t i = 0; kept != other && i < links->host_count; i++)
        if (links->hosts[i]->mesh == other)
            links->hosts[i]->mesh = kept;
}

bool links_is_of_mesh(const struct links *links, const struct link_host *host, const struct frame_address *address)
{
    for (size_t i = 0; i < links->host_count; i++)
        if (links->hosts[i]->epoch == host->epoch && links->hosts[i]->mesh == host->mesh &&
            frame_address_equals(&links->hosts[i]->address, address))
            return true;
    return false;
}

/* The first datagram of a newer epoch from or to a host: all hosts of the same mesh are in their epoch for the last time. */
static void end_epoch(struct links *links, const struct link *link, const struct frame_address *address, uint64_t now_ns)
{
    for (size_t i = 0; i < links->host_count; i++) {
        const struct link_host *host = links->hosts[i];

        if (host->epoch >= link->epoch || host->next_ns != 0 || !frame_address_equals(&host->address, address))
            continue;
        for (size_t k = 0; k < links->host_count; k++) {
            struct link_host *other = links->hosts[k];

            if (other->epoch != host->epoch || other->mesh != host->mesh || other->next_ns != 0)
                continue;
            other->next_ns = now_ns;
            other->next_epoch = link->epoch;
        }
    }
}

static void note_sent(struct link_host *host, const struct packet *packet)
{
    if (host == NULL || host->next_ns != 0)
        return;
    host->sent_ns = packet->ts_ns;
    if (packet->message.header.type == MESH_TYPE_TILE)
        host->tile_ns = packet->ts_ns;
}

static struct link *make(struct links *links, const struct packet *packet, uint64_t after_ns)
{
    const struct mesh_header *header = &packet->message.header;
    const bool is_session = header->epoch >> 31 != 0;
    const bool has_place = links->count < LINKS_MAX && (!is_session || links->session_count < LINKS_SESSIONS_MAX);
    struct link *link;

    if (!has_place) {
        links->left_out += !is_session;
        links->sessions_left_out += is_session;
        return NULL;
    }
    link = calloc(1, sizeof *link);
    if (link == NULL) {
        links->lacks_memory = true;
        return NULL;
    }
    links->session_count += is_session;
    link->epoch = header->epoch;
    link->src = header->src;
    link->dst = MESH_DST_ALL;
    link->is_v6 = packet->frame->is_v6;
    link->from = packet->frame->src;
    link->to = packet->frame->dst;
    link->sender = host_of(links, packet, &link->from, after_ns);
    link->receiver = host_of(links, packet, &link->to, after_ns);
    if (link->sender != NULL && link->receiver != NULL)
        join_meshes(links, link->sender, link->receiver);
    link->at_sender = point_at(links, &link->from);
    link->at_receiver = point_at(links, &link->to);
    link->point = link->at_receiver >= 0 ? (unsigned)link->at_receiver : link->at_sender >= 0 ? (unsigned)link->at_sender : packet->point;
    if (link->at_sender >= 0 && link->at_receiver >= 0 && link->at_sender != link->at_receiver) {
        link->departures = calloc(2, sizeof *link->departures);
        links->lacks_memory |= link->departures == NULL;
    }
    link->first_ns = link->last_ns = packet->ts_ns;
    links->links[links->count++] = link;
    if (!is_session) {
        end_epoch(links, link, &link->from, packet->ts_ns);
        end_epoch(links, link, &link->to, packet->ts_ns);
    }
    return link;
}

struct link *links_of(struct links *links, const struct packet *packet)
{
    const struct mesh_header *header = &packet->message.header;
    const bool is_all = header->dst == MESH_DST_ALL;
    struct link *link = find(links, header->epoch, &packet->frame->src, &packet->frame->dst);
    const bool is_over = link != NULL && !numbers_extend_incarnation(&link->incarnations[is_all], header->number, header->sent_ns);

    if (link == NULL || is_over) {
        link = make(links, packet, is_over ? link->last_ns : 0);
        if (link == NULL)
            return NULL;
        links->renewed += is_over;
        numbers_extend_incarnation(&link->incarnations[is_all], header->number, header->sent_ns);
    }
    if (header->dst != MESH_DST_ALL)
        link->dst = header->dst;
    links->last = link;
    note_sent(link->sender, packet);
    return link;
}

struct link *links_back(struct links *links, const struct packet *packet)
{
    return find(links, packet->message.header.epoch, &packet->frame->dst, &packet->frame->src);
}

static bool has_common_end(const struct link *a, const struct link *b)
{
    return frame_address_equals(&a->from, &b->from) || frame_address_equals(&a->from, &b->to) || frame_address_equals(&a->to, &b->from) ||
           frame_address_equals(&a->to, &b->to);
}

/* meshes: for each link the lowest index of the links connected with it, whatever their epochs. */
static void find_meshes(const struct links *links, uint16_t meshes[LINKS_MAX])
{
    for (size_t i = 0; i < links->count; i++) {
        meshes[i] = (uint16_t)i;
        for (size_t k = 0; k < i && !links_is_session(links->links[i]); k++) {
            const uint16_t from = meshes[i], to = meshes[k];

            if (from == to || links_is_session(links->links[k]) || !has_common_end(links->links[i], links->links[k]))
                continue;
            for (size_t j = 0; j <= i; j++)
                if (meshes[j] == from || meshes[j] == to)
                    meshes[j] = from < to ? from : to;
        }
    }
}

unsigned links_meshes(const struct links *links)
{
    uint16_t meshes[LINKS_MAX];
    bool is_counted[LINKS_MAX] = {false};
    unsigned count = 0;

    find_meshes(links, meshes);
    for (size_t i = 0; i < links->count; i++)
        for (size_t k = 0; k < links->count && !is_counted[meshes[i]] && !links_is_session(links->links[i]); k++) {
            const struct link *a = links->links[i], *b = links->links[k];

            if (links_is_session(b) || meshes[i] == meshes[k] || a->last_ns < b->first_ns || b->last_ns < a->first_ns)
                continue;
            is_counted[meshes[i]] = true;
            count++;
        }
    return count;
}

struct link_gather *links_gather(struct link_host *host, uint64_t step, uint16_t phase, bool make)
{
    struct link_gather *gather;

    for (size_t i = 1; i <= LINKS_GATHERS; i++) {
        gather = &host->gathers[(host->next_gather + LINKS_GATHERS - i) % LINKS_GATHERS];
        if (!gather->is_used)
            break;
        if (gather->step == step && gather->phase == phase)
            return gather;
    }
    if (!make)
        return NULL;
    gather = &host->gathers[host->next_gather++ % LINKS_GATHERS];
    *gather = (struct link_gather){.step = step, .phase = phase, .is_used = true};
    return gather;
}
