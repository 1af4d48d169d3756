/* Real nodes on the loopback, started for a replay: processes of the given command, each with its own port and trace, all with one key.
 * They end with this process, however it ends. */
#ifndef REPLAY_RUN_NODES_H
#define REPLAY_RUN_NODES_H

#include <sys/types.h>

#include "mesh/program/fail.h"
#include "mesh/udp.h"
#include "run_words.h"

enum { RUN_NODES_MAX = 16, RUN_FOLDER_BYTES = 300, RUN_PATH_BYTES = RUN_FOLDER_BYTES + 40, RUN_WORD_BYTES = 16, RUN_SHARES_BYTES = 600 };

struct run_nodes {
    char *const *command; /* (words) "mesh-node", "serve", ...; borrowed */
    int words;
    uint16_t count;
    uint16_t rank;              /* of the first node, if its rank is given: run_nodes_start_rank */
    uint32_t ctx, batch, slots; /* as recorded; 0: not known. Options of the command override them */
    char kv_type[RUN_WORD_BYTES], shares[RUN_SHARES_BYTES], pipeline[RUN_WORD_BYTES];
    char folder[RUN_FOLDER_BYTES]; /* of keys, traces and logs */
    bool keeps_folder;
    pid_t pid[RUN_NODES_MAX];
    char address[RUN_NODES_MAX][MESH_ADDR_TEXT_BYTES], trace[RUN_NODES_MAX][RUN_PATH_BYTES];
    char key[RUN_PATH_BYTES];      /* "": none, as mesh-node cannot seal */
    const char *peers;             /* of run_nodes_start_rank, while that node is started */
    const struct request *request; /* for rank 0; NULL: it is another rank */
    char record[RUN_PATH_BYTES], prompt[RUN_PATH_BYTES];
    unsigned seconds;     /* how long it waits for its peers */
    bool is_cut;          /* set by run_nodes_stop: SIGTERM has killed that node, so its trace lacks its end */
    const char *security; /* the command's option; NULL: mesh-node's default */
};

/* Start them, and wait until they are one cluster and have loaded, at most for that time. run_nodes_stop and _release in either case. */
int run_nodes_start(struct run_nodes *nodes, unsigned seconds, struct fail *fail);

/* Instead, for one node that is a rank of a fixed list: a folder and an address for it; then start it, as nodes->rank. peers: addresses of
 * all ranks in their order, with commas between. run_nodes_release in either case. */
int run_nodes_open(struct run_nodes *nodes, struct fail *fail);
int run_nodes_start_rank(struct run_nodes *nodes, const char *peers, unsigned seconds, struct fail *fail);

/* Ask them to end, and wait for that: only then are their traces complete. */
int run_nodes_stop(struct run_nodes *nodes, struct fail *fail);

/* Kill those that still run, and remove the folder with all that is in it, unless it is to be kept. A signal that ends this process earlier
 * does the same. */
void run_nodes_release(struct run_nodes *nodes);

/* The value of an option of the command; NULL: absent. */
const char *run_nodes_option(const struct run_nodes *nodes, const char *name);

/* Words with which a client reaches them. */
void run_nodes_add_access(const struct run_nodes *nodes, struct run_words *words);

/* Has one of them ended, which none should? -1 with its last words. */
int run_nodes_check(struct run_nodes *nodes, struct fail *fail);

/* 1: this one has ended well, or before; 0: it runs; -1 after fail_set, with its last words: it has failed. */
int run_nodes_ended(struct run_nodes *nodes, uint16_t index, struct fail *fail);

/* Start a program of those words (NULL at their end), its stdout and stderr in files. -1 after fail_set. */
pid_t run_start(const char *const *words, const char *out_path, const char *err_path, struct fail *fail);

/* The last line of a file, at most capacity - 1 bytes; "" for none. */
void run_last_line(const char *path, char *line, size_t capacity);

#endif
