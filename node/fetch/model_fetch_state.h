/* What the files of fetching a model share. Not for other files. */
#ifndef NODE_MODEL_FETCH_STATE_H
#define NODE_MODEL_FETCH_STATE_H

#include "bulk.h"
#include "mesh/program/progress.h"
#include "model_cache.h"
#include "model_fetch.h"

enum { ASKED_MAX = 4, SECOND_NS = 1000000000 };

/* A chunk that has been asked for. */
struct asked {
    uint32_t tag, chunk, bytes; /* tag 0: free */
    uint8_t *data;              /* (MODEL_CHUNK_BYTES) */
};

struct fetch {
    const struct model_fetch_config *config;
    char *root;
    struct model_part *part;
    bool is_known;            /* which model is known: the part's; else the first answering peer's */
    struct model_cache cache; /* for the model of the peer being asked */
    bool is_open;
    uint8_t *wanted;  /* (cache.count), with the cache; owned */
    uint8_t *offered; /* (cache.count) chunks that the peer has; owned */
    uint32_t wanted_count, missing;
    bool is_checked;  /* what is there has been checked */
    bool has_no_room; /* no room here, or the cache cannot be written for another reason */
    struct bulk bulk;
    char from[MESH_ADDR_TEXT_BYTES], said[MESH_ADDR_TEXT_BYTES + sizeof(struct fail)];
    struct asked asked[ASKED_MAX];
    uint32_t next; /* next chunk to consider */
    uint64_t got_ns;
    struct progress progress;
    const char *doing;
    uint64_t told_ns; /* when the service manager was last told the progress */
};

/* Result of one peer: done, this peer will not do, or no peer will. */
enum outcome { DONE, NEXT_PEER, FATAL };

/* model_fetch_peer.c. */
bool fetch_is_stopped(const struct fetch *f);
void fetch_begin(struct fetch *f, const char *doing); /* something that takes time: progress is shown */
void fetch_on_step(void *app, uint32_t done);
void fetch_end_progress(struct fetch *f);
int fetch_begin_part(struct fetch *f, struct fail *fail); /* with the cache that is open */
void fetch_give_checked(struct fetch *f);                 /* what the cache has checked */
void fetch_close_cache(struct fetch *f);
enum outcome fetch_ask_peer(struct fetch *f, struct mesh_addr peer, struct fail *fail);

#endif
