/* One peer's part in fetching a model: the model's description, the chunks that the peer has, and fetching those that are wanted. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_fetch_state.h"
#include "node/common/log.h"
#include "node/common/notify.h"

#define CALL_NS (2 * (uint64_t)SECOND_NS)    /* to wait for a peer's answer */
#define LIST_NS (600 * (uint64_t)SECOND_NS)  /* it may have to read its whole file first */
#define DATA_NS (30 * (uint64_t)SECOND_NS)   /* between two pieces */
#define LOOK_NS (10 * (uint64_t)1000000)     /* between two checks whether it is still wanted */
#define LOCK_NS (3600 * (uint64_t)SECOND_NS) /* while another process of this machine fetches the same */

/* ---- what people see ---- */

/* Only of a start: a member's status says more. */
static void tell_manager(struct fetch *f, uint32_t done)
{
    const uint64_t now_ns = mesh_udp_now_ns();
    char text[120];

    if (f->config->stops != NULL || f->wanted_count == 0 || now_ns - f->told_ns < SECOND_NS)
        return;
    f->told_ns = now_ns;
    snprintf(text, sizeof text, "STATUS=%s: %.0f %% of %u MiB", f->doing, 100.0 * done / f->wanted_count, f->wanted_count);
    notify_manager(text);
}

static void show(struct fetch *f, uint32_t done)
{
    tell_manager(f, done);
    if (f->wanted_count > 0 && progress_is_due(&f->progress))
        log_part("\r%s: %3.0f %% of %u MiB ", f->doing, 100.0 * done / f->wanted_count, f->wanted_count);
}

/* The log may have a thread of its own, which writes after what it was given before. */
void fetch_end_progress(struct fetch *f)
{
    if (progress_stop(&f->progress))
        log_part(PROGRESS_CLEAR);
}

void fetch_on_step(void *app, uint32_t done)
{
    show(app, done);
}

void fetch_begin(struct fetch *f, const char *doing)
{
    f->doing = doing;
    f->told_ns = 0;
    progress_begin(&f->progress);
}

/* Not repeatedly the same, while there is no other peer to ask. */
static void log_peer(struct fetch *f, const struct fail *fail)
{
    const bool has_name = strncmp(fail->text, f->from, strlen(f->from)) == 0;
    char text[sizeof f->said];

    fetch_end_progress(f);
    snprintf(text, sizeof text, "%s%s%s", has_name ? "" : f->from, has_name ? "" : ": ", fail->text);
    if (strcmp(text, f->said) != 0 && !f->config->is_quiet)
        log_line("%s", text);
    memcpy(f->said, text, sizeof text);
}

/* ---- one peer ---- */

bool fetch_is_stopped(const struct fetch *f)
{
    return f->config->stops != NULL && atomic_load(f->config->stops);
}

/* bulk_next, but it can be stopped. */
static int next(struct fetch *f, struct bulk_record *got, uint64_t timeout_ns, struct fail *fail)
{
    const uint64_t begin_ns = mesh_udp_now_ns();
    int result = 0;

    while (result == 0 && mesh_udp_now_ns() - begin_ns < timeout_ns) {
        if (fetch_is_stopped(f))
            return fail_set(fail, EXIT_ENVIRONMENT, "no longer wanted");
        result = bulk_next(&f->bulk, got, f->config->stops != NULL ? LOOK_NS : timeout_ns, fail);
    }
    if (result == 0)
        fail_set(fail, EXIT_ENVIRONMENT, "nothing came for %g s", (double)timeout_ns / SECOND_NS);
    return result;
}

/* Get all of a small resource. */
static int64_t get(struct fetch *f, const struct bulk_want *want, uint8_t *out, uint64_t timeout_ns, struct fail *fail)
{
    struct bulk_record got;
    char why[BULK_WHY_BYTES];
    uint32_t tag;

    if (bulk_ask(&f->bulk, want, &tag, fail) < 0)
        return -1;
    while (next(f, &got, timeout_ns, fail) > 0) {
        if (got.kind == BULK_END)
            return (int64_t)(got.offset - want->offset);
        if (got.kind == BULK_REFUSED) {
            bulk_why(&got, why);
            return fail_set(fail, EXIT_ENVIRONMENT, "%s", why);
        }
        memcpy(out + (got.offset - want->offset), got.data, got.data_bytes);
    }
    return -1;
}

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
    const int64_t size = get(f, &want, bytes, LIST_NS, fail);

    if (size < 0)
        return -1;
    if (model_info_read(info, bytes, (size_t)size) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "describes an impossible model: run one release everywhere");
    if (info->is_strong != mesh_seal_is_available())
        return fail_set(fail, EXIT_ENVIRONMENT, "it uses other hashes than this program: build both with libsodium, or give -m MODEL.gguf");
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
    size = get(f, &want, hashes, LIST_NS, fail);
    if (size == (int64_t)bytes) {
        kept = model_cache_set_hashes(&f->cache, hashes, fail);
        outcome = kept > 0 ? DONE : kept < 0 ? FATAL : NEXT_PEER;
        if (kept == 0)
            fail_set(fail, EXIT_ENVIRONMENT, "the hashes that it gives do not match its model");
    } else if (size >= 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "gives %" PRId64 " bytes of hashes, expected %" PRIu64, size, bytes);
    }
    free(hashes);
    return outcome;
}

/* Ask which chunks the peer has, as it may have only some. */
static int ask_offered(struct fetch *f, struct fail *fail)
{
    const uint64_t bytes = (f->cache.count + 7) / 8;
    const struct bulk_want want = want_of(f, BULK_MODEL_HAVE, 0, bytes);
    uint8_t *bits = malloc(bytes);
    int64_t size;

    if (bits == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    size = get(f, &want, bits, LIST_NS, fail);
    for (uint32_t chunk = 0; chunk < f->cache.count; chunk++)
        f->offered[chunk] = size == (int64_t)bytes && (bits[chunk / 8] >> chunk % 8 & 1) != 0;
    free(bits);
    if (size >= 0 && size != (int64_t)bytes)
        fail_set(fail, EXIT_ENVIRONMENT, "says what it has in %" PRId64 " bytes, expected %" PRIu64, size, bytes);
    return size == (int64_t)bytes ? 0 : -1;
}

static bool is_missing(const struct fetch *f, uint32_t chunk)
{
    return f->wanted[chunk] != 0 && f->cache.have[chunk] == 0;
}

/* Ask for missing chunks, as many at once as there is room for. Returns the number of open requests; -1: the session is over. */
static int ask_more(struct fetch *f, struct fail *fail)
{
    int count = 0;

    for (int i = 0; i < ASKED_MAX; i++) {
        struct asked *asked = &f->asked[i];

        while (asked->tag == 0 && f->next < f->cache.count && (!is_missing(f, f->next) || f->offered[f->next] == 0))
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

/* A chunk has arrived. */
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
    atomic_store(&f->part->have[asked->chunk], 1);
    f->missing--;
    f->got_ns = mesh_udp_now_ns();
    show(f, f->wanted_count - f->missing);
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
        const int result = next(f, &got, DATA_NS, fail);
        const enum outcome outcome = result > 0 ? take(f, &got, fail) : NEXT_PEER;

        if (outcome != DONE)
            return outcome;
    }
    if (count == 0 && f->missing > 0) {
        fail_set(fail, EXIT_ENVIRONMENT, "does not have %u MiB that are missing here", f->missing);
        return NEXT_PEER;
    }
    return count < 0 ? NEXT_PEER : DONE;
}

void fetch_close_cache(struct fetch *f)
{
    if (f->is_open)
        model_cache_close(&f->cache);
    f->is_open = false;
}

/* From the first peer that names the model: wanted is what stands before the tensors, or all. */
int fetch_begin_part(struct fetch *f, struct fail *fail)
{
    struct model_part *part = f->part;

    if (f->is_known)
        return 0;
    model_part_release(part);
    free(f->wanted);
    free(f->offered);
    part->info = f->cache.info;
    part->count = f->cache.count;
    part->path = strdup(f->cache.path);
    part->hashes = calloc(part->count, MODEL_HASH_BYTES);
    part->have = calloc(part->count, sizeof *part->have);
    f->wanted = calloc(part->count, 1);
    f->offered = calloc(part->count, 1);
    if (part->path == NULL || part->hashes == NULL || part->have == NULL || f->wanted == NULL || f->offered == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory: close other programs");
    model_chunks_mark(f->wanted, 0, f->config->whole ? part->info.bytes : part->info.head_bytes);
    return 0;
}

/* What the part knows to be checked need not be checked again, and the reverse. */
static void take_checked(struct fetch *f)
{
    f->wanted_count = 0;
    for (uint32_t chunk = 0; chunk < f->cache.count; chunk++) {
        if (atomic_load(&f->part->have[chunk]) != 0)
            f->cache.have[chunk] = 1;
        f->wanted_count += f->wanted[chunk] != 0;
    }
}

void fetch_give_checked(struct fetch *f)
{
    f->missing = 0;
    for (uint32_t chunk = 0; chunk < f->cache.count; chunk++) {
        if (f->cache.have[chunk] != 0)
            atomic_store(&f->part->have[chunk], 1);
        f->missing += is_missing(f, chunk);
    }
}

/* Check which wanted chunks are there and valid. */
static enum outcome check_cache(struct fetch *f, const char *name, struct fail *fail)
{
    take_checked(f);
    fetch_begin(f, "checking the model in the cache");
    if (model_cache_check(&f->cache, f->wanted, fetch_on_step, f, fail) < 0)
        return FATAL;
    fetch_give_checked(f);
    fetch_end_progress(f);
    if (f->cache.bad_count > 0)
        log_line("%s: %u damaged chunk%s: fetching %s again", f->cache.path, f->cache.bad_count, f->cache.bad_count == 1 ? "" : "s",
                 f->cache.bad_count == 1 ? "it" : "them");
    f->is_checked = true;
    if (f->missing > 0 && !f->config->is_quiet)
        log_line("fetching %s from %s: %u of %u MiB are missing", name, f->from, f->missing, f->wanted_count);
    return model_cache_has_room(&f->cache, f->wanted, fail) < 0 ? FATAL : DONE;
}

/* Open the folder for this model. */
static enum outcome open_cache(struct fetch *f, const struct model_info *info, struct fail *fail)
{
    enum outcome outcome;

    if (!f->is_open || memcmp(f->cache.info.id, info->id, sizeof info->id) != 0) {
        fetch_close_cache(f);
        f->is_open = true;
        f->is_checked = false;
        if (model_cache_open(&f->cache, f->root, info, f->config->stops != NULL ? SECOND_NS : LOCK_NS, fail) < 0 ||
            fetch_begin_part(f, fail) < 0)
            return FATAL;
    }
    outcome = ask_hashes(f, fail);
    if (outcome != DONE || f->is_checked)
        return outcome;
    if (!f->is_known)
        memcpy(f->part->hashes, f->cache.hashes, (size_t)f->cache.count * MODEL_HASH_BYTES);
    return check_cache(f, info->name, fail);
}

static enum outcome fetch_from(struct fetch *f, struct mesh_client *client, struct fail *fail)
{
    const uint64_t asked_ns = mesh_udp_now_ns();
    struct model_info info = f->part->info;
    enum outcome outcome;

    bulk_init(&f->bulk, client);
    for (int i = 0; i < ASKED_MAX; i++)
        f->asked[i].tag = 0;
    if (!f->is_known && ask_info(f, &info, fail) < 0)
        return NEXT_PEER;
    f->got_ns += mesh_udp_now_ns() - asked_ns; /* the time in which the peer read through its file does not count as waiting */
    outcome = open_cache(f, &info, fail);
    if (outcome != DONE)
        return outcome;
    if (f->missing > 0 && ask_offered(f, fail) < 0)
        return NEXT_PEER;
    fetch_begin(f, "fetching the model");
    outcome = fetch_chunks(f, fail);
    fetch_end_progress(f);
    if (outcome == DONE)
        model_cache_remember(f->root, f->config->cluster, f->cache.info.id);
    return outcome;
}

static bool is_wanted(void *app)
{
    return !fetch_is_stopped(app);
}

enum outcome fetch_ask_peer(struct fetch *f, struct mesh_addr peer, struct fail *fail)
{
    const struct model_fetch_config *c = f->config;
    const struct mesh_client_config config = {.address = f->from,
                                              .security = c->security,
                                              .key = c->key,
                                              .key_file = c->key_file,
                                              .cluster = c->cluster,
                                              .timeout_ns = c->stops != NULL ? SECOND_NS : CALL_NS,
                                              .is_wanted = is_wanted,
                                              .app = f};
    struct mesh_client *client;
    enum outcome outcome;
    char text[120];

    mesh_addr_format(peer, f->from);
    if (c->stops == NULL) {
        snprintf(text, sizeof text, "STATUS=asking %s for its model", f->from);
        notify_manager(text);
    }
    client = client_session_open(&config, fail);
    if (client == NULL)
        return NEXT_PEER;
    outcome = fetch_from(f, client, fail);
    client_session_close(client);
    if (outcome == NEXT_PEER)
        log_peer(f, fail);
    return outcome;
}
