#include "gate.h"

#include <assert.h>

#include "hash.h"
#include "mesh/wire.h"

enum { SECOND_NS = 1000000000 };

/* The datagram being examined, and where it is counted. */
struct look {
    struct mesh_addr from;
    struct mesh_header header;
    const uint8_t *packet;
    size_t bytes;
    bool is_call; /* of a client; else of the cluster layer */
};

static void lock(struct gate *gate)
{
    while (atomic_flag_test_and_set_explicit(&gate->lock, memory_order_acquire))
        ;
}

static void unlock(struct gate *gate)
{
    atomic_flag_clear_explicit(&gate->lock, memory_order_release);
}

void gate_init(struct gate *gate, enum mesh_security security, const struct mesh_key *key, const char *cluster, uint64_t seed)
{
    gate->security = security;
    gate->key = key;
    gate->cluster = cluster;
    gate->seed = seed;
    atomic_flag_clear(&gate->lock);
}

void gate_release(struct gate *gate)
{
    mesh_wipe(gate->sender, sizeof gate->sender);
}

/* ---- refusals ---- */

static bool refuse(struct gate *gate, const struct look *look, enum mesh_seal_refusal cluster, enum mesh_session_refusal client)
{
    if (look->is_call)
        gate->stats.clients[client]++;
    else
        gate->stats.cluster[cluster]++;
    return false;
}

static bool count(uint64_t *counter)
{
    ++*counter;
    return false;
}

/* ---- tries ---- */

/* Token bucket, as the time when it is full again. */
static bool may(struct gate_bucket *bucket, uint64_t now_ns, uint64_t rate, uint64_t burst)
{
    const uint64_t each_ns = SECOND_NS / rate;

    if (bucket->at_ns < now_ns)
        bucket->at_ns = now_ns;
    if (bucket->at_ns - now_ns > (burst - 1) * each_ns)
        return false;
    bucket->at_ns += each_ns;
    return true;
}

static bool may_try(struct gate *gate, uint64_t now_ns, const struct mesh_addr *from)
{
    uint64_t words[2], hash;

    memcpy(words, from->ip, sizeof words);
    hash = hash_mix64(hash_mix64(gate->seed ^ words[0]) ^ words[1]); /* not the port, which a host chooses as it likes */
    return may(&gate->source[hash % GATE_SOURCES], now_ns, GATE_SOURCE_RATE, GATE_SOURCE_BURST) &&
           may(&gate->all, now_ns, GATE_RATE, GATE_BURST);
}

/* ---- senders ---- */

static struct gate_sender *find(struct gate *gate, const uint8_t *incarnation)
{
    struct gate_sender *set = gate->sender[incarnation[0] % GATE_SETS];

    for (unsigned i = 0; i < GATE_WAYS; i++)
        if (set[i].used != 0 && memcmp(set[i].incarnation, incarnation, MESH_INCARNATION_BYTES) == 0)
            return &set[i];
    return NULL;
}

/* Replaces the sender that was used longest ago and is no member; there is one in each set. */
static struct gate_sender *add(struct gate *gate, const uint8_t *incarnation, const struct mesh_seal_key *key)
{
    struct gate_sender *set = gate->sender[incarnation[0] % GATE_SETS], *oldest = NULL;

    for (unsigned i = 0; i < GATE_WAYS; i++)
        if (!set[i].is_member && (oldest == NULL || set[i].used < oldest->used))
            oldest = &set[i];
    assert(oldest != NULL);
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->incarnation, incarnation, sizeof oldest->incarnation);
    oldest->key = *key;
    return oldest;
}

static void add_member(struct gate *gate, const uint8_t *incarnation, const struct mesh_seal_key *key)
{
    const struct gate_sender *set = gate->sender[incarnation[0] % GATE_SETS];
    struct gate_sender *sender = find(gate, incarnation);
    unsigned member_count = 0;

    for (unsigned i = 0; i < GATE_WAYS; i++)
        member_count += set[i].is_member;
    if (member_count == GATE_WAYS - 1)
        return; /* of 64 members, hardly ever: this one is treated like anybody else */
    if (sender == NULL)
        sender = add(gate, incarnation, key);
    sender->used = ++gate->tick;
    sender->is_member = true;
}

/* Much older numbers count as seen. */
static bool has_number(const struct gate_sender *sender, uint64_t number)
{
    if (number > sender->highest)
        return false;
    if (sender->highest - number >= GATE_NUMBERS)
        return true;
    return sender->numbers[number / 64 % (GATE_NUMBERS / 64)] >> number % 64 & 1;
}

static void note_number(struct gate_sender *sender, uint64_t number)
{
    if (number > sender->highest) {
        const uint64_t steps = number - sender->highest;

        if (steps >= GATE_NUMBERS)
            memset(sender->numbers, 0, sizeof sender->numbers);
        for (uint64_t i = 1; i < steps && steps < GATE_NUMBERS; i++) {
            const uint64_t skipped = sender->highest + i;

            sender->numbers[skipped / 64 % (GATE_NUMBERS / 64)] &= ~(UINT64_C(1) << skipped % 64);
        }
        sender->highest = number;
    }
    sender->numbers[number / 64 % (GATE_NUMBERS / 64)] |= UINT64_C(1) << number % 64;
}

/* ---- the gate ---- */

static bool put(struct gate *gate, const struct look *look, const uint8_t *packet)
{
    return inbox_ring_put(&gate->ring, look->from, packet, look->bytes) || count(&gate->stats.full);
}

/* Checks the readable header: is it of this protocol, and protected by the mode in use? */
static bool has_form(struct gate *gate, struct look *look)
{
    const unsigned both = MESH_FLAG_AUTHENTICATED | MESH_FLAG_SEALED;
    const unsigned wanted = gate->security == MESH_SECURITY_SEAL   ? both
                            : gate->security == MESH_SECURITY_AUTH ? MESH_FLAG_AUTHENTICATED
                                                                   : 0;

    if (look->bytes > INBOX_RING_BYTES || mesh_wire_decode_header(look->packet, look->bytes, &look->header) != MESH_OK)
        return refuse(gate, look, MESH_SEAL_FOREIGN, MESH_SESSION_BY_FORM);
    if ((look->header.flags & MESH_FLAGS_OF_SEALING) == wanted) /* AES is only used in epochs */
        return true;
    return (look->header.flags & MESH_FLAG_AUTHENTICATED) != 0 ? refuse(gate, look, MESH_SEAL_MODE, MESH_SESSION_BY_MODE)
                                                               : refuse(gate, look, MESH_SEAL_PLAIN, MESH_SESSION_BY_PLAIN);
}

static bool is_same(const struct mesh_addr *a, const struct mesh_addr *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* The main thread verifies its tag, so an attacker on the path can forge such datagrams. They leave half of the ring to members. */
static bool take_session(struct gate *gate, const struct look *look)
{
    const uint32_t session = look->header.epoch & ~MESH_SESSION_EPOCH;
    enum mesh_session_refusal why = MESH_SESSION_BY_UNKNOWN;

    for (unsigned i = 0; i < gate->session_count; i++) {
        const struct mesh_session_peer *place = &gate->session[i];

        if (place->session != session)
            continue;
        if (is_same(&place->addr, &look->from))
            return inbox_ring_is_half_full(&gate->ring) ? count(&gate->stats.full) : put(gate, look, look->packet);
        why = MESH_SESSION_BY_SENDER;
    }
    return count(&gate->stats.clients[why]);
}

/* Queue a datagram with a valid tag; its sender is known from now on. */
static bool take_tagged(struct gate *gate, uint64_t now_ns, const struct look *look)
{
    const uint8_t *incarnation = look->packet + MESH_HEADER_BYTES;
    struct gate_sender *sender = find(gate, incarnation);
    uint8_t opened[INBOX_RING_BYTES];
    struct mesh_seal_key key;
    bool is_good;

    if (sender != NULL && has_number(sender, look->header.number))
        return count(look->is_call ? &gate->stats.clients[MESH_SESSION_BY_REPLAY] : &gate->stats.replay);
    if (sender == NULL && !may_try(gate, now_ns, &look->from))
        return count(&gate->stats.rate);
    if (sender != NULL)
        key = sender->key;
    else if (mesh_seal_key_of_process(&key, gate->key, gate->cluster, incarnation) != MESH_OK)
        return refuse(gate, look, MESH_SEAL_TAG, MESH_SESSION_BY_TAG);
    memcpy(opened, look->packet, look->bytes);
    is_good = mesh_open_packet(&key, gate->security, opened, look->bytes) == MESH_OK;
    if (is_good && sender == NULL)
        sender = add(gate, incarnation, &key);
    mesh_wipe(&key, sizeof key);
    if (!is_good)
        return refuse(gate, look, MESH_SEAL_TAG, MESH_SESSION_BY_TAG);
    sender->used = ++gate->tick;
    if (!put(gate, look, look->is_call ? look->packet : opened))
        return false;
    note_number(sender, look->header.number);
    return true;
}

static bool take(struct gate *gate, uint64_t now_ns, struct look *look)
{
    look->is_call = mesh_session_is_of_one(look->packet, look->bytes);
    if (!has_form(gate, look))
        return false;
    if ((look->header.epoch & MESH_SESSION_EPOCH) != 0)
        return take_session(gate, look);
    if (look->is_call ? look->header.type != MESH_TYPE_CALL : look->header.type < MESH_TYPE_ASK)
        return refuse(gate, look, MESH_SEAL_FOREIGN, MESH_SESSION_BY_FORM);
    if (look->header.number == 0 || look->bytes < MESH_HEADER_BYTES + MESH_INCARNATION_BYTES)
        return refuse(gate, look, MESH_SEAL_FOREIGN, MESH_SESSION_BY_FORM);
    return gate->security == MESH_SECURITY_NONE ? put(gate, look, look->packet) : take_tagged(gate, now_ns, look);
}

bool gate_take(struct gate *gate, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes)
{
    struct look look = {.from = from, .packet = packet, .bytes = bytes};
    bool is_in;

    lock(gate);
    is_in = take(gate, now_ns, &look);
    unlock(gate);
    return is_in;
}

/* ---- hints ---- */

bool gate_tell_unreachable(struct gate *gate, struct mesh_addr addr)
{
    bool is_new;

    lock(gate);
    is_new = gate->unreachable_count < GATE_UNREACHABLE;
    for (unsigned i = 0; i < gate->unreachable_count && is_new; i++)
        is_new = !is_same(&gate->unreachable[i], &addr);
    if (is_new)
        gate->unreachable[gate->unreachable_count++] = addr;
    unlock(gate);
    return is_new;
}

bool gate_next_unreachable(struct gate *gate, struct mesh_addr *addr)
{
    bool is_there;

    lock(gate);
    is_there = gate->unreachable_count > 0;
    if (is_there)
        *addr = gate->unreachable[--gate->unreachable_count];
    unlock(gate);
    return is_there;
}

/* ---- main thread ---- */

void gate_set_sessions(struct gate *gate, const struct mesh_session_peer *places, unsigned place_count)
{
    lock(gate);
    memcpy(gate->session, places, place_count * sizeof *places);
    gate->session_count = place_count;
    unlock(gate);
}

void gate_set_members(struct gate *gate, const struct mesh_cluster_member *members, unsigned count)
{
    struct mesh_seal_key keys[MESH_RANKS_MAX];
    bool is_known[MESH_RANKS_MAX];

    assert(count <= MESH_RANKS_MAX);
    if (gate->security == MESH_SECURITY_NONE)
        return;
    for (unsigned i = 0; i < count; i++)
        is_known[i] = mesh_seal_key_of_process(&keys[i], gate->key, gate->cluster, members[i].incarnation) == MESH_OK;
    lock(gate);
    for (unsigned set = 0; set < GATE_SETS; set++)
        for (unsigned way = 0; way < GATE_WAYS; way++)
            gate->sender[set][way].is_member = false;
    for (unsigned i = 0; i < count; i++)
        if (is_known[i])
            add_member(gate, members[i].incarnation, &keys[i]);
    unlock(gate);
    mesh_wipe(keys, sizeof keys);
}

void gate_get_stats(struct gate *gate, struct gate_stats *stats)
{
    lock(gate);
    *stats = gate->stats;
    unlock(gate);
}
