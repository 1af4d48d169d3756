/* A node and its clients in memory and virtual time: datagrams are lost, duplicated, reordered and mutated as the test requires. */
#ifndef SESSION_NET_H
#define SESSION_NET_H

#include "mesh/session.h"

enum { SESSION_NET_CLIENTS = 40, SESSION_NET_QUEUE = 4096, SESSION_NET_LOG = 64, SESSION_NET_RECORD_BYTES = 20000 };

struct session_net_packet {
    uint64_t due_ns;
    struct mesh_addr from;
    int to; /* client, or -1 the node */
    size_t bytes;
    uint8_t packet[MESH_SESSION_DATAGRAM_BYTES];
};

struct session_net_client {
    struct mesh_call *call;
    void *memory;
    struct mesh_session_seal seal;
    struct mesh_addr addr;
    unsigned opened, closed, failed, records; /* events */
    enum mesh_session_why why;
    uint8_t version;
    size_t last_bytes;
    uint8_t last[SESSION_NET_RECORD_BYTES];
};

struct session_net {
    uint64_t now_ns, random;
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm, mutate_ppm;
    bool node_is_silent;       /* all that the node sends is lost */
    size_t datagram_bytes_max; /* longer ones are lost; 0: none */
    enum mesh_security security;
    struct mesh_key key;
    struct mesh_sessions *node;
    void *node_memory;
    struct mesh_session_seal node_seal;
    struct session_net_client client[SESSION_NET_CLIENTS];
    unsigned client_count, forgotten;
    struct session_net_packet queue[SESSION_NET_QUEUE];
    unsigned queued;
    uint32_t session[SESSION_NET_LOG]; /* of OPENED events at the node */
    unsigned opened, closed, records;  /* events at the node */
    enum mesh_session_why why;
    bool echoes;                                                          /* the node sends records back */
    void (*seen)(void *app, int to, const uint8_t *packet, size_t bytes); /* called with every datagram sent, if not NULL */
    void *app;
    uint64_t sent, mutated;
};

/* False when this build cannot seal. */
bool session_net_init(struct session_net *net, unsigned capacity, enum mesh_security security, uint64_t seed);

/* With a tap of the node. */
bool session_net_init_tapped(struct session_net *net, unsigned capacity, enum mesh_security security, uint64_t seed,
                             const struct mesh_tap *tap);

/* With records of another version at the node. */
bool session_net_init_records(struct session_net *net, uint8_t records);
void session_net_release(struct session_net *net);

/* The address of a client; the node's has port 1. */
struct mesh_addr session_net_addr(unsigned client);

/* A client that connects; key NULL: the cluster's. Returns its index. */
unsigned session_net_call(struct session_net *net, const struct mesh_key *key, uint16_t version, uint64_t timeout_ns);

/* Forget the last client, which has ended: the next client takes its place, as another client. */
void session_net_forget_last(struct session_net *net);

/* Let time pass for at most for_ns, or until done(net). */
void session_net_run(struct session_net *net, uint64_t for_ns, bool (*done)(const struct session_net *net));

/* Give the node a datagram now, and take its output. */
int session_net_inject(struct session_net *net, struct mesh_addr from, const uint8_t *packet, size_t bytes);

uint64_t session_net_draw(struct session_net *net);

#endif
