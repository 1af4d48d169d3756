/* The cluster file: settings common to all nodes of a cluster, and the address of each node.
 *
 * INI text: `[cluster]` once, `[node NAME]` for each node, `key = value` lines; `#` and `;` begin a comment at the start of a line. Every
 * key but a node's address has a default. docs/OPERATIONS.md lists them; so does cluster_file_print_keys, from the same table. */
#ifndef NODE_CLUSTER_FILE_H
#define NODE_CLUSTER_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "mesh/mesh.h"
#include "mesh/program/fail.h"
#include "mesh/seal.h"
#include "node/kernel/kernel.h"

enum { CLUSTER_NAME_MAX = 64, CLUSTER_PATH_MAX = 512, CLUSTER_LINE_MAX = 2048, CLUSTER_SHARE_AUTO = UINT32_MAX };

enum cluster_security { CLUSTER_SEAL, CLUSTER_AUTH, CLUSTER_NONE };

struct cluster_node {
    char name[CLUSTER_NAME_MAX];
    char address_text[CLUSTER_NAME_MAX];
    struct mesh_addr address;       /* all zeros: the name or interface does not exist now */
    char unknown[160];              /* the same in words; else empty */
    char model[CLUSTER_PATH_MAX];   /* empty: the cluster's */
    char metrics[CLUSTER_NAME_MAX]; /* ADDR:PORT of HTTP; empty: none */
    uint32_t threads;               /* 0: as many as there are cores */
    uint32_t share;                 /* CLUSTER_SHARE_AUTO: by measured speed; 0: none */
};

struct cluster_file {
    char name[MESH_CLUSTER_NAME_BYTES_MAX + 1];
    char model[CLUSTER_PATH_MAX];     /* empty: given on the command line */
    char key[CLUSTER_PATH_MAX];       /* empty: loopback only */
    char multicast[CLUSTER_NAME_MAX]; /* group by which tiles go; empty: none */
    char discover[CLUSTER_NAME_MAX];  /* multicast group; empty: none */
    int security;                     /* enum cluster_security */
    int kv_type;                      /* enum kv_type */
    uint32_t ctx;                     /* 0: the model's, at most 4096 */
    uint32_t batch;                   /* tokens of a step */
    uint32_t slots;                   /* requests at once */
    struct cluster_node node[MESH_RANKS_MAX];
    uint16_t node_count;
};

/* -1: EXIT_ENVIRONMENT when the file cannot be read, EXIT_BAD_FILE for what is wrong inside, naming the line. Two nodes of the same name or
 * address are an error; a file without nodes is not (nodes may find one another by --join), and neither is a host name that does not
 * resolve. */
int cluster_file_read(const char *path, struct cluster_file *file, struct fail *fail);

/* The same from an open stream; name is for messages. */
int cluster_file_parse(FILE *stream, const char *name, struct cluster_file *file, struct fail *fail);

/* A table in Markdown: key, default, meaning. */
void cluster_file_print_keys(FILE *out);

#endif
