/* Network troubles of the serving node's own machine: errors of sending, an address that is gone, and isolation from all other nodes. A log
 * that only says which members were lost leaves open on which side of the cable the fault is. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "mesh/udp.h"
#include "serve_state.h"

#define ISOLATED_NS UINT64_C(5000000000) /* alone for so long before it is reported */
#define LOOK_NS     UINT64_C(2000000000) /* between two checks of the own address; one failure may be momentary */

/* A socket bound to one IPv6 address accepts IPv4 destinations, and then reports that the network is unreachable. */
static bool is_other_family(const struct server *server, const struct mesh_addr *to)
{
    const struct mesh_addr *listen = &server->config->listen;

    return mesh_addr_is_v4(to) && !mesh_addr_is_v4(listen) && !mesh_addr_is_any(listen);
}

void serve_network_sent(struct server *server, const struct mesh_addr *to, int result)
{
    int error = result == MESH_ESYSTEM ? errno : result == MESH_AGAIN ? ENOBUFS : result == MESH_EINVAL ? EAFNOSUPPORT : 0;

    if (error == ENETUNREACH && is_other_family(server, to))
        error = EAFNOSUPPORT;

    if (error != ECONNREFUSED) /* ECONNREFUSED comes from the other machine, which is reachable */
        send_errors_note(&server->send_errors, mesh_udp_now_ns(), to, error);
}

static void look_at_own_address(struct server *server, uint64_t now_ns)
{
    char address[MESH_ADDR_TEXT_BYTES];
    unsigned missing = server->address_missing;

    if (now_ns < server->address_at_ns)
        return;
    server->address_at_ns = now_ns + LOOK_NS;
    mesh_addr_format(server->config->listen, address);
    missing = mesh_udp_is_local(server->config->listen) ? 0 : missing < 3 ? missing + 1 : missing;
    if (missing == 2)
        serve_trouble(server, TROUBLE_ADDRESS, NULL, "this machine no longer has the address ",
                      "%s, at which this node listens, so nothing reaches it: give it back, or start the node with another "
                      "--listen; 0.0.0.0 or [::] takes whatever address there is",
                      address);
    else if (missing == 0 && serve_trouble_over(server, TROUBLE_ADDRESS, NULL))
        serve_log(server, "this machine has the address %s again", address);
    server->address_missing = missing;
}

/* A node with another key, name or --security hears nothing at all, so the text lists all causes. */
static void log_nobody(struct server *server)
{
    char address[MESH_ADDR_TEXT_BYTES] = "";
    struct mesh_cluster_stats stats;
    const struct presence_entry *silent = presence_missing(&server->presence, mesh_udp_now_ns(), server->alone_since_ns);
    uint64_t heard;

    mesh_cluster_get_stats(server->cluster, &stats);
    heard = stats.received - server->alone_received;
    if (silent != NULL)
        mesh_addr_format(silent->at, address);
    if (!server->has_company && heard == 0)
        serve_trouble(
            server, TROUBLE_ISOLATED, NULL, "no node answers where this node asks for others",
            ", so it is a cluster of its own, and keeps asking: is a node there, with the same key, --name and --security, and no "
            "firewall between?");
    else if (heard == 0)
        serve_trouble(
            server, TROUBLE_ISOLATED, NULL, "alone for 5 s",
            ": nothing comes from the others, and this node keeps asking them: are they there, is there a route to them, and has no "
            "other machine this one's address?");
    else if (serve_is_refused(server))
        serve_trouble(server, TROUBLE_ISOLATED, NULL, "alone for 5 s",
                      ": %" PRIu64 " datagrams have come from others, but no member takes this node in: refused %s", heard,
                      server->refusal);
    else
        serve_trouble(server, TROUBLE_ISOLATED, NULL, "alone for 5 s",
                      ": %" PRIu64 " datagrams have come from others%s%s, but no member takes this node in: between it and one of them "
                      "datagrams may pass one way only, or not at all, or take over 450 ms there and back (ping shows it); mesh-node "
                      "status at another node shows who is there",
                      heard, silent != NULL ? ", none of them from " : "", address);
}

/* Reported once each time that the node becomes alone. */
static void watch_company(struct server *server, uint64_t now_ns)
{
    struct mesh_cluster_stats stats;

    if (server->run == NULL || server->run->count > 1) {
        server->alone_since_ns = 0;
        serve_trouble_over(server, TROUBLE_ISOLATED, NULL); /* the log names the new epoch */
        return;
    }
    if ((server->config->seed_count == 0 && presence_missing(&server->presence, now_ns, now_ns) == NULL) || server->is_draining)
        return;
    if (server->alone_since_ns == 0) {
        mesh_cluster_get_stats(server->cluster, &stats);
        server->alone_received = stats.received;
        server->alone_since_ns = now_ns;
        server->alone_is_reported = false;
    }
    if (server->alone_is_reported || now_ns - server->alone_since_ns < ISOLATED_NS)
        return;
    server->alone_is_reported = true;
    log_nobody(server);
    server->has_company = true;
}

/* Each error that begins is logged and becomes an event; the trouble lasts as long as one of them does. */
static void watch_send_errors(struct server *server, uint64_t now_ns)
{
    char text[SEND_ERRORS_TEXT_BYTES];
    bool is_again;

    while (send_errors_next(&server->send_errors, text, &is_again)) {
        serve_log(server, "%s", text);
        if (!is_again)
            serve_note(server, MESH_NODE_EVENT_TROUBLE, MESH_TELEMETRY_NOBODY, NULL, "%s", text);
    }
    if (send_errors_present(&server->send_errors, now_ns, text))
        troubles_begin(&server->troubles, now_ns, TROUBLE_UNREACHABLE, NULL, SEND_ERRORS_WHAT, text + sizeof SEND_ERRORS_WHAT - 1);
    else
        serve_trouble_over(server, TROUBLE_UNREACHABLE, NULL);
}

void serve_network_watch(struct server *server)
{
    const uint64_t now_ns = mesh_udp_now_ns();

    watch_send_errors(server, now_ns);
    look_at_own_address(server, now_ns);
    watch_company(server, now_ns);
}
