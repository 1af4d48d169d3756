/* A model file that is being fetched into this machine's cache, and which of its chunks are there.
 *
 * A folder per model, named by its id, holds the file itself (sparse until it is complete), the list of hashes, and a map with a byte
 * per chunk. A chunk is written before it is marked, and no mark is trusted before the chunk's hash has been compared; so truncation, a
 * torn write or a change at any moment costs no more than fetching that chunk again. One process at a time owns a folder. */
#ifndef NODE_MODEL_CACHE_H
#define NODE_MODEL_CACHE_H

#include "mesh/program/fail.h"
#include "node/model/model_parts.h"

struct model_cache {
    char *folder, *path; /* owned; path: of the file */
    struct model_info info;
    uint32_t count;  /* chunks */
    uint8_t *hashes; /* (count, MODEL_HASH_BYTES) */
    uint8_t *have;   /* (count): 1 there and checked since the start */
    bool has_hashes;
    uint32_t have_count, bad_count; /* bad: did not fit their hashes when checked */
    int file, map, lock;
};

/* "$XDG_CACHE_HOME/diolkos-mesh", or below ~/.cache; allocated. NULL with fail set: neither is set, or that
 * home does not exist. */
char *model_cache_root(struct fail *fail);

/* Create or open the folder of info->id, waiting while another process owns it (EXIT_ENVIRONMENT after wait_ns). The list is read if it is
 * there and fits the id. model_cache_close in any case. */
int model_cache_open(struct model_cache *cache, const char *root, const struct model_info *info, uint64_t wait_ns, struct fail *fail);

/* The same, by id alone, for a folder that must already exist with its list. name stays empty. */
int model_cache_reopen(struct model_cache *cache, const char *root, const uint8_t id[MODEL_HASH_BYTES], uint64_t wait_ns,
                       struct fail *fail);
void model_cache_close(struct model_cache *cache);

/* 1: kept, also on disk; 0: not the list of this id; -1: cannot be written. hashes: (count, MODEL_HASH_BYTES). */
int model_cache_set_hashes(struct model_cache *cache, const uint8_t *hashes, struct fail *fail);

/* Check against their hashes the chunks that the map marks and that were not checked yet, of those wanted (count); wanted NULL: of all.
 * Needs the list. step(app, chunks done) is called from time to time. -1: the file cannot be read. */
int model_cache_check(struct model_cache *cache, const uint8_t *wanted, void (*step)(void *app, uint32_t done), void *app,
                      struct fail *fail);

/* 1: written and marked; 0: it does not match its hash; -1: cannot be written (no room, ...): the present chunks stay. */
int model_cache_put(struct model_cache *cache, uint32_t chunk, const uint8_t *data, struct fail *fail);

/* -1, and fail says how much is missing: the disk has no room for the wanted chunks (count) that are not there. */
int model_cache_has_room(const struct model_cache *cache, const uint8_t *wanted, struct fail *fail);

/* Which model a cluster used last, for a start when nobody answers. name: the cluster's. recall: 0, or -1 when there is none. */
void model_cache_remember(const char *root, const char *name, const uint8_t id[MODEL_HASH_BYTES]);
int model_cache_recall(const char *root, const char *name, uint8_t id[MODEL_HASH_BYTES]);

#endif
