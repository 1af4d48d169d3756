#include "bulk.h"

#include <assert.h>
#include <string.h>

#include "node/common/bytes.h"

/* ---- records ---- */

bool bulk_is_one(const uint8_t *record, size_t bytes)
{
    return bytes > 0 && ((record[0] >= BULK_GET && record[0] <= BULK_STOP) || (record[0] >= BULK_DATA && record[0] <= BULK_REFUSED));
}

static void put_all(struct bytes *out, const uint8_t *data, size_t bytes)
{
    if (bytes > 0 && bytes_advance(out, bytes))
        memcpy(out->at + out->used - bytes, data, bytes);
}

static void put_want(struct bytes *out, const struct bulk_want *want)
{
    assert(want->args_bytes <= BULK_ARGS_BYTES_MAX);
    bytes_put_u8(out, want->resource);
    bytes_put_u64(out, want->offset);
    bytes_put_u64(out, want->bytes);
    bytes_put_u8(out, (uint8_t)want->args_bytes);
    put_all(out, want->args, want->args_bytes);
}

static int get_want(struct bytes *in, struct bulk_want *want)
{
    want->resource = bytes_get_u8(in);
    want->offset = bytes_get_u64(in);
    want->bytes = bytes_get_u64(in);
    want->args_bytes = bytes_get_u8(in);
    if (want->args_bytes > BULK_ARGS_BYTES_MAX || !bytes_advance(in, want->args_bytes))
        return -1;
    memcpy(want->args, in->read + in->used - want->args_bytes, want->args_bytes);
    return want->bytes == BULK_TO_END || want->bytes <= UINT64_MAX - want->offset ? 0 : -1;
}

size_t bulk_write(const struct bulk_record *in, uint8_t *record)
{
    struct bytes out = bytes_writer(record, BULK_DATA_BYTES_MAX + 64);

    bytes_put_u8(&out, (uint8_t)in->kind);
    bytes_put_u32(&out, in->tag);
    if (in->kind == BULK_GET)
        put_want(&out, &in->want);
    if (in->kind == BULK_DATA || in->kind == BULK_END)
        bytes_put_u64(&out, in->offset);
    if (in->kind == BULK_DATA || in->kind == BULK_REFUSED)
        put_all(&out, in->data, in->data_bytes);
    assert(bytes_ok(&out));
    return bytes_size(&out);
}

int bulk_read(struct bulk_record *out, const uint8_t *record, size_t bytes)
{
    struct bytes in = bytes_reader(record, bytes);

    memset(out, 0, sizeof *out);
    out->kind = (enum bulk_kind)bytes_get_u8(&in);
    out->tag = bytes_get_u32(&in);
    if (out->kind == BULK_DATA || out->kind == BULK_END)
        out->offset = bytes_get_u64(&in);
    if (out->kind == BULK_GET && get_want(&in, &out->want) < 0)
        return -1;
    if (out->kind == BULK_DATA || out->kind == BULK_REFUSED) {
        out->data = record + in.used;
        out->data_bytes = bytes_left(&in);
        bytes_advance(&in, out->data_bytes);
    }
    if (!bulk_is_one(record, bytes) || !bytes_ok(&in) || bytes_left(&in) > 0)
        return -1;
    return out->kind != BULK_DATA || (out->data_bytes > 0 && out->data_bytes <= UINT64_MAX - out->offset) ? 0 : -1;
}

void bulk_why(const struct bulk_record *refused, char out[BULK_WHY_BYTES])
{
    const size_t size = refused->data_bytes < BULK_WHY_BYTES - 1 ? refused->data_bytes : BULK_WHY_BYTES - 1;

    for (size_t i = 0; i < size; i++)
        out[i] = refused->data[i] >= ' ' && refused->data[i] <= '~' ? (char)refused->data[i] : '?';
    out[size] = '\0';
}

/* ---- the side that asks ---- */

void bulk_init(struct bulk *bulk, struct mesh_client *client)
{
    *bulk = (struct bulk){.client = client};
}

int bulk_ask(struct bulk *bulk, const struct bulk_want *want, uint32_t *tag, struct fail *fail)
{
    const struct bulk_record get = {.kind = BULK_GET, .tag = bulk->tag + 1, .want = *want};
    uint8_t record[BULK_DATA_BYTES_MAX + 64];

    assert(bulk->open_count < BULK_OPEN_MAX);
    if (client_session_send(bulk->client, record, bulk_write(&get, record), fail) < 0)
        return -1;
    *tag = ++bulk->tag;
    bulk->open[bulk->open_count++] =
        (struct bulk_open){.tag = *tag, .next = want->offset, .end = want->bytes == BULK_TO_END ? UINT64_MAX : want->offset + want->bytes};
    return 0;
}

static struct bulk_open *find_open(struct bulk *bulk, uint32_t tag)
{
    for (unsigned i = 0; i < bulk->open_count; i++)
        if (bulk->open[i].tag == tag)
            return &bulk->open[i];
    return NULL;
}

/* Does the record answer an open GET, and continue where the last one ended? */
static int take(struct bulk *bulk, const struct bulk_record *got)
{
    struct bulk_open *open = find_open(bulk, got->tag);

    if (open == NULL || got->kind < BULK_DATA || (got->kind != BULK_REFUSED && got->offset != open->next))
        return -1;
    if (got->kind != BULK_DATA) {
        *open = bulk->open[--bulk->open_count];
        return 0;
    }
    if (got->data_bytes > open->end - open->next)
        return -1;
    open->next += got->data_bytes;
    return 0;
}

int bulk_next(struct bulk *bulk, struct bulk_record *got, uint64_t timeout_ns, struct fail *fail)
{
    const uint8_t *record;
    size_t bytes;
    int result = client_session_receive(bulk->client, &record, &bytes, timeout_ns, fail);

    if (result <= 0)
        return result;
    if (bulk_read(got, record, bytes) < 0 || take(bulk, got) < 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "the node's answer does not match the request: run one release everywhere");
    return 1;
}
