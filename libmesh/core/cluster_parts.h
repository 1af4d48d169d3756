/* The inside of the cluster core, shared by its files and by nobody else.
 *
 * One struct mesh_cluster with everything in it. Each mechanism has a file of its own, which alone changes the fields named after it:
 *
 *   cluster.c           configuration, dispatch, time, calls   cluster_plan.c      coordinating: what is to change, and when
 *   cluster_peer.c      members and joiners, what they said    cluster_ballot.c    coordinating: asking, counting votes, committing
 *   cluster_epoch.c     installing an epoch, being evicted     cluster_vote.c      the other side: plans of others, promises, commits
 *   cluster_list.c      lists, their parts, their hash         cluster_suspect.c   who is dead
 *   cluster_contact.c   addresses that are asked now and then  cluster_alive.c     signs of life
 *   cluster_admission.c strangers: cookies, JOINs, denials     cluster_output.c    what waits to be sent
 *   cluster_joining.c   the other side: asking to be taken in  cluster_event.c     events, reasons in words
 *   cluster_response.c  how long a suspect has to answer       cluster_state.c     the state hash
 *
 * A new member that decides how the core behaves belongs to cluster_state.c; tests/unit/test_state_hash.c lists all members.
 *
 * Nothing is sent or told from within: messages go to the outgoing queue, events to theirs. */
#ifndef MESH_CLUSTER_PARTS_H
#define MESH_CLUSTER_PARTS_H

#include "mesh/cluster.h"
#include "mesh/wire.h"

enum {
    CLUSTER_PEERS_MAX = 128, /* 63 members and as many joiners */
    CLUSTER_CONTACTS_MAX = 128,
    CLUSTER_OUTGOING_MAX = 512,
    CLUSTER_LOG_MAX = 160, /* twice as many members as an epoch can lose or regain, and some more */
    CLUSTER_GIVEN_MAX = 8,
    CLUSTER_BANS_MAX = 32,
    CLUSTER_STRIKES_MAX = 32,
    CLUSTER_MISTAKES_MAX = 64,
    CLUSTER_TRIES_MAX = 20, /* plans given up, each within a second of the one before, that are counted */
    CLUSTER_ANSWERS = 8,    /* times of answering that are remembered */
    CLUSTER_NUMBERS = 512,  /* received numbers remembered per sender */
    CLUSTER_ASKED = 1024,   /* times of questions that are remembered: four seconds of the largest epoch */
};

#define CLUSTER_MS UINT64_C(1000000)
#define CLUSTER_S  UINT64_C(1000000000)

#define CLUSTER_PING_NS    (250 * CLUSTER_MS)  /* between signs of life */
#define CLUSTER_SILENT_NS  (1500 * CLUSTER_MS) /* without one: suspected */
#define CLUSTER_PAUSE_NS   (300 * CLUSTER_MS)  /* called so much too late: the process was stopped */
#define CLUSTER_URGENT_NS  (20 * CLUSTER_MS)   /* time to vote, at least, when members are dead; 8 times of answering, if that is longer */
#define CLUSTER_PLANNED_NS (250 * CLUSTER_MS)  /* and otherwise: the old epoch goes on meanwhile */
#define CLUSTER_PROMISE_NS (30 * CLUSTER_MS)   /* how long a promise holds after the last sign of its ballot */
#define CLUSTER_RTT_NS_MAX (200 * CLUSTER_MS)  /* longer times are no property of the path */
#define CLUSTER_AHEAD_NS   (100 * CLUSTER_MS)  /* a member of a newer epoch has so long to let us in */

/* Numbers of epochs are believed up to here: at an epoch a second no cluster gets so far, and a single lie must not use up the rest. After
 * a lie members go on above it, so others are believed, too, that are not far above the own epoch. */
#define CLUSTER_NUMBER_BELIEVED (MESH_EPOCH_MAX / 2)
#define CLUSTER_NUMBER_AHEAD    65536 /* others may be in an epoch so far above both */
#define CLUSTER_NUMBER_LEAP     1000  /* proposers that give way to one another get this far above that at most */

/* A ballot. Higher is the one with the higher number, then the lower rank of the proposer, its lower incarnation, its later round. */
struct cluster_ballot {
    uint32_t number, round;
    uint16_t rank;
    uint8_t proposer[16];
};

struct cluster_list {
    unsigned count;
    struct mesh_cluster_member members[MESH_RANKS_MAX];
};

struct cluster_epoch {
    bool is_seeking; /* no epoch: number is the last one's, id is drawn, and the list is this process alone */
    uint32_t number;
    uint8_t id[16], id_before[16];
    struct cluster_ballot ballot;
    uint16_t rank;
    uint64_t since_ns;
    struct cluster_list list;
};

/* By what two clusters that meet compare: the better one takes the other's members in. */
struct cluster_standing {
    uint16_t members;
    uint32_t number;
    uint8_t first[16], id[16];
};

/* A list that arrives in parts. */
struct cluster_assembly {
    enum mesh_stage stage; /* 0: none */
    struct cluster_ballot ballot;
    uint8_t id[16];
    uint64_t have; /* bits of the list */
    uint64_t at_ns;
    struct cluster_list list;
};

enum cluster_liveness {
    CLUSTER_TRUSTED,
    CLUSTER_SUSPECTED, /* by this process, or not answering it in time */
    CLUSTER_ASKING,    /* asked once more */
    CLUSTER_DEAD,      /* has not answered */
    CLUSTER_GONE       /* has said that it is in another epoch */
};

/* An answer that was late. */
struct cluster_late {
    uint64_t at_ns, took_ns; /* 0: none */
};

/* A member of the epoch, or a joiner. */
struct cluster_peer {
    bool is_used;
    uint8_t incarnation[16];
    struct mesh_addr addr;
    uint64_t since_ns; /* it is known */
    int16_t rank;      /* -1: no member */

    bool is_fresh;    /* it has answered this process since it came: what it sent before that is not taken any more */
    uint64_t highest; /* received number */
    uint64_t numbers[CLUSTER_NUMBERS / 64];

    /* what it said of itself, in the datagram state_number */
    uint64_t state_number;
    bool is_in;        /* in this epoch */
    bool is_leaving;   /* the epoch */
    bool is_ahead;     /* in a newer one, of which this process may be a member, too */
    uint64_t ahead_ns; /* since then */
    uint32_t speed, flags;

    uint64_t heard_ns, ping_at_ns, mesh_heard_ns;
    uint64_t confirmed_ns;                        /* when the coordinator said that it is alive */
    uint64_t rtt_ns;                              /* smoothed; 0: not measured */
    uint64_t answer_ns[CLUSTER_ANSWERS], answers; /* the last ones, and how many there were in all */
    struct cluster_late late[2];                  /* the slowest of the last ten minutes */

    enum cluster_liveness liveness;
    uint64_t asked_ns, asked_until_ns, ask_at_ns;
    bool is_out;       /* dead by decision: it may well answer */
    uint64_t accusers; /* ranks that wait for a verdict */
    uint64_t deaf;     /* those of them that have not heard it for long */

    uint8_t commit_due; /* parts of the epoch's list to be written to it */
    uint64_t commit_ns;

    bool is_joining, needs_check;
    uint64_t join_nonce, join_ns, join_heard_ns;
    uint32_t join_number;
};

struct cluster_contact {
    bool is_used, is_seed, is_met;
    bool is_self;    /* a group: the last question to it came back, since this process has joined it, too */
    bool is_lost;    /* was a member's */
    bool is_by_move; /* learnt from another member: the others know, too */
    bool is_group;   /* a multicast group: several processes answer a question */
    bool has_cookie; /* its last question */
    struct mesh_addr addr;
    uint64_t at_ns, interval_ns, since_ns; /* since: silent */
    uint64_t denied_ns;                    /* from the last DENY to the next question; 0: the last answer was none */
    uint64_t met_ns;
    uint64_t nonce, asked_number; /* of the last question; nonce 0: it was answered */
    uint64_t group_nonce;         /* of a group: the same once it was answered, since others may answer, too */
    uint16_t denied;              /* the last reason that was told; of a group: a bit for each that was */
};

/* Asking one cluster to be taken in. */
struct cluster_joining {
    bool is_active, is_waiting;
    bool is_guess;              /* addr is where a COOKIE seemed to come from: for one JOIN, then it is via */
    bool is_unsure;             /* the last COOKIE seemed to come from elsewhere than addr, which is not told as the coordinator's */
    struct mesh_addr addr, via; /* of the coordinator, and of the process that named it */
    uint8_t cookie[16];
    uint64_t nonce;
    struct cluster_standing standing;
    uint64_t at_ns, interval_ns, until_ns;
    unsigned redirects;
    uint64_t backoff_until_ns; /* none before that */
    uint16_t denied;           /* the last reason that was told */
};

struct cluster_plan {
    enum mesh_stage stage; /* 0: none */
    bool is_urgent, prepares;
    struct cluster_ballot ballot;
    uint8_t id[16]; /* COMMIT */
    struct cluster_list list;
    int16_t self;                    /* own index; -1: leaving */
    uint64_t lost;                   /* ranks that are dead or gone, when it began */
    uint64_t leavers, leavers_ready; /* ranks of the epoch */
    uint64_t voted, known;           /* bits of the list: said yes; have the plan */
    uint64_t heard[MESH_RANKS_MAX];  /* CHECK: for each of the list, which of them it hears */
    uint8_t nonces[MESH_RANKS_MAX][16];
    uint8_t due[MESH_RANKS_MAX];        /* parts to be written, by place in the list */
    uint8_t leaver_due[MESH_RANKS_MAX]; /* by rank */
    uint64_t repeat_at_ns, repeat_ns, deadline_ns;
    unsigned repeats;
    uint64_t backoff_until_ns; /* no plan before that: somebody else has one */
    unsigned tries;            /* ballots given up, each within a second of the one before, also if others passed in between */
    uint64_t stopped_ns;       /* the last of them */
    bool has_shares;
    uint32_t shares[MESH_RANKS_MAX]; /* of the epoch's members */
    unsigned answered;               /* of many, when it was last repeated, or would have been */
};

/* A nonce that was given to a ballot. */
struct cluster_given {
    struct cluster_ballot ballot; /* number 0: unused */
    uint8_t nonce[16];
};

struct cluster_vote {
    struct cluster_ballot promised;
    uint64_t promised_until_ns;
    struct cluster_given given[CLUSTER_GIVEN_MAX];
    unsigned given_next;
    struct cluster_assembly plan, commit;
    struct mesh_addr plan_from;
    uint64_t other_plan_until_ns; /* until then the cluster it joins has a plan with this process, and plans of the own one do not count */

    /* CHECK: which of the list are heard */
    bool is_checking;
    struct cluster_ballot checked;
    uint64_t heard, check_from_ns, check_at_ns;

    /* PREPARE */
    uint32_t token;                      /* of the last PREPARE event */
    bool is_preparing, is_ready, is_own; /* own: of cluster_plan */
    struct cluster_ballot prepared;
    struct mesh_addr prepared_from;

    /* agreed, but no COMMIT has come */
    unsigned await_tries;
    uint64_t await_at_ns, await_ns;
};

/* To the lowest rank that is not suspected. */
struct cluster_report {
    bool is_active;
    uint16_t rank;
    uint64_t at_ns, interval_ns, until_ns;
};

/* A suspicion between two that was wrong. */
struct cluster_strike {
    uint8_t by[16], of[16];
    unsigned count;
    uint64_t first_ns, last_ns;
};

/* A process that was taken for dead, and how often wrongly. */
struct cluster_mistakes {
    uint8_t incarnation[16];
    uint64_t lost_ns; /* 0: unused */
    unsigned count;   /* one less for each minute after last_ns */
    uint64_t last_ns;
    struct cluster_late late[2]; /* as it was known when it was lost */
};

/* A process that was not taken in, or was excluded since another member cannot hear it. */
struct cluster_ban {
    uint8_t incarnation[16];
    uint64_t number, until_ns; /* datagrams up to number are old; JOINs before that time are denied */
    uint64_t starved_ns;       /* how long it was kept out as one of two that starve one another; 0: it was not */
    uint16_t unheard;
    bool needs_check;
    bool is_starved; /* it is kept out for that, and for nothing that came later */
};

union cluster_body {
    struct mesh_ask ask;
    struct mesh_cookie cookie;
    struct mesh_deny deny;
    struct mesh_join join;
    struct mesh_invite invite;
    struct mesh_move move;
    struct mesh_vote vote;
    struct mesh_suspect suspect;
    struct mesh_verdict verdict;
    struct mesh_alive alive;
};

/* A small message that waits to be sent. */
struct cluster_outgoing {
    struct mesh_addr to;
    enum mesh_type type;
    union cluster_body as;
};

struct cluster_logged {
    enum mesh_cluster_event_type type;
    uint16_t rank, reason;
    bool has_left;
    struct mesh_addr addr, unheard;
    uint8_t incarnation[16];
    uint64_t found, expected;
};

struct mesh_cluster {
    struct mesh_cluster_config config; /* config.seeds: NULL */
    struct mesh_addr addr;             /* own; all zero: not known yet */
    uint64_t now_ns, due_ns, sent_ns;
    uint64_t woke_ns;       /* the process was stopped until then */
    uint64_t number, draws; /* of the last datagram; of random values drawn */
    uint64_t settle_at_ns;
    uint64_t summary;
    uint32_t number_floor; /* highest epoch number that was heard of */
    uint32_t round;
    bool is_leaving, is_left;
    uint64_t leave_at_ns; /* next time it is said */
    struct mesh_cluster_stats stats;

    struct cluster_epoch epoch;
    struct cluster_peer peers[CLUSTER_PEERS_MAX];
    int16_t peer_of[MESH_RANKS_MAX]; /* by rank; -1: own */
    struct cluster_contact contacts[CLUSTER_CONTACTS_MAX];
    struct cluster_joining joining;
    struct cluster_plan plan;
    uint64_t gather_at_ns, gather_until_ns; /* 0: nobody wants to join */
    struct cluster_vote vote;
    uint64_t asked_ns[CLUSTER_ASKED], asked; /* when somebody was asked for a sign of life, ascending; how often in all */
    struct cluster_report report;
    struct cluster_strike strikes[CLUSTER_STRIKES_MAX];
    struct cluster_mistakes mistakes[CLUSTER_MISTAKES_MAX];
    struct cluster_late late[2]; /* this process itself, when it was called too late */
    struct cluster_ban bans[CLUSTER_BANS_MAX];
    unsigned ban_next;

    struct cluster_outgoing outgoing[CLUSTER_OUTGOING_MAX], outgoing_lost;
    unsigned outgoing_first, outgoing_count;
    unsigned part_turn; /* where the search for the next part of a list begins */

    struct cluster_logged log[CLUSTER_LOG_MAX];
    unsigned log_first, log_count;
    bool evicted_is_pending, prepare_is_pending, epoch_is_pending, left_is_pending;
    bool epoch_is_delivered; /* the application is in one, as far as it has been told */
    char reason[MESH_REASON_BYTES];

    uint8_t scratch[MESH_RANKS_MAX * MESH_MEMBER_BYTES + 64]; /* what is hashed */
};

/* A received message. peer: the sender, when it is known; NULL otherwise. */
struct cluster_input {
    struct mesh_addr from;
    const struct mesh_message *message;
    const uint8_t *incarnation;
    struct cluster_peer *peer;
    uint64_t number;
    bool is_newest; /* sent after all that has come of the peer: not played back */
};

/* ---- cluster.c ---- */
void mesh_cluster_arm(struct mesh_cluster *cluster, uint64_t at_ns); /* tick is needed at at_ns at the latest */
void mesh_cluster_draw(struct mesh_cluster *cluster, uint8_t out[16]);
uint64_t mesh_cluster_draw64(struct mesh_cluster *cluster); /* never 0 */
uint64_t mesh_cluster_draw_below(struct mesh_cluster *cluster, uint64_t limit);
bool mesh_cluster_same_addr(const struct mesh_addr *a, const struct mesh_addr *b);
bool mesh_cluster_has_addr(const struct mesh_addr *addr); /* not all zero */
static inline bool mesh_cluster_is_member(const struct cluster_peer *peer)
{
    return peer && peer->rank >= 0;
}

/* ---- cluster_peer.c ---- */
struct cluster_peer *mesh_cluster_peer_find(struct mesh_cluster *cluster, const uint8_t incarnation[16]);
struct cluster_peer *mesh_cluster_peer_at(struct mesh_cluster *cluster, unsigned rank); /* NULL: own */
struct cluster_peer *mesh_cluster_peer_add(struct mesh_cluster *cluster, const uint8_t incarnation[16],
                                           struct mesh_addr addr); /* NULL: full */
bool mesh_cluster_peer_has(const struct cluster_peer *peer, uint64_t number);
void mesh_cluster_peer_number(struct cluster_peer *peer, uint64_t number);
void mesh_cluster_peer_base(struct cluster_peer *peer, uint64_t number);              /* this datagram is fresh: all before it are old */
bool mesh_cluster_peer_is_at(const struct cluster_peer *peer, struct mesh_addr addr); /* false: a member with another address */
void mesh_cluster_peer_heard(struct mesh_cluster *cluster, const struct cluster_input *in); /* it is alive, if that is news */
/* A member says which epoch it is in. is_stranger: and that this process is not. */
void mesh_cluster_peer_state(struct mesh_cluster *cluster, struct cluster_peer *peer, uint64_t in_number, uint32_t number,
                             const uint8_t id[16], bool is_stranger);
uint32_t mesh_cluster_peer_limit(const struct mesh_cluster *cluster);        /* no higher number of an epoch is believed */
void mesh_cluster_peer_raise(struct mesh_cluster *cluster, uint32_t number); /* an epoch's number that somebody has */
uint64_t mesh_cluster_ranks_by_liveness(const struct mesh_cluster *cluster, enum cluster_liveness from,
                                        enum cluster_liveness to); /* mask of ranks */

/* ---- cluster_output.c ---- */
/* The message to fill in, zero but for the sender's incarnation; valid until the next call. */
void *mesh_cluster_enqueue(struct mesh_cluster *cluster, struct mesh_addr to, enum mesh_type type);

/* ---- cluster_list.c ---- */
int mesh_cluster_ballot_compare(const struct cluster_ballot *a, const struct cluster_ballot *b); /* > 0: a is higher */
bool mesh_cluster_ballot_same(const struct cluster_ballot *a, const struct cluster_ballot *b);
int mesh_cluster_list_find(const struct cluster_list *list, const uint8_t incarnation[16]); /* -1: not in it */
void mesh_cluster_list_id(struct mesh_cluster *cluster, const struct cluster_list *list, uint32_t number, uint8_t id[16]);
void mesh_cluster_join_nonce(uint64_t nonce, uint8_t out[16]); /* a JOIN's nonce, as it stands in a PLAN */
unsigned mesh_cluster_list_parts(const struct cluster_list *list);
void mesh_cluster_member_to_wire(const struct mesh_cluster_member *member, struct mesh_member *wire);
void mesh_cluster_list_write(const struct cluster_list *list, unsigned part, struct mesh_message *message);
uint64_t mesh_cluster_mask(unsigned count); /* the lowest bits */
unsigned mesh_cluster_count(uint64_t mask); /* of bits that are set; the compiler's own is not in every core's library */
/* Take a part in. 0: complete; MESH_AGAIN: not yet; MESH_ERANGE: it does not fit the others, or itself. */
int mesh_cluster_assemble(struct mesh_cluster *cluster, struct cluster_assembly *assembly, const struct cluster_input *in);

/* ---- cluster_epoch.c ---- */
void mesh_cluster_standing(const struct mesh_cluster *cluster, struct cluster_standing *standing);
bool mesh_cluster_is_better(const struct cluster_standing *a, const struct cluster_standing *b);
void mesh_cluster_install(struct mesh_cluster *cluster, const struct cluster_ballot *ballot, const uint8_t id[16],
                          const struct cluster_list *list);
void mesh_cluster_seek(struct mesh_cluster *cluster);  /* no epoch: alone for now */
void mesh_cluster_evict(struct mesh_cluster *cluster); /* the epoch is over for this process */
/* The lowest rank that is trusted, maybe the own one: it coordinates, or asks in the place of one that is suspected, but not dead yet.
 * mesh_cluster_is_coordinator still takes that one for the coordinator. */
uint16_t mesh_cluster_lowest_trusted(const struct mesh_cluster *cluster);

/* ---- cluster_contact.c ---- */
void mesh_cluster_contact_seed(struct mesh_cluster *cluster, const struct mesh_addr *addr, int *err);
void mesh_cluster_contact_learn(struct mesh_cluster *cluster, const struct mesh_addr *addr, bool is_by_move); /* ask it at once */
void mesh_cluster_contact_lost(struct mesh_cluster *cluster, const struct mesh_addr *addr);
bool mesh_cluster_contact_back(struct mesh_cluster *cluster, const struct mesh_addr *addr); /* it was lost */
struct cluster_contact *mesh_cluster_contact_by_nonce(struct mesh_cluster *cluster, uint64_t nonce);
struct cluster_contact *mesh_cluster_contact_by_number(struct mesh_cluster *cluster, uint64_t number, const struct mesh_addr *addr);
void mesh_cluster_contact_sent(struct mesh_cluster *cluster, uint64_t nonce, uint64_t number);
void mesh_cluster_contact_met(struct mesh_cluster *cluster, struct cluster_contact *contact);  /* it answers for another cluster */
void mesh_cluster_contact_same(struct mesh_cluster *cluster, struct cluster_contact *contact); /* a COOKIE of the own epoch has come */
bool mesh_cluster_contact_is_told(struct cluster_contact *contact, uint16_t reason);           /* it was before; from now on it is */
void mesh_cluster_contact_denied(struct mesh_cluster *cluster, struct cluster_contact *contact, bool is_lasting);
bool mesh_cluster_contact_self(struct mesh_cluster *cluster, uint64_t nonce); /* own question came back */
void mesh_cluster_contact_hurry(struct mesh_cluster *cluster);                /* ask all soon */
void mesh_cluster_contact_tick(struct mesh_cluster *cluster);

/* ---- cluster_admission.c ---- */
int mesh_cluster_admission_version(struct mesh_cluster *cluster, struct mesh_addr from, const struct mesh_header *header, size_t bytes);
int mesh_cluster_admission_ask(struct mesh_cluster *cluster, const struct cluster_input *in);
int mesh_cluster_admission_join(struct mesh_cluster *cluster, const struct cluster_input *in);
int mesh_cluster_admission_invite(struct mesh_cluster *cluster, const struct cluster_input *in);
void mesh_cluster_admission_tick(struct mesh_cluster *cluster);
void mesh_cluster_admission_deny(struct mesh_cluster *cluster, struct cluster_peer *joiner, enum mesh_deny_reason reason, uint64_t found,
                                 uint64_t expected, uint64_t ban_ns); /* not taken in: keep it out for a while */
bool mesh_cluster_admission_starves(const struct mesh_cluster *cluster, const uint8_t incarnation[16]); /* and is still kept out for it */
struct mesh_addr mesh_cluster_admission_starved_by(const struct mesh_cluster *cluster,
                                                   const struct cluster_peer *member); /* port 0: nobody */
void mesh_cluster_admission_exclude(struct mesh_cluster *cluster, const struct cluster_peer *member, uint16_t unheard, bool is_starved);
void mesh_cluster_where(const struct mesh_cluster *cluster, uint8_t ip[16], uint16_t *port);           /* of the coordinator */
struct mesh_addr mesh_cluster_addr(const uint8_t ip[16], uint16_t port, const struct mesh_addr *from); /* as it came in a message */

/* ---- cluster_joining.c ---- */
int mesh_cluster_joining_cookie(struct mesh_cluster *cluster, const struct cluster_input *in);
int mesh_cluster_joining_deny(struct mesh_cluster *cluster, const struct cluster_input *in);
int mesh_cluster_joining_move(struct mesh_cluster *cluster, const struct cluster_input *in);
bool mesh_cluster_joining_self(struct mesh_cluster *cluster, uint64_t nonce); /* own JOIN came back */
void mesh_cluster_joining_tick(struct mesh_cluster *cluster);

/* ---- cluster_plan.c ---- */
void mesh_cluster_plan_settle(struct mesh_cluster *cluster);                /* begin what there is to do, if anything */
void mesh_cluster_plan_checked(struct mesh_cluster *cluster, bool is_over); /* CHECK has all votes, or is over */
void mesh_cluster_plan_passed(struct mesh_cluster *cluster);                /* go on to the next stage */
void mesh_cluster_left(struct mesh_cluster *cluster);

/* ---- cluster_ballot.c ---- */
void mesh_cluster_ballot_start(struct mesh_cluster *cluster, enum mesh_stage stage); /* plan.list and the rest are filled in */
void mesh_cluster_ballot_stop(struct mesh_cluster *cluster);
uint32_t mesh_cluster_ballot_number(const struct mesh_cluster *cluster); /* of the next one */
int mesh_cluster_ballot_vote(struct mesh_cluster *cluster, const struct cluster_input *in);
void mesh_cluster_ballot_ack(struct mesh_cluster *cluster, const uint8_t incarnation[16], const uint8_t id[16]);
void mesh_cluster_ballot_ready(struct mesh_cluster *cluster); /* own vote for PREPARE */
void mesh_cluster_ballot_answered(struct mesh_cluster *cluster, struct cluster_peer *joiner, uint64_t origin_ns);
void mesh_cluster_ballot_tick(struct mesh_cluster *cluster);

/* ---- cluster_vote.c ---- */
int mesh_cluster_vote_plan(struct mesh_cluster *cluster, const struct cluster_input *in);
int mesh_cluster_vote_commit(struct mesh_cluster *cluster, const struct cluster_input *in);
void mesh_cluster_vote_heard(struct mesh_cluster *cluster, const struct cluster_input *in, uint64_t origin_ns);
void mesh_cluster_vote_tick(struct mesh_cluster *cluster);
const uint8_t *mesh_cluster_vote_nonce(struct mesh_cluster *cluster, const struct cluster_ballot *ballot);
void mesh_cluster_vote_prepare(struct mesh_cluster *cluster, bool is_own); /* tell the application */
void mesh_cluster_vote_installed(struct mesh_cluster *cluster);
void mesh_cluster_vote_ready(struct mesh_cluster *cluster);

/* ---- cluster_response.c ---- */
void mesh_cluster_response_add(struct mesh_cluster *cluster, struct cluster_peer *peer, uint64_t asked_ns);
uint64_t mesh_cluster_response_usual(struct mesh_cluster *cluster, const struct cluster_list *list);   /* of the slowest; 0: unknown */
void mesh_cluster_response_excuse(struct mesh_cluster *cluster, uint64_t missed_ns);                   /* this process did not run */
void mesh_cluster_response_lost(struct mesh_cluster *cluster, const struct cluster_peer *peer);        /* taken for dead */
void mesh_cluster_response_back(struct mesh_cluster *cluster, struct cluster_peer *peer);              /* a member again */
uint64_t mesh_cluster_response_timeout(struct mesh_cluster *cluster, const struct cluster_peer *peer); /* when it is suspected */
/* The end of that time as the mesh layer has heard the member since it was asked; asked_ns: it has not. */
uint64_t mesh_cluster_response_queued(const struct cluster_peer *peer, uint64_t asked_ns);

/* ---- cluster_suspect.c ---- */
int mesh_cluster_suspect_report(struct mesh_cluster *cluster, const struct cluster_input *in);
int mesh_cluster_suspect_verdict(struct mesh_cluster *cluster, const struct cluster_input *in);
void mesh_cluster_suspect_answered(struct mesh_cluster *cluster, struct cluster_peer *peer, uint64_t origin_ns);
void mesh_cluster_suspect_unvoted(struct mesh_cluster *cluster, struct cluster_peer *peer); /* it has not voted in time */
void mesh_cluster_suspect_settle(struct mesh_cluster *cluster);
void mesh_cluster_suspect_report_starved(struct mesh_cluster *cluster, uint16_t rank);
void mesh_cluster_suspect_tick(struct mesh_cluster *cluster);

/* ---- cluster_alive.c ---- */
int mesh_cluster_alive_receive(struct mesh_cluster *cluster, const struct cluster_input *in);
void mesh_cluster_alive_send(struct mesh_cluster *cluster, struct mesh_addr to, unsigned state, uint64_t origin_ns);
void mesh_cluster_alive_ask_all(struct mesh_cluster *cluster);
void mesh_cluster_alive_tick(struct mesh_cluster *cluster);

/* ---- cluster_event.c ---- */
void mesh_cluster_log(struct mesh_cluster *cluster, const struct cluster_logged *logged);

#endif
