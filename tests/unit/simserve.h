/* Serving nodes on the network simulator: membership, engines and telemetry together, on virtual time.
 *
 * A node is what `mesh-node serve` runs: one cluster core (simmembers); per epoch one endpoint and one engine, which really computes, and
 * which is loaded ahead of planned epochs; the keys and values kept between epochs; and the jobs of its clients, submitted again in every
 * epoch (node/epoch/job.c itself). Not simulated: threads, and the sessions between clients and nodes, whose records are read as the client
 * would. After each action of a node these are checked: each token on each node that hears of it, and its digest, are those of the
 * fault-free run; requests end as they do there; queues keep their bounds. simmembers checks the epochs. The first violation is in
 * members.error. */
#ifndef TESTS_SIMSERVE_H
#define TESTS_SIMSERVE_H

#include "node/telemetry/telemetry_report.h"
#include "node/telemetry/watch.h"
#include "simmembers.h"
#include "simquestion.h"
#include "simwatch.h"

enum { SIMSERVE_PLACES_MAX = 16, SIMSERVE_ASKS_MAX = 128, SIMSERVE_WATCHERS_MAX = 3, SIMSERVE_OUTSIDE = 64 };

/* What a client has asked and has been told. */
struct simserve_ask {
    const struct simquestion *question;
    uint64_t id;                     /* of the request; 0: not submitted to a node yet */
    uint32_t told;                   /* tokens */
    bool is_done, is_lost, is_ended; /* answered; its node died or left; abandoned by the client */
    uint16_t place;
    uint64_t asked_ns, done_ns;
};

/* A client that watches a node; times are of its place's clock. */
struct simserve_watcher {
    bool is_on;
    uint16_t place;
    uint64_t interval_ns, until_ns, changed_ns;
    struct simwatch watch;
};

/* A LOOK or REPORT that waits to be sent. */
struct simserve_outside {
    struct mesh_addr to;
    size_t bytes;
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
};

struct simserve_config {
    uint16_t count; /* places */
    uint64_t seed;
    unsigned model; /* of simquestion */
    uint16_t batch, slots;
    uint32_t datagram_bytes; /* largest that the driver can send */
    uint64_t unit_ns;        /* time of a unit of work */
    uint64_t load_ns;        /* time of a unit of loading */
    bool is_plain;           /* security none: only endpoints can tell epochs apart */
    bool is_star, is_whole;  /* as of struct engine_config */
    bool has_group;          /* nodes send tiles to a multicast group */
    uint64_t deaf;           /* places that do not hear it */
    struct mesh_sim_link link;
};

struct simserve_node {
    struct simserve *serve;
    struct simmember *member;
    struct epoch_run_config epoch_run_config;
    struct epoch_run shifts[2];
    struct epoch_run *run;    /* engine NULL: no epoch */
    struct epoch_run *next;   /* the next one, under preparation; engine NULL: none */
    bool next_is_reported;    /* its readiness has been reported */
    uint64_t missing_bytes;   /* of memory, in an epoch that no node loads for; 0: none */
    struct saved_kv saved_kv; /* between two epochs */
    uint64_t stamp;           /* of the epoch, in datagrams sent in it */
    struct jobs jobs;
    uint32_t job_count;
    uint32_t slow;        /* factor by which work takes longer */
    uint32_t work_count;  /* pieces of work since it last loaded ahead */
    uint64_t busy_ns;     /* of the last piece of work, still to pass */
    uint64_t watch_at_ns; /* own clock */
    bool is_paused, is_leaving;

    /* simserve_watch.c */
    struct watch watch;
    struct telemetry_report_state report;
    struct event_ring events;
    struct node_metrics metrics;
    struct node_metrics_requests requests;
    uint64_t start_ns, epoch_ns; /* own clock */
    uint64_t looked_until_ns[SIMSERVE_PLACES_MAX];
    struct simserve_outside outside[SIMSERVE_OUTSIDE];
    uint32_t outside_first, outside_end;
};

struct simserve {
    struct simmembers members;
    struct simserve_config config;
    struct eventcount *wakeup; /* notified without effect */
    struct simserve_node node[SIMSERVE_PLACES_MAX];
    struct simserve_ask ask[SIMSERVE_ASKS_MAX];
    uint32_t ask_count;
    uint64_t blocked[SIMSERVE_PLACES_MAX]; /* bit t of f: nothing passes from f to t */
    struct simserve_watcher watcher[SIMSERVE_WATCHERS_MAX];
    void (*on_record)(void *app, const uint8_t *record, size_t bytes); /* gets each record given to a watcher; NULL: none */
    void *app;

    /* counters of events */
    uint64_t tokens;  /* tokens told to clients */
    uint64_t checked; /* tokens received by any node */
    uint64_t answered, resubmitted, foreign, suspected;
    uint64_t prepared;       /* epochs that began with a run prepared beforehand */
    uint64_t recomputed;     /* positions that a node computed again */
    uint64_t reused;         /* positions that a node had of another question */
    uint64_t looks, reports; /* telemetry datagrams among members */
    uint32_t published_high, events_high, fragments_high, waiting_high;
};

/* All places empty; each place knows all others. */
void simserve_open(struct simserve *serve, const struct simserve_config *config);
void simserve_close(struct simserve *serve);

void simserve_start(struct simserve *serve, uint16_t place); /* a new process, if there is none */
void simserve_form(struct simserve *serve);                  /* start all, run until they are in one epoch */

/* Faults and actions at a place; no effect where they do not apply. */
void simserve_crash(struct simserve *serve, uint16_t place);
void simserve_pause(struct simserve *serve, uint16_t place, bool paused);
void simserve_leave(struct simserve *serve, uint16_t place);                       /* orderly, as on SIGTERM */
void simserve_jump(struct simserve *serve, uint16_t place, uint64_t ns);           /* its clock jumps forward */
void simserve_slow(struct simserve *serve, uint16_t place, uint32_t times);        /* 1: normal speed */
void simserve_cut(struct simserve *serve, uint64_t places, bool out, bool in);     /* between these places and the others */
void simserve_heal(struct simserve *serve);                                        /* heal all cuts */
void simserve_set_links(struct simserve *serve, const struct mesh_sim_link *link); /* all of them */

/* A client asks a place. Returns the index of the ask, or -1 when there is no process. */
int simserve_ask(struct simserve *serve, uint16_t place, unsigned question);
void simserve_end_ask(struct simserve *serve, unsigned ask); /* the client goes away */

/* A client starts to watch a place or renews its watch; index: of simserve.watcher. False when there is no process to watch. Its reports
 * are checked: they come only while the lease lasts, no more often than requested, and are consistent (simwatch.h). */
bool simserve_watch(struct simserve *serve, uint16_t place, unsigned index, const struct mesh_telemetry_watch *wish);
void simserve_end_watches(struct simserve *serve); /* every watcher that can do so ends its watch */

uint64_t simserve_alive(const struct simserve *serve);     /* places with a process that is not leaving */
bool simserve_is_settled(const struct simserve *serve);    /* these are in one epoch, and no question is open */
uint16_t simserve_sequencer(const struct simserve *serve); /* the place of rank 0, according to the first live place */

/* Run for span_ns; or until is_done. False on a violation, or when is_done did not become true. */
bool simserve_run(struct simserve *serve, uint64_t span_ns);
bool simserve_run_until(struct simserve *serve, bool (*is_done)(const struct simserve *serve), uint64_t span_ns);

/* ---- simserve_epochs.c, for simserve.c ---- */
void simserve_on_event(struct simserve_node *node, const struct mesh_cluster_event *event);
void simserve_watch_next(struct simserve_node *node, uint64_t own_ns); /* reports when the next epoch is prepared */
void simserve_end_runs(struct simserve_node *node);                    /* its process is dead */
bool simserve_is_loaded(const struct epoch_run *run);                  /* true also when there is nothing to load */
void simserve_load(struct epoch_run *run);                             /* one unit */

/* ---- simserve_clients.c, for the others ---- */
void simserve_on_token(void *node, uint64_t now_ns, const struct engine_token *token);
void simserve_on_done(void *node, uint64_t now_ns, uint64_t request, enum engine_done reason, const struct engine_fault *fault);
void simserve_tell_clients(struct simserve_node *node);
void simserve_lose_asks(struct simserve_node *node); /* its clients have lost their node */

/* ---- simserve_watch.c, for the others ---- */
void simserve_watch_begin(struct simserve_node *node); /* a new process */
void simserve_watch_end(struct simserve_node *node);   /* the process has ended */
void simserve_watch_epoch(struct simserve_node *node); /* another epoch, or none any more */
bool simserve_watch_receive(struct simserve_node *node, struct mesh_addr from, const uint8_t *packet, size_t bytes);
size_t simserve_next_outside(struct simserve_node *node, uint8_t *packet, size_t capacity, struct mesh_addr *to); /* 0: nothing */

#endif
