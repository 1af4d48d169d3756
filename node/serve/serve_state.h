/* What the files of a serving node share: the node (serve.c), its epochs (serve_epoch.c), its clients (serve_clients.c), and the other
 * serve_*.c. Not for other files. */
#ifndef NODE_SERVE_STATE_H
#define NODE_SERVE_STATE_H

#include <signal.h>

#include "client_places.h"
#include "mesh/session.h"
#include "node/epoch/balance.h"
#include "node/epoch/epoch_change.h"
#include "node/epoch/packet_filter.h"
#include "node/fetch/bulk_host.h"
#include "node/fetch/model_monitor.h"
#include "node/telemetry/http_metrics.h"
#include "node/telemetry/troubles.h"
#include "presence.h"
#include "prompt_queue.h"
#include "send_errors.h"
#include "serve.h"
#include "serve_memory.h"
#include "serve_watch.h"
#include "speed_meter.h"
#include "speed_test.h"

/* How fast this node is, and when the cluster's rows should be dealt anew (serve_balance.c). */
struct serve_shares {
    struct balance_load load;
    struct balance balance;
    struct speed_meter meter;
    struct balance_member self; /* as reported to other members */
    uint32_t benchmark;         /* kB/s */
    uint32_t changes;           /* epochs with new shares for the same members */
    struct speed_test *test;    /* running; NULL: none */
    uint64_t look_at_ns, test_at_ns;
};

/* A datagram outside of epochs for which there was no room. */
struct serve_unsent {
    uint8_t packet[MESH_DATAGRAM_BYTES_MIN];
    size_t bytes; /* 0: there is none */
    struct mesh_addr to;
    bool is_cluster;             /* between members; else of a client session */
    uint64_t since_ns, again_ns; /* when it was to be sent, and when to try again */
    uint64_t hasty_until_ns;     /* until then none waits: one has waited in vain */
    struct mesh_addr full;       /* where that one was to go */
};

enum { SERVE_REFUSAL_BYTES = 400, SERVE_DENIED = 8 };

/* A newcomer of which the log says that it is not taken in. */
struct serve_denied {
    struct mesh_addr at;
    uint64_t told_ns; /* 0: none */
};

struct server {
    struct serve_config *config;
    struct epoch_run_config epoch_run_config;
    struct packet_filter filter; /* datagrams outside of epochs */
    struct eventcount *wakeup;
    struct mesh_cluster *cluster;
    void *cluster_memory;
    struct mesh_seal_key process_key;
    struct mesh_session_seal session_seal;
    struct mesh_sessions *sessions;
    void *sessions_memory;
    struct client_places places; /* of the sessions that are open */
    uint64_t turned_away;        /* questions and fetches, for too many clients had some */
    struct serve_unsent unsent;
    struct epoch_run *run;  /* the present epoch; NULL: none */
    struct epoch_run *next; /* being prepared; NULL: none */
    uint32_t next_plan;
    bool next_is_reported;                        /* that next is ready */
    uint64_t next_since_ns;                       /* since when next is ready; 0: not yet */
    struct pool *reclaimer;                       /* thread that frees what earlier epochs had; NULL: all is freed */
    struct saved_kv saved_kv;                     /* between two epochs; owned by that thread while it runs */
    struct engine *cached;                        /* whose keys and values others may fetch; NULL: nobody's */
    uint64_t recomputed, reused, prepared_epochs; /* figures of all finished epochs */
    struct prompt_queue prompt_queue;             /* of requests that become jobs */
    struct jobs jobs;
    struct bulk_host bulk; /* what clients and other nodes may fetch */
    struct model_source model_source;
    struct model_monitor *model_monitor; /* NULL: the file is a cache, which only this node writes to */
    struct watching watching;            /* and what is measured for it */
    struct http_metrics *http;           /* NULL: none */
    uint64_t watch_at_ns, drain_by_ns, leave_by_ns;
    uint64_t alone_since_ns, alone_received; /* since when it is alone in an epoch, and datagrams received until then; 0: it is not */
    bool alone_is_reported;
    struct send_errors send_errors; /* out of this machine, that fail */
    struct troubles troubles;
    struct presence presence; /* of the other members */
    struct serve_denied denied[SERVE_DENIED];
    uint64_t troubles_at_ns; /* the next look at them */
    uint64_t starved_steps;  /* made when a member starved this node last, in this epoch */
    uint32_t starved_epoch;
    uint64_t starved_ranks;                     /* at the last look */
    uint64_t suspects;                          /* members that were suspected at the last look */
    uint64_t suspects_received[MESH_RANKS_MAX]; /* datagrams of each until then, by the mesh layer */
    uint64_t suspected_ns[MESH_RANKS_MAX];      /* when there was an event of it last; 0: not in this epoch */
    uint64_t address_at_ns;
    unsigned address_missing;              /* checks in a row that did not find it; at most 3 */
    uint64_t refusals, refused_ns;         /* their number, and the time of the last one; 0: none */
    char refusal[SERVE_REFUSAL_BYTES];     /* the last one reported: by whom and why */
    bool has_company;                      /* there were other members once, or their absence has been reported */
    bool is_draining, is_leaving, is_over; /* in this order: no new requests; leaving the cluster; out of it */
    int leave_count;                       /* signals when leaving began */
    struct epoch_change change;            /* the last change of members */
    struct serve_shares shares;
    struct serve_memory memory;
    uint64_t refused[MESH_SEAL_REFUSALS], replayed; /* in earlier epochs */
    int discover_fd;                                /* hears config->discover; -1: there is none */
    uint8_t incarnation[MESH_INCARNATION_BYTES];
    struct mesh_key_log key_log; /* of config->key_log */
    bool has_key_log, has_reported_gap;
    struct recording *recording; /* NULL: none */
    uint64_t record_at_ns;       /* time of the next report into it */
    uint32_t record_serial;      /* of the last one */
};

enum { SERVE_WATCH_NS = 5000000 /* between two checks for silent members, while steps are made */ };

/* serve.c: one turn of answering other members and waiting for a datagram, while there is no endpoint; clients wait. */
void serve_poll_cluster(struct server *server);

/* serve.c: this member's flags; EPOCH_RUN_HAS_FILE also once the last chunk of the file has been fetched. */
uint32_t serve_flags(const struct server *server);

/* serve_record.c: recording, where there is any. */
enum { SERVE_RECORD_NS = 225000000 /* minimum between two reports */ };
int serve_record_open(struct server *server, struct fail *fail);
void serve_record_close(struct server *server, const volatile sig_atomic_t *signals); /* after a further signal, not all may be stored */
void serve_record_watch(struct server *server);
void serve_record_asked(struct server *server, const struct job *job);
void serve_record_cancelled(struct server *server, const struct job *job, bool is_asked_for, bool is_in_engine); /* which reports its end */
void serve_record_result(struct server *server, const struct epoch_run_result *result);
void serve_record_piece(struct server *server, const struct mesh_telemetry_head *head, const uint8_t *piece, size_t bytes);

/* serve_epoch.c. */
__attribute__((format(printf, 2, 3))) void serve_log(const struct server *server, const char *format, ...); /* a line, unless quiet */
void serve_take_results(struct server *server);
int serve_run_cluster(struct server *server, struct fail *fail);
void serve_watch_members(struct server *server);
bool serve_is_rank(const struct server *server, uint16_t rank); /* of the run, if it is the same process in the cluster's epoch */
bool serve_is_good_moment(const struct engine_cached *cached, uint32_t count); /* to begin an epoch in which these requests go on */
bool serve_note_suspect(struct server *server, uint64_t before, uint16_t rank, uint64_t received); /* heard since the last look? */
bool serve_is_refused(const struct server *server); /* alone, because the cluster that it is to join refuses it */

/* ---- serve_transition.c ---- */

/* End the present epoch. What is prepared for the next one stays, if it is being loaded already; one that is not that far has to be given
 * up before, since it may wait for the thread that saves what this epoch has computed. */
void serve_end_run(struct server *server);

/* End the present epoch, and what is prepared for the next one. */
void serve_end_epoch(struct server *server);

/* Takes *run, whose threads have ended, and sets it to NULL. What it has computed is moved into server->saved_kv and the rest is freed, on
 * a thread of its own, which becomes server->reclaimer, if one can be started. */
void serve_reclaim(struct server *server, struct epoch_run **run);

/* Gives the reclaiming thread to the caller, which has to join it before it needs that memory; NULL: there is none. */
struct pool *serve_take_reclaimer(struct server *server);

/* Change to the epoch; returns when server->run is the run of it. *old: the previous run, for serve_reclaim once nobody waits for the new
 * one any more; NULL: it is freed already. -1 with fail set. */
int serve_open_run(struct server *server, const struct mesh_cluster_event *epoch, struct epoch_run **old, struct fail *fail);

/* ---- serve_balance.c ---- */

/* Begins with a measurement of this node's speed. -1 with fail set. */
int serve_open_shares(struct server *server, struct fail *fail);
void serve_begin_shares(struct server *server);
void serve_watch_shares(struct server *server);
void serve_close_shares(struct server *server);

/* What the members of the run have reported: member, (run->count). False while one of them is suspected, leaving or out. */
bool serve_members_speed(const struct mesh_cluster *cluster, const struct epoch_run *run, const struct balance_member *self,
                         struct balance_member *member);

/* serve_clients.c: clients' records, and the answers to them. */
void serve_run_sessions(struct server *server);
void serve_run_prompt_queue(struct server *server); /* a bounded piece of the prompts that are not token ids yet */
void serve_tell_clients(struct server *server);
unsigned serve_count_requests(const struct server *server); /* whose clients do not have the complete answer yet */

/* Send a piece of what is being fetched, after more urgent messages; and when that is to be called again. */
void serve_run_bulk(struct server *server);
uint64_t serve_bulk_due_ns(struct server *server);

/* serve_send.c: what the cluster layer and the client sessions have to send, as long as there is room for it. If unsent.bytes > 0 then,
 * call again at unsent.again_ns. */
void serve_send_outside(struct server *server);

/* The same at the end: returns when nothing waits any more. */
void serve_send_rest(struct server *server);

/* serve_network.c: what came of a datagram to another node, by mesh_udp_send_to and errno; what is to be said of it, and of being alone. */
void serve_network_sent(struct server *server, const struct mesh_addr *to, int result);
void serve_network_watch(struct server *server);

/* serve_troubles.c: a trouble is there. what names it, and the rest of the sentence follows; it is logged, and an event, when it is new,
 * and otherwise only noted. serve_trouble_over: it is there no longer, which is an event, too; true if it was there. */
__attribute__((format(printf, 5, 6))) void serve_trouble(struct server *server, enum trouble_kind kind, const struct mesh_addr *about,
                                                         const char *what, const char *format, ...);
bool serve_trouble_over(struct server *server, enum trouble_kind kind, const struct mesh_addr *about);
void serve_troubles_epoch(struct server *server); /* one has begun */
/* A member is lost. starved_by: the other end of a black hole for which this node left it out; port 0: another reason. */
void serve_troubles_lost(struct server *server, const struct mesh_addr *addr, const struct mesh_addr *starved_by);
void serve_troubles_heard(struct server *server, const struct packet_ring_entry *packet); /* of the cluster layer, and not refused */
void serve_troubles_denied(struct server *server, const struct mesh_addr *to, const uint8_t *packet, size_t bytes); /* if it is a DENY */
void serve_troubles_watch(struct server *server);

/* serve_metrics.c: the listener of --metrics, where one was asked for. */
int serve_metrics_open(struct server *server, struct fail *fail);

/* serve_key_log.c: the key log, where one was asked for. */
int serve_key_log_open(struct server *server, const uint8_t incarnation[MESH_INCARNATION_BYTES], struct fail *fail);
void serve_key_log_epoch(struct server *server);
bool serve_key_log_has_gap(struct server *server); /* true once, when a line could not be written */
void serve_key_log_close(struct server *server);

/* serve_discover.c: the multicast group, where one was given. */
int serve_discover_open(struct server *server, struct fail *fail);
void serve_discover_poll(struct server *server);
void serve_discover_close(struct server *server);

#endif
