/* Destinations to which this machine's own system refuses to send: no route, no interface, a firewall, an address that is gone. The system
 * says so at once, while other nodes only notice silence. Destinations that can be sent to are not kept. */
#ifndef NODE_SEND_ERRORS_H
#define NODE_SEND_ERRORS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/mesh.h"

enum { SEND_ERRORS_MAX = 64, SEND_ERRORS_TEXT_BYTES = 256 };

/* An error is reported once it has lasted for REPORT_AFTER; one that is older than OLD is evicted when another one needs its place. */
#define SEND_ERRORS_REPORT_AFTER_NS UINT64_C(1000000000)
#define SEND_ERRORS_OLD_NS          UINT64_C(120000000000)

struct send_error {
    struct mesh_addr to;
    int error; /* the last errno */
    uint64_t since_ns, last_ns;
    bool is_told, is_again; /* it has been reported; it is over, which has to be reported */
};

struct send_errors {
    struct send_error entry[SEND_ERRORS_MAX];
    unsigned count;
};

/* A datagram was sent there (error 0), or was refused with that errno. Without room the error is not kept. */
void send_errors_note(struct send_errors *errors, uint64_t now_ns, const struct mesh_addr *to, int error);

/* The next sentence to report, about all destinations with one error, and whether it says that they can be sent to again; false: none. */
bool send_errors_next(struct send_errors *errors, char text[SEND_ERRORS_TEXT_BYTES], bool *is_again);

/* All destinations with a reported error in one sentence, which begins with SEND_ERRORS_WHAT; false: none. Forgets old errors. */
#define SEND_ERRORS_WHAT "nothing can be sent"
bool send_errors_present(struct send_errors *errors, uint64_t now_ns, char text[SEND_ERRORS_TEXT_BYTES]);

#endif
