#include "packet_filter.h"

#include <assert.h>

#include "mesh/wire.h"
#include "node/common/hash.h"
#include "node/common/spin.h"

enum { SECOND_NS = 1000000000 };

/* The datagram being examined, and where it is counted. */
struct look {
    struct mesh_addr from;
    struct mesh_header header;
    const uint8_t *packet;
    size_t bytes;
    bool is_call; /* of a client; else of the cluster layer */
};

void packet_filter_init(struct packet_filter *filter, enum mesh_security security, const struct mesh_key *key, const char *cluster,
                        uint64_t seed)
{
    filter->security = security;
    filter->key = key;
    filter->cluster = cluster;
    filter->seed = seed;
    atomic_flag_clear(&filter->lock);
}

void packet_filter_release(struct packet_filter *filter)
{
    mesh_wipe(filter->sender, sizeof filter->sender);
}

/* ---- refusals ---- */

static bool refuse(struct packet_filter *filter, const struct look *look, enum mesh_seal_refusal cluster, enum mesh_session_refusal client)
{
    if (look->is_call)
        filter->stats.clients[client]++;
    else
        filter->stats.cluster[cluster]++;
    return false;
}

static bool count(uint64_t *counter)
{
    ++*counter;
    return false;
}

/* ---- tries ---- */

/* Token bucket, as the time when it is full again. */
static bool may(struct packet_filter_bucket *bucket, uint64_t now_ns, uint64_t rate, uint64_t burst)
{
    const uint64_t each_ns = SECOND_NS / rate;

    if (bucket->at_ns < now_ns)
        bucket->at_ns = now_ns;
    if (bucket->at_ns - now_ns > (burst - 1) * each_ns)
        return false;
    bucket->at_ns += each_ns;
    return true;
}

static bool may_try(struct packet_filter *filter, uint64_t now_ns, const struct mesh_addr *from)
{
    uint64_t words[2], host, source;

    memcpy(words, from->ip, sizeof words);
    host = hash_mix64(hash_mix64(filter->seed ^ words[0]) ^ words[1]);
    source = hash_mix64(host ^ from->port); /* a host has as many as it likes, but junk of one must not shut out what comes from another */
    return may(&filter->source[source % PACKET_FILTER_SOURCES], now_ns, PACKET_FILTER_SOURCE_RATE, PACKET_FILTER_SOURCE_BURST) &&
           may(&filter->host[host % PACKET_FILTER_SOURCES], now_ns, PACKET_FILTER_HOST_RATE, PACKET_FILTER_HOST_BURST) &&
           may(&filter->all, now_ns, PACKET_FILTER_RATE, PACKET_FILTER_BURST);
}

/* ---- senders ---- */

static struct packet_filter_sender *find(struct packet_filter *filter, const uint8_t *incarnation)
{
    struct packet_filter_sender *set = filter->sender[incarnation[0] % PACKET_FILTER_SETS];

    for (unsigned i = 0; i < PACKET_FILTER_WAYS; i++)
        if (set[i].used != 0 && memcmp(set[i].incarnation, incarnation, MESH_INCARNATION_BYTES) == 0)
            return &set[i];
    return NULL;
}

/* Replaces the sender that was used longest ago and is no member; there is one in each set. */
static struct packet_filter_sender *add(struct packet_filter *filter, const uint8_t *incarnation, const struct mesh_seal_key *key)
{
    struct packet_filter_sender *set = filter->sender[incarnation[0] % PACKET_FILTER_SETS], *oldest = NULL;

    for (unsigned i = 0; i < PACKET_FILTER_WAYS; i++)
        if (!set[i].is_member && (oldest == NULL || set[i].used < oldest->used))
            oldest = &set[i];
    assert(oldest != NULL);
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->incarnation, incarnation, sizeof oldest->incarnation);
    oldest->key = *key;
    return oldest;
}

static void add_member(struct packet_filter *filter, const uint8_t *incarnation, const struct mesh_seal_key *key)
{
    const struct packet_filter_sender *set = filter->sender[incarnation[0] % PACKET_FILTER_SETS];
    struct packet_filter_sender *sender = find(filter, incarnation);
    unsigned member_count = 0;

    for (unsigned i = 0; i < PACKET_FILTER_WAYS; i++)
        member_count += set[i].is_member;
    if (member_count == PACKET_FILTER_WAYS - 1)
        return; /* of 64 members, hardly ever: this one is treated like anybody else */
    if (sender == NULL)
        sender = add(filter, incarnation, key);
    sender->used = ++filter->tick;
    sender->is_member = true;
}

/* Much older numbers count as seen. */
static bool has_number(const struct packet_filter_sender *sender, uint64_t number)
{
    if (number > sender->highest)
        return false;
    if (sender->highest - number >= PACKET_FILTER_NUMBERS)
        return true;
    return sender->numbers[number / 64 % (PACKET_FILTER_NUMBERS / 64)] >> number % 64 & 1;
}

static void note_number(struct packet_filter_sender *sender, uint64_t number)
{
    if (number > sender->highest) {
        const uint64_t steps = number - sender->highest;

        if (steps >= PACKET_FILTER_NUMBERS)
            memset(sender->numbers, 0, sizeof sender->numbers);
        for (uint64_t i = 1; i < steps && steps < PACKET_FILTER_NUMBERS; i++) {
            const uint64_t skipped = sender->highest + i;

            sender->numbers[skipped / 64 % (PACKET_FILTER_NUMBERS / 64)] &= ~(UINT64_C(1) << skipped % 64);
        }
        sender->highest = number;
    }
    sender->numbers[number / 64 % (PACKET_FILTER_NUMBERS / 64)] |= UINT64_C(1) << number % 64;
}

/* ---- the filter ---- */

static bool put(struct packet_filter *filter, const struct look *look, const uint8_t *packet)
{
    return packet_ring_put(&filter->ring, look->from, packet, look->bytes) || count(&filter->stats.full);
}

/* Checks the readable header: is it of this protocol, and protected by the mode in use? */
static bool has_form(struct packet_filter *filter, struct look *look)
{
    const unsigned both = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED;
    const unsigned wanted = filter->security == MESH_SECURITY_SEAL   ? both
                            : filter->security == MESH_SECURITY_AUTH ? MESH_FLAG_AUTHENTICATED
                                                                     : 0;

    if (look->bytes > PACKET_RING_BYTES || mesh_wire_decode_header(look->packet, look->bytes, &look->header) != MESH_OK)
        return refuse(filter, look, MESH_SEAL_FOREIGN, MESH_SESSION_BY_FORM);
    if ((look->header.flags & MESH_FLAGS_OF_SEALING) == wanted) /* AES is only used in epochs */
        return true;
    return (look->header.flags & MESH_FLAG_AUTHENTICATED) != 0 ? refuse(filter, look, MESH_SEAL_MODE, MESH_SESSION_BY_MODE)
                                                               : refuse(filter, look, MESH_SEAL_PLAIN, MESH_SESSION_BY_PLAIN);
}

/* The main thread verifies its tag, so an attacker on the path can forge such datagrams. They leave half of the ring to members. */
static bool take_session(struct packet_filter *filter, const struct look *look)
{
    const uint32_t session = look->header.epoch & ~MESH_SESSION_EPOCH;
    enum mesh_session_refusal why = MESH_SESSION_BY_UNKNOWN;

    for (unsigned i = 0; i < filter->session_count; i++) {
        const struct mesh_session_peer *peer = &filter->session[i];

        if (peer->session != session)
            continue;
        if (mesh_addr_equal(&peer->addr, &look->from))
            return packet_ring_is_half_full(&filter->ring) ? count(&filter->stats.full) : put(filter, look, look->packet);
        why = MESH_SESSION_BY_SENDER;
    }
    return count(&filter->stats.clients[why]);
}

/* Queue a datagram with a valid tag; its sender is known from now on. */
static bool take_tagged(struct packet_filter *filter, uint64_t now_ns, const struct look *look)
{
    const uint8_t *incarnation = look->packet + MESH_HEADER_BYTES;
    struct packet_filter_sender *sender = find(filter, incarnation);
    uint8_t opened[PACKET_RING_BYTES];
    struct mesh_seal_key key;
    bool is_good;

    if (sender != NULL && has_number(sender, look->header.number))
        return count(look->is_call ? &filter->stats.clients[MESH_SESSION_BY_REPLAY] : &filter->stats.replay);
    if (sender == NULL && !may_try(filter, now_ns, &look->from))
        return count(&filter->stats.rate);
    if (sender != NULL)
        key = sender->key;
    else if (mesh_seal_key_of_process(&key, filter->key, filter->cluster, incarnation) != MESH_OK)
        return refuse(filter, look, MESH_SEAL_TAG, MESH_SESSION_BY_TAG);
    memcpy(opened, look->packet, look->bytes);
    is_good = mesh_open_packet(&key, filter->security, opened, look->bytes) == MESH_OK;
    if (is_good && sender == NULL)
        sender = add(filter, incarnation, &key);
    mesh_wipe(&key, sizeof key);
    if (!is_good)
        return refuse(filter, look, MESH_SEAL_TAG, MESH_SESSION_BY_TAG);
    sender->used = ++filter->tick;
    if (!put(filter, look, look->is_call ? look->packet : opened))
        return false;
    note_number(sender, look->header.number);
    return true;
}

static bool take(struct packet_filter *filter, uint64_t now_ns, struct look *look)
{
    look->is_call = mesh_session_is_of_one(look->packet, look->bytes);
    if (!has_form(filter, look))
        return false;
    if ((look->header.epoch & MESH_SESSION_EPOCH) != 0)
        return take_session(filter, look);
    if (look->is_call ? look->header.type != MESH_TYPE_CALL : look->header.type < MESH_TYPE_ASK)
        return refuse(filter, look, MESH_SEAL_FOREIGN, MESH_SESSION_BY_FORM);
    if (look->header.number == 0 || look->bytes < MESH_HEADER_BYTES + MESH_INCARNATION_BYTES)
        return refuse(filter, look, MESH_SEAL_FOREIGN, MESH_SESSION_BY_FORM);
    return filter->security == MESH_SECURITY_NONE ? put(filter, look, look->packet) : take_tagged(filter, now_ns, look);
}

bool packet_filter_take(struct packet_filter *filter, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct look look = {.from = from, .packet = packet, .bytes = bytes};
    bool is_in;

    spin_lock(&filter->lock);
    is_in = take(filter, now_ns, &look);
    spin_unlock(&filter->lock);
    return is_in;
}

/* ---- hints ---- */

bool packet_filter_tell_unreachable(struct packet_filter *filter, struct mesh_addr addr)
{
    bool is_new;

    spin_lock(&filter->lock);
    is_new = filter->unreachable_count < PACKET_FILTER_UNREACHABLE;
    for (unsigned i = 0; i < filter->unreachable_count && is_new; i++)
        is_new = !mesh_addr_equal(&filter->unreachable[i], &addr);
    if (is_new)
        filter->unreachable[filter->unreachable_count++] = addr;
    spin_unlock(&filter->lock);
    return is_new;
}

bool packet_filter_next_unreachable(struct packet_filter *filter, struct mesh_addr *addr)
{
    bool is_there;

    spin_lock(&filter->lock);
    is_there = filter->unreachable_count > 0;
    if (is_there)
        *addr = filter->unreachable[--filter->unreachable_count];
    spin_unlock(&filter->lock);
    return is_there;
}

/* ---- main thread ---- */

void packet_filter_set_sessions(struct packet_filter *filter, const struct mesh_session_peer *peers, unsigned peer_count)
{
    spin_lock(&filter->lock);
    memcpy(filter->session, peers, peer_count * sizeof *peers);
    filter->session_count = peer_count;
    spin_unlock(&filter->lock);
}

void packet_filter_set_members(struct packet_filter *filter, const struct mesh_cluster_member *members, unsigned count)
{
    struct mesh_seal_key keys[MESH_RANKS_MAX];
    bool is_known[MESH_RANKS_MAX];

    assert(count <= MESH_RANKS_MAX);
    if (filter->security == MESH_SECURITY_NONE)
        return;
    for (unsigned i = 0; i < count; i++)
        is_known[i] = mesh_seal_key_of_process(&keys[i], filter->key, filter->cluster, members[i].incarnation) == MESH_OK;
    spin_lock(&filter->lock);
    for (unsigned set = 0; set < PACKET_FILTER_SETS; set++)
        for (unsigned way = 0; way < PACKET_FILTER_WAYS; way++)
            filter->sender[set][way].is_member = false;
    for (unsigned i = 0; i < count; i++)
        if (is_known[i])
            add_member(filter, members[i].incarnation, &keys[i]);
    spin_unlock(&filter->lock);
    mesh_wipe(keys, sizeof keys);
}

void packet_filter_get_stats(struct packet_filter *filter, struct packet_filter_stats *stats)
{
    spin_lock(&filter->lock);
    *stats = filter->stats;
    spin_unlock(&filter->lock);
}
