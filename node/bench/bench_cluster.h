/* A cluster of real processes on the loopback, for measuring: `mesh-node serve` with a key of its own, requests to it, and its status. One
 * thread. The processes end with this one, however it ends. */
#ifndef NODE_BENCH_CLUSTER_H
#define NODE_BENCH_CLUSTER_H

#include <sys/types.h>

#include "mesh/program/fail.h"
#include "mesh/seal.h"
#include "mesh/udp.h"

enum { BENCH_CLUSTER_MAX = 4, BENCH_STATUS_BYTES = 32768 };

struct bench_cluster {
    const char *model, *kernel, *lab; /* borrowed; lab: of --lab, or NULL */
    const char *record;               /* folder for a trace per node; borrowed; NULL: none */
    bool records_payloads;
    uint16_t count;
    pid_t pid[BENCH_CLUSTER_MAX]; /* 0: none */
    struct mesh_addr addr[BENCH_CLUSTER_MAX];
    char address[BENCH_CLUSTER_MAX][MESH_ADDR_TEXT_BYTES];
    bool is_sealed, is_apart;
    struct mesh_key key;
    int key_file; /* -1: none */
    char key_path[64];
};

/* Start and wait until all are in one epoch and have loaded. bench_cluster_stop in either case. */
int bench_cluster_start(struct bench_cluster *cluster, const char *model, const char *kernel, uint16_t count, struct fail *fail);
/* The same with --lab, each node on a processor of its own, as far as there are some. */
int bench_cluster_start_apart(struct bench_cluster *cluster, const char *model, const char *kernel, const char *lab, uint16_t count,
                              struct fail *fail);

/* The same without --lab, of nodes that record into N.db of that folder: the recorder's thread, too, stays on its node's processor. */
int bench_cluster_start_recording(struct bench_cluster *cluster, const char *model, const char *kernel, uint16_t count, const char *folder,
                                  bool records_payloads, struct fail *fail);
void bench_cluster_stop(struct bench_cluster *cluster);

/* Start node i again, after it was killed and waited for. */
int bench_cluster_restart(struct bench_cluster *cluster, uint16_t i, struct fail *fail);
void bench_cluster_kill(struct bench_cluster *cluster, uint16_t i); /* SIGKILL; returns at once */
void bench_cluster_reap(struct bench_cluster *cluster, uint16_t i);
bool bench_cluster_has_ended(struct bench_cluster *cluster, uint16_t i); /* without waiting */

/* Wait until node i is in an epoch of `nodes` and has loaded. */
int bench_cluster_await(struct bench_cluster *cluster, uint16_t i, uint16_t nodes, struct fail *fail);

/* `status --json` of node i into text (BENCH_STATUS_BYTES). */
int bench_cluster_status(struct bench_cluster *cluster, uint16_t i, char *text, struct fail *fail);

/* Processor time of the main thread of node i, or of its thread of that name; 0: unknown. */
uint64_t bench_cluster_thread_ns(const struct bench_cluster *cluster, uint16_t i, const char *name);

/* The number behind the first "key": in text, or -1. */
double bench_cluster_number(const char *text, const char *key);

/* Generate at node i. on_token is called for each token with the number of tokens so far and the time; it may be NULL. */
struct bench_generation {
    uint32_t tokens; /* asked for, at the end of the context fewer */
    void (*on_token)(void *app, uint32_t count, uint64_t now_ns);
    void *app;
    uint64_t first_ns, last_ns; /* out: when the first and the last came */
    uint32_t count, first;      /* out: tokens in all, and those that came with the first */
};
int bench_cluster_generate(struct bench_cluster *cluster, uint16_t i, struct bench_generation *generation, struct fail *fail);

/* On a busy machine a generation may come all at once, or be empty since members were lost for a moment: then it has no speed, and is
 * repeated up to BENCH_TRIES times. */
enum { BENCH_TRIES = 8 };
bool bench_generation_has_speed(const struct bench_generation *generation);
double bench_generation_tok_per_s(const struct bench_generation *generation); /* from the first tokens to the last */
int bench_generation_fail(struct fail *fail);                                 /* none of the tries has a speed: -1, with fail set */

#endif
