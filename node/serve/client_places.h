/* The places that a serving node has for sessions of clients, and when each client asked for something last.
 *
 * At most CLIENT_PLACES_WORKING clients have questions or fetches at a time. The other places are for those that only look (status,
 * telemetry), so that a node that is busy can still be seen. When few places are free, clients that ask for nothing give way, whoever asked
 * longest ago first. */
#ifndef NODE_CLIENT_PLACES_H
#define NODE_CLIENT_PLACES_H

#include <stdbool.h>
#include <stdint.h>

enum { CLIENT_PLACES = 48, CLIENT_PLACES_WORKING = 32, CLIENT_PLACES_FREE = 8 /* kept free, if clients that are idle suffice for it */ };

#define CLIENT_IDLE_NS UINT64_C(5000000000) /* since it asked for something: idle, and may have to give way */

enum client_use {
    CLIENT_IDLE,
    CLIENT_LOOKS, /* it is sent telemetry */
    CLIENT_WORKS  /* it has a question that is not answered, or a fetch */
};

/* What the node does for this client now. */
typedef enum client_use client_use_function(void *app, uint32_t session);

struct client_place {
    uint32_t session; /* 0: free */
    uint64_t asked_ns;
};

/* Starts as {0}. */
struct client_places {
    struct client_place place[CLIENT_PLACES];
};

void client_places_open(struct client_places *places, uint64_t now_ns, uint32_t session);
void client_places_close(struct client_places *places, uint32_t session);

/* It has asked for something, or what it asked for has ended. */
void client_places_ask(struct client_places *places, uint64_t now_ns, uint32_t session);

/* Whether this client may have a question or a fetch, or one more. */
bool client_places_may_work(const struct client_places *places, uint32_t session, client_use_function *use, void *app);

/* The client whose session is to be closed now, for others; 0: none. */
uint32_t client_places_give_way(struct client_places *places, uint64_t now_ns, client_use_function *use, void *app);

#endif
