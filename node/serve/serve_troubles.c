/* Network troubles that a serving node notices between itself and other members, besides those of its own machine (serve_network.c): paths
 * with too small an MTU, path MTU black holes, newcomers without a path, flapping members, duplicate addresses. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mesh/udp.h"
#include "mesh/wire.h"
#include "serve_state.h"

#define LOOK_NS       UINT64_C(500000000)     /* between two checks; a black hole found in three of them excludes one end */
#define DENIED_NS     UINT64_C(600000000000)  /* between two lines of one newcomer that is not taken in; it asks every 30 s */
#define BLACK_HOLE_NS UINT64_C(1800000000000) /* without a new sign it is over: an excluded member comes back sooner */

static void note_over(struct server *server, const struct mesh_addr *about, const struct trouble *over)
{
    serve_note(server, MESH_NODE_EVENT_MENDED, MESH_TELEMETRY_NOBODY, about, "%.*s", (int)over->what_bytes, over->text);
}

void serve_trouble(struct server *server, enum trouble_kind kind, const struct mesh_addr *about, const char *what, const char *format, ...)
{
    const struct trouble *begun;
    const unsigned unlisted = server->troubles.unlisted_count;
    struct trouble other;
    char rest[TROUBLE_TEXT_BYTES];
    va_list list;

    va_start(list, format);
    vsnprintf(rest, sizeof rest, format, list);
    va_end(list);
    if (troubles_end_other(&server->troubles, kind, about, what, &other))
        note_over(server, about, &other);
    begun = troubles_begin(&server->troubles, mesh_udp_now_ns(), kind, about, what, rest);
    if (server->troubles.unlisted_count > unlisted)
        serve_log(server, "%s%s", what, rest);
    if (begun == NULL)
        return;
    serve_log(server, "%s", begun->text);
    serve_note(server, MESH_NODE_EVENT_TROUBLE, MESH_TELEMETRY_NOBODY, about, "%s", begun->text);
}

bool serve_trouble_over(struct server *server, enum trouble_kind kind, const struct mesh_addr *about)
{
    struct trouble over;

    if (!troubles_end(&server->troubles, kind, about, &over))
        return false;
    note_over(server, about, &over);
    return true;
}

/* ---- paths that carry no large datagrams ---- */

/* By the MTU of the interface or of the route. What a router reports is not believed: anybody can forge it. */
static void look_at_path(struct server *server, const struct mesh_addr *to)
{
    const uint32_t bytes = mesh_udp_path_bytes(*to);
    char address[MESH_ADDR_TEXT_BYTES], what[TROUBLE_TEXT_BYTES / 2];

    mesh_addr_format(*to, address);
    if (bytes >= MESH_DATAGRAM_BYTES_MIN && serve_trouble_over(server, TROUBLE_MTU, to))
        serve_log(server, "the path to %s carries datagrams of %d bytes again", address, MESH_DATAGRAM_BYTES_MIN);
    if (bytes == 0 || bytes >= MESH_DATAGRAM_BYTES_MIN)
        return;
    snprintf(what, sizeof what, "the path to %s carries datagrams of %" PRIu32 " bytes, and %d are needed", address, bytes,
             MESH_DATAGRAM_BYTES_MIN);
    serve_trouble(server, TROUBLE_MTU, to, what, ": raise the MTU of its interface to 1280");
}

static void look_at_paths(struct server *server)
{
    struct mesh_addr to[TROUBLES_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < server->troubles.count; i++)
        if (server->troubles.trouble[i].kind == TROUBLE_MTU)
            to[count++] = server->troubles.trouble[i].about; /* a member excluded for it is no longer in the run */
    while (count > 0)
        look_at_path(server, &to[--count]);
    for (uint16_t rank = 0; server->run != NULL && rank < server->run->count; rank++)
        if (rank != server->run->rank)
            look_at_path(server, &server->run->member[rank].addr);
}

static void log_black_hole(struct server *server, const struct mesh_addr *addr, const char *other)
{
    char address[MESH_ADDR_TEXT_BYTES], what[TROUBLE_TEXT_BYTES / 2];

    mesh_addr_format(*addr, address);
    snprintf(what, sizeof what, "large datagrams do not pass between %s and %s", other, address);
    serve_trouble(server, TROUBLE_BLACK_HOLE, addr, what,
                  ", and small ones do: raise the MTU between them to 1280 (a tunnel, bridge, switch or firewall): try ping -M do -s %d "
                  "from one to the other. For 3 s, retransmissions in at most %d bytes have not arrived; one of the two is left out "
                  "meanwhile, longer each time", /* what to do comes first: an event's text is cut at 200 bytes */
                  MESH_DATAGRAM_BYTES_MIN, MESH_DATAGRAM_BYTES_MIN);
}

/* Reports the black hole to the cluster, which excludes one of its ends: otherwise all members would wait. */
static void take_starved(struct server *server, uint16_t rank)
{
    log_black_hole(server, &server->run->member[rank].addr, "this node");
    if (serve_is_rank(server, rank))
        mesh_cluster_starved(server->cluster, mesh_udp_now_ns(), rank);
}

/* From now on only later steps of this epoch show that large datagrams pass. */
static void note_starved(struct server *server, uint64_t steps)
{
    server->starved_epoch = server->run->number;
    server->starved_steps = steps;
}

/* Ends the black holes of members with which steps have been made since: their large datagrams arrive. */
static void take_fed(struct server *server, uint64_t starved)
{
    const struct epoch_run *run = server->run;
    struct engine_figures figures;
    char address[MESH_ADDR_TEXT_BYTES];
    uint64_t steps;

    engine_figures(run->engine, &figures);
    steps = run->number == server->starved_epoch ? server->starved_steps : 0;
    if (starved != 0)
        note_starved(server, figures.steps);
    for (uint16_t rank = 0; rank < run->count; rank++) {
        if (rank == run->rank || starved >> rank & 1 || figures.steps <= steps ||
            !serve_trouble_over(server, TROUBLE_BLACK_HOLE, &run->member[rank].addr))
            continue;
        mesh_addr_format(run->member[rank].addr, address);
        serve_log(server, "large datagrams pass to and from %s again", address);
    }
}

static void look_at_starving(struct server *server)
{
    uint64_t starved = 0;

    if (server->run == NULL || !epoch_run_is_loaded(server->run) || server->run->count == 1)
        return;
    if (engine_is_stepping(server->run->engine) || serve_count_requests(server) > 0)
        starved = epoch_run_starved_ranks(server->run);
    for (uint16_t rank = 0; rank < server->run->count; rank++)
        if (starved & server->starved_ranks & UINT64_C(1) << rank) /* in two checks: a process that was stopped needs time to catch up */
            take_starved(server, rank);
    server->starved_ranks = starved;
    take_fed(server, starved);
}

static void forget_black_hole(struct server *server, uint64_t now_ns)
{
    struct mesh_addr old;

    for (unsigned i = server->troubles.count; i-- > 0;) {
        const struct trouble *trouble = &server->troubles.trouble[i];

        old = trouble->about;
        if (trouble->kind == TROUBLE_BLACK_HOLE && now_ns >= trouble->last_ns + BLACK_HOLE_NS)
            serve_trouble_over(server, TROUBLE_BLACK_HOLE, &old);
    }
}

/* ---- newcomers without a path ---- */

/* True once in DENIED_NS for each, and for at most SERVE_DENIED of them: without a key anybody can ask, from any number of ports. */
static bool may_tell_of(struct server *server, const struct mesh_addr *at, uint64_t now_ns)
{
    struct serve_denied *place = &server->denied[0];

    for (unsigned i = 0; i < SERVE_DENIED; i++) {
        struct serve_denied *denied = &server->denied[i];

        if (denied->told_ns != 0 && mesh_addr_equal(&denied->at, at) && now_ns - denied->told_ns < DENIED_NS)
            return false;
        if (denied->told_ns < place->told_ns)
            place = denied;
    }
    if (place->told_ns != 0 && now_ns - place->told_ns < DENIED_NS)
        return false;
    *place = (struct serve_denied){.at = *at, .told_ns = now_ns};
    return true;
}

/* A member whose address is of the other kind; NULL: there is none. */
static const struct mesh_addr *find_other_family(const struct server *server, const struct mesh_addr *at)
{
    for (uint16_t rank = 0; server->run != NULL && rank < server->run->count; rank++) {
        const struct mesh_addr *addr = &server->run->member[rank].addr;

        if (addr->port != 0 && mesh_addr_is_v4(addr) != mesh_addr_is_v4(at))
            return addr;
    }
    return NULL;
}

/* The newcomer is told which member it is; ranks may have changed since that was found. */
void serve_troubles_denied(struct server *server, const struct mesh_addr *to, const uint8_t *packet, size_t bytes)
{
    const struct mesh_addr *other;
    struct mesh_message message;
    char address[MESH_ADDR_TEXT_BYTES], member[MESH_ADDR_TEXT_BYTES];

    if (mesh_wire_decode_header(packet, bytes, &message.header) != MESH_OK || message.header.type != MESH_TYPE_DENY ||
        mesh_wire_decode_body(packet, bytes, &message) != MESH_OK || message.as.deny.reason != MESH_DENY_UNHEARD ||
        !may_tell_of(server, to, mesh_udp_now_ns()))
        return;
    mesh_addr_format(*to, address);
    other = find_other_family(server, to);
    if (other != NULL) {
        mesh_addr_format(*other, member);
        serve_log(server, "%s is not taken in: it asks by IPv%c, and %s has IPv%c: all nodes need addresses of one kind (--listen, --join)",
                  address, mesh_addr_is_v4(to) ? '4' : '6', member, mesh_addr_is_v4(to) ? '6' : '4');
    } else {
        serve_log(server,
                  "%s is not taken in: it and a member do not get what they send each other, or it takes over 450 ms there and back: "
                  "its log names the member; check firewalls, routes and MTU between the two",
                  address);
    }
}

/* ---- flapping members, duplicate addresses ---- */

void serve_troubles_epoch(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    server->starved_ranks = 0; /* ranks mean other members now */
    memset(server->suspected_ns, 0, sizeof server->suspected_ns);
    for (uint16_t rank = 0; rank < server->run->count; rank++)
        if (rank != server->run->rank)
            presence_joined(&server->presence, now_ns, &server->run->member[rank].addr, server->run->member[rank].incarnation);
}

void serve_troubles_lost(struct server *server, const struct mesh_addr *addr, const struct mesh_addr *starved_by)
{
    const struct epoch_run *run = server->run; /* of the epoch in which it was a member */
    char address[MESH_ADDR_TEXT_BYTES];

    presence_lost(&server->presence, mesh_udp_now_ns(), addr, starved_by->port != 0);
    if (starved_by->port == 0)
        return;
    serve_trouble_over(server, TROUBLE_FLAPPING, addr); /* the black hole explains it */
    mesh_addr_format(*starved_by, address);
    log_black_hole(server, addr, run != NULL && mesh_addr_equal(starved_by, &run->member[run->rank].addr) ? "this node" : address);
    if (run != NULL)
        note_starved(server, UINT64_MAX); /* the epoch is over */
}

/* A member at this address is heard, so another process there is no restart of it. */
static bool is_heard(const struct server *server, const struct mesh_addr *addr)
{
    struct mesh_cluster_peer_stats peer;

    for (uint16_t rank = 0; server->run != NULL && rank < server->run->count; rank++)
        if (mesh_cluster_get_peer_stats(server->cluster, rank, &peer) == MESH_OK && mesh_addr_equal(&peer.addr, addr))
            return peer.is_in && !peer.is_suspected;
    return false;
}

/* This node's own datagram has come back. */
static bool is_own(const struct server *server, const uint8_t *incarnation)
{
    const struct epoch_run *run = server->run;

    return run != NULL && memcmp(run->member[run->rank].incarnation, incarnation, MESH_INCARNATION_BYTES) == 0;
}

void serve_troubles_heard(struct server *server, const struct packet_ring_entry *packet)
{
    const uint8_t *incarnation = packet->bytes + MESH_HEADER_BYTES;

    if (packet->size >= MESH_HEADER_BYTES + (size_t)MESH_INCARNATION_BYTES && !is_own(server, incarnation))
        presence_heard(&server->presence, mesh_udp_now_ns(), &packet->from, incarnation, is_heard(server, &packet->from));
}

static void look_at_duplicate(struct server *server, const struct presence_entry *entry, const char *address, uint64_t now_ns)
{
    char what[TROUBLE_TEXT_BYTES / 2];

    if (presence_is_duplicate(entry, now_ns)) {
        snprintf(what, sizeof what, "two machines have the address %s", address);
        serve_trouble(server, TROUBLE_DUPLICATE, &entry->at, what,
                      ", and a node is running on each: they are members by turns, and take each other's datagrams. Give one of them "
                      "another address (ip neigh at the other machines shows the card of the one that is reached), or stop its node");
        serve_trouble_over(server, TROUBLE_FLAPPING, &entry->at); /* the duplicate explains it */
    } else if (serve_trouble_over(server, TROUBLE_DUPLICATE, &entry->at)) {
        serve_log(server, "for 2 minutes only one machine has had the address %s", address);
    }
}

static void look_at_flapping(struct server *server, const struct presence_entry *entry, const char *address, uint64_t now_ns)
{
    const unsigned losses = presence_losses(entry, now_ns), restarts = presence_restarts(entry);
    char what[TROUBLE_TEXT_BYTES / 2], restarted[64] = "";

    if (losses > 0 && !entry->is_lost && !presence_is_duplicate(entry, now_ns)) {
        snprintf(what, sizeof what, "%s is lost and comes back again and again", address);
        if (restarts > 0 && restarts < losses)
            snprintf(restarted, sizeof restarted, "its process restarted %u of these times, see its log; ", restarts);
        serve_trouble(server, TROUBLE_FLAPPING, &entry->at, what, ", %u times within 10 minutes: %s%s", losses, restarted,
                      restarts >= losses ? "its process restarts each time, see its log"
                                         : "see its cable and switch port, and whether its machine stands still; if all others are "
                                           "named, this machine's");
    } else if (losses == 0 && serve_trouble_over(server, TROUBLE_FLAPPING, &entry->at)) {
        serve_log(server, "%s has been lost less than 3 times in the last 10 minutes", address);
    }
}

void serve_troubles_watch(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    char address[MESH_ADDR_TEXT_BYTES];

    if (now_ns < server->troubles_at_ns)
        return;
    server->troubles_at_ns = now_ns + LOOK_NS;
    look_at_paths(server);
    look_at_starving(server);
    forget_black_hole(server, now_ns);
    for (unsigned i = 0; i < server->presence.count; i++) {
        const struct presence_entry *entry = &server->presence.entry[i];

        mesh_addr_format(entry->at, address);
        look_at_duplicate(server, entry, address, now_ns);
        look_at_flapping(server, entry, address, now_ns);
    }
}
