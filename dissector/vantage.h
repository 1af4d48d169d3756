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
    uint64_t left, came;           /* frames from it that went out of the capturing host; that came in */
    uint64_t to_left;              /* frames to it that went out */
    uint64_t unfinished, finished; /* datagrams from it, by their checksums */
};

struct vantage {
    bool is_stated, is_between;    /* the user says where: at a host; at none, but on the way between them */
    uint8_t stated[16];            /* the host that the user names */
    uint64_t unfinished, finished; /* as of hosts, of all together */
    size_t host_count;
    struct vantage_host hosts[VANTAGE_HOSTS_MAX];
};

void vantage_add(struct vantage *vantage, const struct packet *packet);

/* Was the capture taken on the host with this address? VANTAGE_NONE: nothing proves it. */
enum vantage_proof vantage_at(const struct vantage *vantage, const uint8_t ip[16]);

/* Is it proved of any host? */
bool vantage_is_proved(const struct vantage *vantage);

#endif
