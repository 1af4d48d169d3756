#include "kv_fetch.h"

#include <stdlib.h>
#include <string.h>

#include "mesh/udp.h"
#include "node/client/client_session.h"

enum {
    OPEN_NS = 1000000000,   /* to wait for a node's answer */
    LOOK_NS = 10000000,     /* between two checks whether the fetch is still wanted */
    SILENCE_NS = 2000000000 /* silence after which a node is not asked any more */
};

int kv_fetch_open(struct kv_fetch *fetch)
{
    fetch->source = calloc(KV_FETCH_SOURCES_MAX, sizeof *fetch->source);
    return fetch->source == NULL ? -1 : 0;
}

void kv_fetch_add_source(struct kv_fetch *fetch, struct mesh_addr addr)
{
    char address[MESH_ADDR_TEXT_BYTES];

    mesh_addr_format(addr, address);
    for (uint16_t i = 0; i < fetch->source_count; i++)
        if (strcmp(fetch->source[i].address, address) == 0)
            return;
    if (fetch->source_count < KV_FETCH_SOURCES_MAX)
        memcpy(fetch->source[fetch->source_count++].address, address, sizeof address);
}

static bool is_own(const struct kv_fetch *fetch, uint32_t head)
{
    return head >= fetch->own_first && head < fetch->own_first + fetch->own_count;
}

bool kv_fetch_has_use(const struct kv_fetch *fetch)
{
    bool lacks = false;

    for (uint32_t h = fetch->first; h < fetch->first + fetch->count; h++)
        lacks |= !is_own(fetch, h);
    return lacks && fetch->source_count > 0;
}

/* ---- one node ---- */

static void give_up(struct kv_fetch_source *source)
{
    client_session_close(source->client);
    source->client = NULL;
    source->is_given_up = true;
}

static bool is_wanted(void *app)
{
    const struct kv_fetch *fetch = app;

    return !atomic_load(fetch->is_stopping);
}

static bool open_source(struct kv_fetch *fetch, struct kv_fetch_source *source)
{
    const struct mesh_client_config config = {
        .address = source->address,
        .security = fetch->security,
        .key = fetch->key,
        .cluster = fetch->cluster,
        .timeout_ns = OPEN_NS,
        .is_wanted = is_wanted, /* a node that is stopped does not answer, and then the next epoch waits for this fetch to end */
        .app = fetch,
    };
    struct fail fail;

    if (source->is_given_up || source->client != NULL)
        return !source->is_given_up;
    source->client = client_session_open(&config, &fail);
    if (source->client == NULL)
        source->is_given_up = true;
    else
        bulk_init(&source->bulk, source->client);
    return source->client != NULL;
}

/* Get all of it, at most `size` bytes. -1: not available, or no longer wanted. */
static int64_t get(struct kv_fetch *fetch, struct kv_fetch_source *source, const struct bulk_want *want, uint8_t *out)
{
    uint64_t silent_since_ns = mesh_udp_now_ns();
    struct bulk_record got;
    struct fail fail;
    uint32_t tag;

    if (bulk_ask(&source->bulk, want, &tag, &fail) < 0) {
        give_up(source);
        return -1;
    }
    while (!atomic_load(fetch->is_stopping) && mesh_udp_now_ns() - silent_since_ns < SILENCE_NS) {
        const int result = bulk_next(&source->bulk, &got, LOOK_NS, &fail);

        if (result < 0)
            break;
        if (result == 0)
            continue;
        if (got.kind != BULK_DATA)
            return got.kind == BULK_END ? (int64_t)got.offset : -1;
        memcpy(out + got.offset, got.data, got.data_bytes);
        fetch->bytes += got.data_bytes;
        silent_since_ns = mesh_udp_now_ns();
    }
    give_up(source);
    return -1;
}

/* Whether it has heads, and none of those that are lacking here. One that goes to the next epoch lists nothing at all for a moment. */
static bool is_useless(const struct kv_fetch *fetch, const struct kv_source_list *list)
{
    for (uint32_t h = fetch->first; h < fetch->first + fetch->count; h++)
        if (!is_own(fetch, h) && h >= list->first && h - list->first < list->heads)
            return false;
    return list->heads > 0;
}

/* Sessions are kept open for the next pass, but in a large cluster few nodes have what another lacks, and a node has places for fewer
 * sessions than a cluster has nodes: those that all others keep would leave none to its clients. */
static void list(struct kv_fetch *fetch, struct kv_fetch_source *source)
{
    const struct bulk_want want = {.resource = BULK_KV, .bytes = KV_SOURCE_LIST_BYTES_MAX};
    uint8_t bytes[KV_SOURCE_LIST_BYTES_MAX];

    source->list.count = 0;
    if (!open_source(fetch, source))
        return;
    const int64_t size = get(fetch, source, &want, bytes);
    if (size < 0 || kv_source_list_read(&source->list, bytes, (size_t)size) < 0)
        source->list.count = 0;
    else if (is_useless(fetch, &source->list))
        give_up(source);
}

/* ---- one head ---- */

/* The source with the most positions of the head. */
static struct kv_fetch_source *find_source(struct kv_fetch *fetch, uint64_t request, uint32_t head, uint32_t *positions)
{
    struct kv_fetch_source *best = NULL;

    *positions = 0;
    for (uint16_t s = 0; s < fetch->source_count; s++) {
        struct kv_fetch_source *source = &fetch->source[s];
        const struct kv_source_list *l = &source->list;

        if (source->is_given_up || head < l->first || head - l->first >= l->heads)
            continue;
        for (uint32_t i = 0; i < l->count; i++) {
            if (l->of[i].request != request || l->of[i].positions <= *positions || l->of[i].positions > fetch->ctx)
                continue;
            *positions = l->of[i].positions;
            best = source;
        }
    }
    return best;
}

static uint32_t fetch_head(struct kv_fetch *fetch, uint64_t request, uint32_t head)
{
    const struct saved_kv_head *have = saved_kv_find(&fetch->saved_kv, request, head);
    struct kv_source_range range = {.request = request, .head = head, .first = have == NULL ? 0 : have->positions};
    struct kv_fetch_source *source = find_source(fetch, request, head, &range.positions);
    struct bulk_want want = {.resource = BULK_KV};
    uint8_t *bytes;
    bool has_come;

    if (source == NULL || range.positions <= range.first || range.positions % KV_SOURCE_STEP != 0)
        return 0;
    want.args_bytes = kv_source_range_write(&range, want.args);
    want.bytes = saved_kv_bytes(&fetch->saved_kv.shape, range.positions - range.first);
    bytes = malloc(want.bytes);
    if (bytes == NULL)
        return 0;
    has_come = get(fetch, source, &want, bytes) == (int64_t)want.bytes &&
               saved_kv_extend(&fetch->saved_kv, request, head, range.first, range.positions, bytes);
    free(bytes);
    return has_come ? range.positions - range.first : 0;
}

static bool is_listed(const struct kv_fetch *fetch, uint64_t request)
{
    for (uint16_t s = 0; s < fetch->source_count; s++)
        for (uint32_t i = 0; i < fetch->source[s].list.count; i++)
            if (fetch->source[s].list.of[i].request == request)
                return true;
    return false;
}

/* As many requests as can run at once are known, and one more runs, so some of the others have ended. Before that they cannot be told
 * from requests that go on: a node lists none while it goes to the next epoch itself. */
static void drop_ended(struct kv_fetch *fetch)
{
    for (uint32_t i = fetch->saved_kv.request_count; i-- > 0;)
        if (!is_listed(fetch, fetch->saved_kv.request[i].id))
            saved_kv_drop(&fetch->saved_kv, fetch->saved_kv.request[i].id);
}

static uint64_t fetch_request(struct kv_fetch *fetch, uint64_t request)
{
    uint64_t positions = 0;

    if (saved_kv_request(&fetch->saved_kv, request) == NULL && fetch->saved_kv.request_count >= fetch->slots)
        drop_ended(fetch);
    /* Registered with 0 positions: this node knows nothing else of the request. */
    if (request == 0 || !saved_kv_note(&fetch->saved_kv, request, 0))
        return 0;
    for (uint32_t h = fetch->first; h < fetch->first + fetch->count && !atomic_load(fetch->is_stopping); h++)
        if (!is_own(fetch, h))
            positions += fetch_head(fetch, request, h);
    return positions;
}

uint64_t kv_fetch_pass(struct kv_fetch *fetch)
{
    uint64_t positions = 0;

    for (uint16_t s = 0; s < fetch->source_count && !atomic_load(fetch->is_stopping); s++)
        list(fetch, &fetch->source[s]);
    for (uint16_t s = 0; s < fetch->source_count; s++)
        for (uint32_t i = 0; i < fetch->source[s].list.count && !atomic_load(fetch->is_stopping); i++)
            positions += fetch_request(fetch, fetch->source[s].list.of[i].request);
    return positions;
}

void kv_fetch_close(struct kv_fetch *fetch)
{
    static const atomic_bool is_over = true;

    fetch->is_stopping = &is_over; /* the epoch has begun, or will not: nobody waits for a node that is gone */
    for (uint16_t s = 0; s < fetch->source_count; s++)
        client_session_close(fetch->source[s].client);
    free(fetch->source);
    saved_kv_release(&fetch->saved_kv);
    fetch->source = NULL;
    fetch->source_count = 0;
}
