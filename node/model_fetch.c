#include "model_fetch.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bulk.h"
#include "model_cache.h"
#include "progress.h"

enum { ASKED_MAX = 4, SECOND_NS = 1000000000 };

#define CALL_NS (2 * (uint64_t)SECOND_NS)    /* for a peer to answer */
#define LIST_NS (600 * (uint64_t)SECOND_NS)  /* it may have to read its whole file first */
#define DATA_NS (30 * (uint64_t)SECOND_NS)   /* between two pieces */
#define LOCK_NS (3600 * (uint64_t)SECOND_NS) /* while another process of this machine fetches the same */

/* A chunk that has been asked for. */
struct asked {
    uint32_t tag, chunk, bytes; /* tag 0: free */
    uint8_t *data;              /* (MODEL_CHUNK_BYTES) */
};

struct fetch {
    const struct model_fetch_config *config;
    char *root;
    struct model_cache cache; /* of the peer that is being asked */
    bool is_open;
    struct bulk bulk;
    char from[MESH_ADDR_TEXT_BYTES], said[MESH_ADDR_TEXT_BYTES + sizeof(struct fail)];
    struct asked asked[ASKED_MAX];
    uint32_t next; /* chunk to look at */
    uint64_t got_ns;
    struct progress progress;
    const char *doing;
};

/* A peer's part: it is done, this peer will not do, or nothing will. */
enum outcome { DONE, NEXT_PEER, FATAL };

/* ---- what people see ---- */

static void show(struct fetch *f, uint32_t done)
{
    if (f->cache.count > 0 && progress_is_due(&f->progress))
        fprintf(stderr, "\r%s: %3.0f %% of %" PRIu64 " MB ", f->doing, 100.0 * done / f->cache.count, f->cache.info.bytes / 1000000);
}

static void on_step(void *app, uint32_t done)
{
    show(app, done);
}

static void begin(struct fetch *f, const char *doing)
{
    f->doing = doing;
    progress_begin(&f->progress);
}

/* Not the same again and again, while nobody else is there to be asked. */
static void say_peer(struct fetch *f, const struct fail *fail)
{
    const bool has_name = strncmp(fail->text, f->from, strlen(f->from)) == 0;
    char text[sizeof f->said];

    progress_end(&f->progress);
    snprintf(text, sizeof text, "%s%s%s", has_name ? "" : f->from, has_name ? "" : ": ", fail->text);
    if (strcmp(text, f->said) != 0)
        fprintf(stderr, "%s\n", text);
    memcpy(f->said, text, sizeof text);
}

/* ---- one peer ---- */

static struct bulk_want want_of(const struct fetch *f, enum bulk_resource resource, uint64_t offset, uint64_t bytes)
{
    struct bulk_want want = {.resource = (uint8_t)resource, .offset = offset, .bytes = bytes};

    if (resource != BULK_MODEL_INFO) {
        memcpy(want.args, f->cache.info.id, MODEL_HASH_BYTES);
        want.args_bytes = MODEL_HASH_BYTES;
    }
    return want;
}

static int ask_info(struct fetch *f, struct model_info *info, struct fail *fail)
{
    const struct bulk_want want = want_of(f, BULK_MODEL_INFO, 0, MODEL_INFO_BYTES_MAX);
    uint8_t bytes[MODEL_INFO_BYTES_MAX];
    const int64_t size = bulk_get(&f->bulk, &want, bytes, LIST_NS, fail);

    if (size < 0)
        return -1;
    if (model_info_read(info, bytes, (size_t)size) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "says what no model is: run one release everywhere");
    if (info->is_strong != mesh_seal_is_available())
        return fail_set(fail, EXIT_ENVIRONMENT,
                        "its hashes are others than this program's: build both with libsodium, or give -m MODEL.gguf");
    return 0;
}

static enum outcome ask_hashes(struct fetch *f, struct fail *fail)
{
    const uint64_t bytes = (uint64_t)f->cache.count * MODEL_HASH_BYTES;
    const struct bulk_want want = want_of(f, BULK_MODEL_HASHES, 0, bytes);
    uint8_t *hashes;
    enum outcome outcome = NEXT_PEER;
    int64_t size;
    int kept;

    if (f->cache.has_hashes)
        return DONE;
    hashes = malloc(bytes);
    if (hashes == NULL) {
        fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
        return FATAL;
    }
    size = bulk_get(&f->bulk, &want, hashes, LIST_NS, fail);
    if (size == (int64_t)bytes) {
        kept = model_cache_set_hashes(&f->cache, hashes, fail);
        outcome = kept > 0 ? DONE : kept < 0 ? FATAL : NEXT_PEER;
        if (kept == 0)
            fail_set(fail, EXIT_ENVIRONMENT, "the hashes that it gives are not those of its model");
    } else if (size >= 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "gives %" PRId64 " bytes of hashes, expected %" PRIu64, size, bytes);
    }
    free(hashes);
    return outcome;
}

/* Ask for chunks that are missing, as many at once as there is room for. How many are asked for now; -1: the session is over. */
static int ask_more(struct fetch *f, struct fail *fail)
{
    int count = 0;

    for (int i = 0; i < ASKED_MAX; i++) {
        struct asked *asked = &f->asked[i];

        while (asked->tag == 0 && f->next < f->cache.count && f->cache.have[f->next] != 0)
            f->next++;
        if (asked->tag == 0 && f->next < f->cache.count) {
            struct bulk_want want;

            asked->chunk = f->next++;
            asked->bytes = 0;
            want = want_of(f, BULK_MODEL_BYTES, (uint64_t)asked->chunk * MODEL_CHUNK_BYTES,
                           model_chunk_bytes(f->cache.info.bytes, asked->chunk));
            if (bulk_ask(&f->bulk, &want, &asked->tag, fail) < 0)
                return -1;
        }
        count += asked->tag != 0;
    }
    return count;
}

/* A chunk has come. */
static enum outcome keep(struct fetch *f, struct asked *asked, struct fail *fail)
{
    int kept = 0;

    asked->tag = 0;
    if (asked->bytes == model_chunk_bytes(f->cache.info.bytes, asked->chunk))
        kept = model_cache_put(&f->cache, asked->chunk, asked->data, fail);
    if (kept < 0)
        return FATAL;
    if (kept == 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "chunk %u of the model does not fit its hash: has its file changed?", asked->chunk);
        return NEXT_PEER;
    }
    f->got_ns = mesh_udp_now_ns();
    show(f, f->cache.have_count);
    return DONE;
}

static enum outcome take(struct fetch *f, const struct bulk_record *got, struct fail *fail)
{
    struct asked *asked = NULL;
    char why[BULK_WHY_BYTES];

    for (int i = 0; i < ASKED_MAX; i++)
        if (f->asked[i].tag == got->tag)
            asked = &f->asked[i];
    assert(asked != NULL); /* bulk_next takes only what was asked for */
    if (got->kind == BULK_REFUSED) {
        bulk_why(got, why);
        fail_set(fail, EXIT_ENVIRONMENT, "%s", why);
        return NEXT_PEER;
    }
    if (got->kind == BULK_END)
        return keep(f, asked, fail);
    memcpy(asked->data + asked->bytes, got->data, got->data_bytes);
    asked->bytes += (uint32_t)got->data_bytes;
    return DONE;
}

static enum outcome fetch_chunks(struct fetch *f, struct fail *fail)
{
    struct bulk_record got;
    int count;

    f->next = 0;
    while ((count = ask_more(f, fail)) > 0) {
        const int result = bulk_next(&f->bulk, &got, DATA_NS, fail);
        enum outcome outcome = NEXT_PEER;

        if (result > 0)
            outcome = take(f, &got, fail);
        else if (result == 0)
            fail_set(fail, EXIT_ENVIRONMENT, "nothing came for 30 s");
        if (outcome != DONE)
            return outcome;
    }
    return count < 0 ? NEXT_PEER : DONE;
}

static void close_cache(struct fetch *f)
{
    if (f->is_open)
        model_cache_close(&f->cache);
    f->is_open = false;
}

/* The folder for this model, and what of it is there and good. */
static enum outcome open_cache(struct fetch *f, const struct model_info *info, struct fail *fail)
{
    enum outcome outcome;

    if (f->is_open && memcmp(f->cache.info.id, info->id, sizeof info->id) == 0)
        return ask_hashes(f, fail);
    close_cache(f);
    f->is_open = true;
    if (model_cache_open(&f->cache, f->root, info, LOCK_NS, fail) < 0)
        return FATAL;
    outcome = ask_hashes(f, fail);
    if (outcome != DONE)
        return outcome;
    begin(f, "checking the model in the cache");
    if (model_cache_check(&f->cache, on_step, f, fail) < 0 || model_cache_has_room(&f->cache, fail) < 0)
        return FATAL;
    progress_end(&f->progress);
    if (f->cache.bad_count > 0)
        fprintf(stderr, "%s: %u damaged chunk%s: fetching %s again\n", f->cache.path, f->cache.bad_count,
                f->cache.bad_count == 1 ? "" : "s", f->cache.bad_count == 1 ? "it" : "them");
    if (f->cache.have_count < f->cache.count)
        fprintf(stderr, "fetching %s from %s: %u of %u MiB are missing\n", info->name, f->from, f->cache.count - f->cache.have_count,
                f->cache.count);
    return DONE;
}

static enum outcome fetch_from(struct fetch *f, struct mesh_caller *caller, struct fail *fail)
{
    const uint64_t asked_ns = mesh_udp_now_ns();
    struct model_info info;
    enum outcome outcome;

    bulk_init(&f->bulk, caller);
    for (int i = 0; i < ASKED_MAX; i++)
        f->asked[i].tag = 0;
    if (ask_info(f, &info, fail) < 0)
        return NEXT_PEER;
    f->got_ns += mesh_udp_now_ns() - asked_ns; /* while it looked through its file it was no waiting */
    outcome = open_cache(f, &info, fail);
    if (outcome != DONE)
        return outcome;
    begin(f, "fetching the model");
    outcome = fetch_chunks(f, fail);
    progress_end(&f->progress);
    if (outcome == DONE)
        model_cache_remember(f->root, f->config->cluster, f->cache.info.id);
    return outcome;
}

static enum outcome ask_peer(struct fetch *f, struct mesh_addr peer, struct fail *fail)
{
    const struct model_fetch_config *c = f->config;
    const struct mesh_caller_config config = {
        .address = f->from, .security = c->security, .key = c->key, .key_file = c->key_file, .cluster = c->cluster, .timeout_ns = CALL_NS};
    struct mesh_caller *caller;
    enum outcome outcome;

    mesh_addr_format(peer, f->from);
    caller = caller_open(&config, fail);
    if (caller == NULL)
        return NEXT_PEER;
    outcome = fetch_from(f, caller, fail);
    caller_close(caller);
    if (outcome == NEXT_PEER)
        say_peer(f, fail);
    return outcome;
}

/* ---- all peers ---- */

/* Nobody answers: what this cluster had last, if it is all there. */
static bool recall(struct fetch *f)
{
    uint8_t id[MODEL_HASH_BYTES];
    struct fail ignored;

    if (f->is_open || model_cache_recall(f->root, f->config->cluster, id) < 0)
        return false;
    f->is_open = true;
    if (model_cache_reopen(&f->cache, f->root, id, 0, &ignored) == 0) {
        begin(f, "checking the model in the cache");
        if (model_cache_check(&f->cache, on_step, f, &ignored) == 0 && f->cache.have_count == f->cache.count) {
            progress_end(&f->progress);
            fputs("no peer answers: taking the model that this cluster had last\n", stderr);
            return true;
        }
        progress_end(&f->progress);
    }
    close_cache(f);
    return false;
}

static enum outcome ask_all(struct fetch *f, struct fail *fail)
{
    struct fail last = {0};

    fprintf(stderr, "no model given: asking %u peer%s for it\n", f->config->peer_count, f->config->peer_count == 1 ? "" : "s");
    for (;;) {
        const uint64_t round_ns = mesh_udp_now_ns();

        for (unsigned i = 0; i < f->config->peer_count; i++) {
            const enum outcome outcome = ask_peer(f, f->config->peer[i], &last);

            if (outcome != NEXT_PEER) {
                *fail = last;
                return outcome;
            }
        }
        if (recall(f))
            return DONE;
        if (mesh_udp_now_ns() - f->got_ns >= f->config->wait_ns) {
            fail_set(fail, EXIT_ENVIRONMENT,
                     "no peer has the model: %.350s: start a node that has it with -m MODEL.gguf, and this one again", last.text);
            return FATAL;
        }
        if (mesh_udp_now_ns() - round_ns < SECOND_NS)
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

static int run(struct fetch *f, struct model_fetched *fetched, struct fail *fail)
{
    for (int i = 0; i < ASKED_MAX; i++) {
        f->asked[i].data = malloc(MODEL_CHUNK_BYTES);
        if (f->asked[i].data == NULL)
            return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    }
    if (f->root == NULL || ask_all(f, fail) != DONE)
        return -1;
    fetched->path = strdup(f->cache.path);
    fetched->hashes = malloc((size_t)f->cache.count * MODEL_HASH_BYTES);
    if (fetched->path == NULL || fetched->hashes == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    memcpy(fetched->hashes, f->cache.hashes, (size_t)f->cache.count * MODEL_HASH_BYTES);
    fprintf(stderr, "the model is there: %s\n", fetched->path);
    return 0;
}

int model_fetch(const struct model_fetch_config *config, struct model_fetched *fetched, struct fail *fail)
{
    struct fetch *f = calloc(1, sizeof *f);
    int result;

    *fetched = (struct model_fetched){0};
    if (f == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    signal(SIGXFSZ, SIG_IGN); /* a limit on sizes of files is an error of the write, in words */
    f->config = config;
    f->got_ns = mesh_udp_now_ns();
    f->root = model_cache_root(fail);
    result = run(f, fetched, fail);
    progress_end(&f->progress);
    close_cache(f);
    for (int i = 0; i < ASKED_MAX; i++)
        free(f->asked[i].data);
    free(f->root);
    free(f);
    return result;
}

void model_fetched_release(struct model_fetched *fetched)
{
    free(fetched->path);
    free(fetched->hashes);
    *fetched = (struct model_fetched){0};
}
