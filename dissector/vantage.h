/* On which host a single capture was taken, as far as it proves that, and so where a lost datagram vanished.
 *
 * Three things prove it: the user says so; Linux cooked frames, which tell which way they went; UDP checksums that are left to the network
 * card, so that a capture shows them unfinished on the sender's host alone. Times prove nothing: a busy host answers later than a distant
 * one. Neither do addresses: all datagrams of one host pass its switch port, too. */
#ifndef DISSECTOR_VANTAGE_H
#define DISSECTOR_VANTAGE_H

#include "packet.h"

enum { VANTAGE_HOSTS_MAX = 128 };

enum vantage_proof { VANTAGE_NONE, VANTAGE_STATED, VANTAGE_COOKED, VANTAGE_CHECKSUMS };

struct vantage_host {
    uint8_t ip[16];
    bool is_v6;
    /* By Linux cooked frames: frames from this host that left the capturing host, and that came into it; and frames to this host that left
     * the capturing host. */
    uint64_t left, came, to_left;
    uint64_t unfinished, finished; /* datagrams from this host, by whether their checksum was left to the network card */
};

struct vantage {
    bool is_stated;                /* the user says where it was taken: at `stated`, unless is_between */
    bool is_between;               /* at no host, but on the way between them */
    uint8_t stated[16];            /* IP address of the host that the user names */
    uint64_t unfinished, finished; /* of all hosts together */
    size_t host_count;
    struct vantage_host hosts[VANTAGE_HOSTS_MAX];
};

void vantage_add(struct vantage *vantage, const struct packet *packet);

/* Was the capture taken on the host with this address? VANTAGE_NONE: nothing proves it. */
enum vantage_proof vantage_at(const struct vantage *vantage, const uint8_t ip[16]);

/* Is it proved of any host? */
bool vantage_is_proved(const struct vantage *vantage);

#endif
