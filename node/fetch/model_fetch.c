#include "model_fetch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model_fetch_state.h"
#include "node/common/log.h"

/* No peer answers: use what this cluster had last, if all of it is there. */
static bool recall(struct fetch *f)
{
    uint8_t id[MODEL_HASH_BYTES];
    struct fail ignored;
    bool is_all = false;

    if (f->is_known || f->is_open || model_cache_recall(f->root, f->config->cluster, id) < 0)
        return false;
    f->is_open = true;
    if (model_cache_reopen(&f->cache, f->root, id, 0, &ignored) == 0 && fetch_begin_part(f, &ignored) == 0) {
        memcpy(f->part->hashes, f->cache.hashes, (size_t)f->cache.count * MODEL_HASH_BYTES);
        fetch_begin(f, "checking the model in the cache");
        if (model_cache_check(&f->cache, NULL, fetch_on_step, f, &ignored) == 0)
            fetch_give_checked(f);
        fetch_end_progress(f);
        is_all = model_part_has(f->part, NULL);
    }
    if (is_all)
        log_line("no peer answers: using the model that this cluster had last");
    else
        model_part_release(f->part);
    fetch_close_cache(f);
    return is_all;
}

static enum outcome ask_all(struct fetch *f, struct fail *fail)
{
    struct fail last = {.text = "there is no peer to ask"};

    for (;;) {
        const uint64_t round_ns = mesh_udp_now_ns();

        for (unsigned i = 0; i < f->config->peer_count && !fetch_is_stopped(f); i++) {
            const enum outcome outcome = fetch_ask_peer(f, f->config->peer[i], &last);

            if (outcome != NEXT_PEER) {
                *fail = last;
                f->has_no_room = outcome == FATAL;
                return outcome;
            }
        }
        if (recall(f))
            return DONE;
        if (fetch_is_stopped(f) || mesh_udp_now_ns() - f->got_ns >= f->config->wait_ns) {
            fail_set(fail, EXIT_ENVIRONMENT, "no peer has the model: %.350s: start a node that has it with -m MODEL.gguf%s", last.text,
                     f->is_known ? "" : ", and this one again");
            return FATAL;
        }
        if (f->is_known)
            fetch_close_cache(f); /* let another process of this machine have its turn */
        if (mesh_udp_now_ns() - round_ns < SECOND_NS)
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

static int run(struct fetch *f, struct fail *fail)
{
    for (int i = 0; i < ASKED_MAX; i++) {
        f->asked[i].data = malloc(MODEL_CHUNK_BYTES);
        if (f->asked[i].data == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    f->got_ns = mesh_udp_now_ns();
    f->root = model_cache_root(fail);
    return f->root == NULL || ask_all(f, fail) != DONE ? -1 : 0;
}

static void release(struct fetch *f)
{
    fetch_end_progress(f);
    fetch_close_cache(f);
    for (int i = 0; i < ASKED_MAX; i++)
        free(f->asked[i].data);
    free(f->wanted);
    free(f->offered);
    free(f->root);
    free(f);
}

int model_fetch(const struct model_fetch_config *config, struct model_part *part, struct fail *fail)
{
    struct fetch *f = calloc(1, sizeof *f);
    int result;

    *part = (struct model_part){0};
    if (f == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    f->config = config;
    f->part = part;
    log_line("no model given: asking %u peer%s for it", config->peer_count, config->peer_count == 1 ? "" : "s");
    result = run(f, fail);
    if (result == 0 && model_part_has(part, NULL))
        log_line("the model is there: %s", part->path);
    release(f);
    return result;
}

int model_fetch_more(const struct model_fetch_config *config, struct model_part *part, const uint8_t *wanted, struct fail *fail)
{
    struct fetch *f;
    int result;

    if (model_part_has(part, wanted))
        return 0;
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    f->config = config;
    f->part = part;
    f->is_known = true;
    f->wanted = malloc(part->count);
    f->offered = malloc(part->count);
    if (f->wanted == NULL || f->offered == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        release(f);
        return -1;
    }
    memcpy(f->wanted, wanted, part->count);
    result = run(f, fail);
    if (f->has_no_room)
        result = MODEL_FETCH_NO_ROOM;
    release(f);
    return result;
}

bool model_part_has(const struct model_part *part, const uint8_t *wanted)
{
    for (uint32_t chunk = 0; chunk < part->count; chunk++)
        if ((wanted == NULL || wanted[chunk] != 0) && atomic_load(&part->have[chunk]) == 0)
            return false;
    return true;
}

void model_part_release(struct model_part *part)
{
    free(part->path);
    free(part->hashes);
    free(part->have);
    *part = (struct model_part){0};
}
