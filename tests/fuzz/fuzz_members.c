/* Any datagrams into a member of a cluster, between calls of its application, in any order.
 *
 * The input is a list of operations, each a byte and its arguments (see `operations`). The member is one of three; it is restored from a
 * copy of its memory for each input. Some operations make datagrams that a random input never hits upon: plans that name this member,
 * commits with the nonce it gave and the right id, joins with its cookie. No assertion may fire; a dropped datagram and a stranger without
 * a cookie change nothing; numbers of epochs grow, and each list names this member once, at its own rank. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/simmembers.h"

enum { PLACES = 3, SENDERS = 5, PACKET_MAX = MESH_DATAGRAM_BYTES_MIN, NOTES_MAX = 4000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct simmembers members;
static struct mesh_cluster *cluster;
static void *fresh; /* the member's memory before each input */
static uint64_t fresh_now_ns, now_ns, number;
static uint32_t epoch, fresh_epoch;
static uint16_t place; /* of the member */

/* The senders: the two other members, and strangers. */
static uint8_t senders[SENDERS][16];

/* The member's latest messages, for inputs that answer them. */
static struct mesh_message vote, cookie, plan;
static bool has_vote, has_cookie, has_plan;

/* Neither a member nor a process that may have shown a cookie. */
static bool is_stranger(const uint8_t incarnation[16])
{
    struct mesh_cluster_event now;

    mesh_cluster_get_epoch(cluster, &now);
    for (uint16_t i = 0; i < now.member_count; i++)
        if (memcmp(now.members[i].incarnation, incarnation, 16) == 0)
            return false;
    return now.member_count > 1 && !has_cookie;
}

static void check_epoch(const struct mesh_cluster_event *event)
{
    require(event->number > epoch);
    epoch = event->number;
    require(event->own_rank >= 0 && event->own_rank < event->member_count && event->member_count <= MESH_RANKS_MAX);
    for (uint16_t i = 0; i < event->member_count; i++)
        for (uint16_t k = 0; k < i; k++)
            require(memcmp(event->members[i].incarnation, event->members[k].incarnation, 16) != 0);
    require(memcmp(event->members[event->own_rank].incarnation, members.at[place].config.incarnation, 16) == 0);
}

static void drain(void)
{
    static uint8_t packet[PACKET_MAX];
    struct mesh_cluster_event event;
    struct mesh_output output;
    struct mesh_message message;

    while (mesh_cluster_next_event(cluster, &event))
        if (event.type == MESH_CLUSTER_EPOCH)
            check_epoch(&event);
    for (unsigned count = 0; mesh_cluster_next_datagram(cluster, now_ns, packet, sizeof packet, &output); count++) {
        require(count < NOTES_MAX && output.bytes <= PACKET_MAX && output.ranks == 0);
        require(mesh_wire_decode(packet, output.bytes, &message) == 0);
        if (message.header.type == MESH_TYPE_VOTE && message.as.vote.answer == MESH_ANSWER_YES) {
            vote = message;
            has_vote = true;
        } else if (message.header.type == MESH_TYPE_COOKIE) {
            cookie = message;
            has_cookie = true;
        }
    }
}

static void receive(uint16_t from, const uint8_t *packet, size_t bytes)
{
    static struct mesh_message message;
    bool is_read = mesh_wire_decode(packet, bytes, &message) == 0;
    bool is_question = is_read && (message.header.type == MESH_TYPE_ASK ||
                                   (message.header.type == MESH_TYPE_ALIVE && message.as.alive.state == MESH_ALIVE_ASKS));
    bool is_harmless = is_question && is_stranger(message.as.ask.incarnation);
    bool is_list = bytes > 3 && (packet[3] == MESH_TYPE_PLAN || packet[3] == MESH_TYPE_COMMIT); /* parts of lists are kept */
    uint32_t before = mesh_cluster_state_hash(cluster);
    int err = mesh_cluster_receive(cluster, now_ns, mesh_sim_addr(from), packet, bytes);

    require(err != MESH_AGAIN);
    require(!err || is_list || before == mesh_cluster_state_hash(cluster));
    require(!is_harmless || before == mesh_cluster_state_hash(cluster));
    drain();
}

static void say(struct input *input, struct mesh_message *message, unsigned sender)
{
    uint8_t packet[PACKET_MAX];

    number += 1 + take(input, 1) % 3;
    message->header =
        (struct mesh_header){.magic = MESH_WIRE_MAGIC, .version = MESH_WIRE_VERSION, .type = message->header.type, .number = number};
    memcpy(&message->as, senders[sender], 16);
    receive((uint16_t)(10 + sender), packet, mesh_wire_encode(message, packet, sizeof packet));
}

/* The input's bytes as a datagram. */
static void receive_raw(struct input *input)
{
    size_t bytes = take(input, 2), left = (size_t)(input->end - input->at);

    bytes = bytes < left ? bytes : left;
    receive(3, input->at, bytes);
    input->at += bytes;
}

/* With a valid header and sender, so that the body is examined. */
static void receive_body(struct input *input)
{
    uint8_t packet[PACKET_MAX + 100] = {MESH_WIRE_MAGIC & 255, MESH_WIRE_MAGIC >> 8, MESH_WIRE_VERSION};
    unsigned type = MESH_TYPE_ASK + (unsigned)take(input, 1) % (MESH_TYPE_COUNT - MESH_TYPE_ASK);
    unsigned sender = (unsigned)take(input, 1) % SENDERS;
    const struct mesh_wire_part *part = mesh_wire_message(type);
    size_t bytes, left;

    if (part == NULL)
        return; /* a number that no message has */
    bytes = part->wire_bytes;
    if (part->tail == MESH_TAIL_MEMBERS)
        bytes += (take(input, 1) % (MESH_PART_MEMBERS_MAX + 1)) * MESH_MEMBER_BYTES;
    number += 1 + take(input, 1) % 3;
    packet[3] = (uint8_t)type;
    for (unsigned i = 0; i < 8; i++)
        packet[16 + i] = (uint8_t)(number >> (8 * i));
    memcpy(packet + MESH_HEADER_BYTES, senders[sender], 16);
    left = (size_t)(input->end - input->at);
    left = bytes - 16 < left ? bytes - 16 : left;
    memcpy(packet + MESH_HEADER_BYTES + 16, input->at, left);
    input->at += left;
    receive((uint16_t)(10 + sender), packet, MESH_HEADER_BYTES + bytes);
}

static void pass_time(struct input *input)
{
    now_ns += take(input, 2) * 10000;
    mesh_cluster_tick(cluster, now_ns);
    drain();
}

/* ---- datagrams that fit the state ---- */

static void put_member(struct mesh_member *member, const uint8_t incarnation[16], uint16_t port)
{
    struct mesh_addr addr = mesh_sim_addr(port);

    memset(member, 0, sizeof *member);
    memcpy(member->incarnation, incarnation, sizeof member->incarnation);
    memcpy(member->ip, addr.ip, sizeof member->ip);
    member->port = addr.port;
}

/* A plan of another member that names this one. */
static void make_plan(struct input *input)
{
    unsigned sender = (unsigned)take(input, 1) % 2, more = (unsigned)take(input, 1) % 4;
    struct mesh_cluster_event now;

    mesh_cluster_get_epoch(cluster, &now);
    memset(&plan, 0, sizeof plan);
    plan.header.type = MESH_TYPE_PLAN;
    plan.as.plan = (struct mesh_plan){.stage = (uint8_t)(1 + take(input, 1) % 3),
                                      .number = (epoch + 1 + (uint32_t)take(input, 1) % 3) % MESH_EPOCH_MAX,
                                      .round = 1 + (uint32_t)take(input, 1),
                                      .rank = (uint16_t)(take(input, 1) % 2),
                                      .total = (uint16_t)(2 + more),
                                      .member_count = (uint16_t)(2 + more)};
    if (!plan.as.plan.number)
        return;
    memcpy(plan.as.plan.proposer, senders[sender], 16);
    memcpy(plan.as.plan.id, now.id, sizeof now.id);
    put_member(&plan.members[0], senders[sender], (uint16_t)(10 + sender));
    put_member(&plan.members[1], members.at[place].config.incarnation, place);
    for (unsigned i = 0; i < more; i++)
        put_member(&plan.members[2 + i], senders[1 - sender + i], (uint16_t)(11 - sender + i));
    for (unsigned i = 0; i < more; i++)
        if (memcmp(plan.members[2 + i].incarnation, senders[sender], 16) == 0)
            put_member(&plan.members[2 + i], senders[SENDERS - 1], 10 + SENDERS - 1);
    has_plan = true;
    say(input, &plan, sender);
}

/* Its COMMIT, with the nonce that this member gave, and the matching id. */
static void make_commit(struct input *input)
{
    uint8_t bytes[16 + 8 * MESH_MEMBER_BYTES] = "mesh epoch";
    struct mesh_message commit = plan;
    unsigned count = plan.as.plan.total;

    if (!has_plan || !has_vote || vote.as.vote.round != plan.as.plan.round || vote.as.vote.number != plan.as.plan.number)
        return;
    commit.header.type = MESH_TYPE_COMMIT;
    commit.as.commit.stage = MESH_STAGE_COMMIT;
    memcpy(commit.members[1].nonce, vote.as.vote.nonce, 16);
    commit.members[0].nonce[3] = (uint8_t)take(input, 1);
    for (unsigned i = 0; i < 4; i++)
        bytes[10 + i] = (uint8_t)(commit.as.commit.number >> (8 * i));
    bytes[14] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++)
        mesh_wire_encode_member(&commit.members[i], bytes + 16 + i * MESH_MEMBER_BYTES);
    members.at[place].config.hash(bytes, 16 + count * MESH_MEMBER_BYTES, commit.as.commit.id);
    say(input, &commit, (unsigned)take(input, 1) % SENDERS);
}

static void make_join(struct input *input)
{
    struct mesh_message join = {.header.type = MESH_TYPE_JOIN, .as.join = {.nonce = 1 + take(input, 1)}};

    if (!has_cookie)
        return;
    memcpy(join.as.join.cookie, cookie.as.cookie.cookie, 16);
    memcpy(join.as.join.cluster, members.at[place].config.cluster, 16);
    memcpy(join.as.join.fingerprint, members.at[place].config.fingerprint, 32);
    say(input, &join, (unsigned)take(input, 1) % SENDERS);
}

static void make_ask(struct input *input)
{
    struct mesh_message ask = {.header.type = MESH_TYPE_ASK,
                               .as.ask = {.nonce = 1 + take(input, 1), .members = (uint16_t)(1 + take(input, 1) % 64)}};

    memcpy(ask.as.ask.cluster, members.at[place].config.cluster, 16);
    memcpy(ask.as.ask.fingerprint, members.at[place].config.fingerprint, 32);
    say(input, &ask, (unsigned)take(input, 1) % SENDERS);
}

/* ---- the application ---- */

static void call(struct input *input)
{
    const uint32_t shares[MESH_RANKS_MAX] = {1, 2, 3};
    struct mesh_cluster_event now;
    uint64_t argument;
    struct mesh_addr addr;

    switch (take(input, 1) % 8) {
    case 0:
        mesh_cluster_suspect(cluster, now_ns, (uint16_t)take(input, 1));
        break;
    case 1:
        mesh_cluster_heard(cluster, now_ns, (uint16_t)take(input, 1));
        break;
    case 2:
        mesh_cluster_ready(cluster, now_ns, (uint32_t)take(input, 1));
        break;
    case 3:
        mesh_cluster_get_epoch(cluster, &now);
        mesh_cluster_propose_shares(cluster, now_ns, shares, now.member_count);
        break;
    case 4:
        argument = take(input, 1);
        if (argument > 200)
            mesh_cluster_leave(cluster, now_ns);
        break;
    case 5:
        addr = mesh_sim_addr((uint16_t)(10 + take(input, 1) % 90));
        mesh_cluster_join(cluster, now_ns, &addr, 1);
        break;
    case 6:
        mesh_cluster_set_summary(cluster, take(input, 8));
        break;
    default:
        mesh_cluster_set_speed(cluster, (uint32_t)take(input, 4));
    }
    drain();
}

static void (*const operations[])(struct input *input) = {receive_raw, receive_body, receive_body, pass_time, make_plan,
                                                          make_commit, make_join,    make_ask,     call};

static void start(void)
{
    struct mesh_sim_link link = simmembers_link();
    struct mesh_cluster_event now;

    simmembers_open(&members, PLACES, 1, &link);
    simmembers_form(&members);
    place = simmembers_place(&members, 1); /* it coordinates when rank 0 is gone */
    cluster = members.at[place].cluster;
    mesh_cluster_get_epoch(cluster, &now);
    fresh_epoch = now.number;
    memcpy(senders[0], now.members[0].incarnation, 16);
    memcpy(senders[1], now.members[2].incarnation, 16);
    for (unsigned i = 2; i < SENDERS; i++)
        memset(senders[i], (int)(100 + i), 16);
    fresh_now_ns = simmembers_clock(&members, place);
    fresh = malloc(mesh_cluster_memory_bytes());
    require(fresh != NULL);
    memcpy(fresh, cluster, mesh_cluster_memory_bytes());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};

    if (!cluster)
        start();
    memcpy((void *)cluster, fresh, mesh_cluster_memory_bytes());
    now_ns = fresh_now_ns;
    number = 100000;
    epoch = fresh_epoch;
    has_vote = has_cookie = has_plan = false;
    drain();
    while (input.at < input.end)
        operations[take(&input, 1) % (sizeof operations / sizeof *operations)](&input);
    return 0;
}
