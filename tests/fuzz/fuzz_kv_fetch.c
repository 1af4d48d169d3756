/* Nodes of which keys and values are fetched answer with anything: what is kept is of positions and heads that were wanted, as long as it
 * should be, and passes end.
 *
 * Input: a byte each for the number of nodes, of passes, and of heads that are this node's own; then what nodes answer (fuzz_peer.h). */
#include <stdlib.h>

#include "node/common/bytes.h"
#include "node/fetch/kv_fetch.h"
#include "tests/fuzz/fuzz_peer.h"

enum { CTX = 64, HEADS = 4, PASSES_MAX = 3, REQUESTS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kv_fetch fetch;

/* Each has a request more than the one before, and 16 positions more of each; lists come from the input, too. */
static int64_t peer_answer(unsigned peer, const struct bulk_want *want, uint8_t *out, size_t room)
{
    static uint8_t list[KV_SOURCE_LIST_BYTES_MAX];
    struct bytes b = bytes_writer(list, sizeof list);
    size_t size;

    if (want->args_bytes > 0) {
        memset(out, (int)peer, room);
        return (int64_t)room;
    }
    bytes_put_u32(&b, peer % 2);
    bytes_put_u32(&b, HEADS - peer % 2);
    bytes_put_u32(&b, peer + 1);
    for (unsigned i = 0; i <= peer; i++) {
        bytes_put_u64(&b, i + 1);
        bytes_put_u32(&b, 16 + 16 * peer);
    }
    size = bytes_size(&b);
    if (want->offset >= size)
        return 0;
    size -= want->offset;
    size = size < room ? size : room;
    memcpy(out, list + want->offset, size);
    return (int64_t)size;
}

static void check(void)
{
    const struct saved_kv *kept = &fetch.saved_kv;

    require(kept->request_count <= SAVED_KV_REQUESTS_MAX);
    for (uint32_t i = 0; i < kept->request_count; i++)
        require(kept->request[i].id != 0 && kept->request[i].positions == 0);
    for (size_t i = 0; i < kept->count; i++) {
        const struct saved_kv_head *head = &kept->head[i];

        require(head->head < HEADS && (head->head < fetch.own_first || head->head >= fetch.own_first + fetch.own_count));
        require(head->positions > 0 && head->positions <= CTX && head->positions % KV_SOURCE_STEP == 0);
        require(saved_kv_request(kept, head->request) != NULL);
        memmove(head->bytes, head->bytes, saved_kv_bytes(&kept->shape, head->positions)); /* there are as many */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const atomic_bool goes_on;
    unsigned nodes, passes;

    peer_begin(data, size);
    nodes = 1 + (unsigned)take(&peer_input, 1) % PEERS_MAX;
    passes = 1 + (unsigned)take(&peer_input, 1) % PASSES_MAX;
    fetch = (struct kv_fetch){.ctx = CTX,
                              .slots = REQUESTS,
                              .count = HEADS,
                              .own_count = (uint32_t)take(&peer_input, 1) % HEADS,
                              .is_stopping = &goes_on,
                              .saved_kv.shape = {.layers = 2, .head_dim = 32, .type = KV_F16}};
    require(kv_fetch_open(&fetch) == 0);
    for (unsigned i = 0; i < nodes; i++)
        kv_fetch_add_source(&fetch, (struct mesh_addr){.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = (uint16_t)(7410 + i)});
    for (unsigned i = 0; i < passes; i++) {
        kv_fetch_pass(&fetch);
        check();
    }
    kv_fetch_close(&fetch);
    for (unsigned i = 0; i < PEERS_MAX; i++)
        require(!peers[i].is_open);
    return 0;
}
