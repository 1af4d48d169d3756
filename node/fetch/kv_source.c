#include "kv_source.h"

#include "node/common/bytes.h"

enum { ARGS_BYTES = 20 };

size_t kv_source_range_write(const struct kv_source_range *range, uint8_t *args)
{
    struct bytes b = bytes_writer(args, BULK_ARGS_BYTES_MAX);

    bytes_put_u64(&b, range->request);
    bytes_put_u32(&b, range->head);
    bytes_put_u32(&b, range->first);
    bytes_put_u32(&b, range->positions);
    return bytes_size(&b);
}

int kv_source_list_read(struct kv_source_list *list, const uint8_t *data, size_t bytes)
{
    struct bytes b = bytes_reader(data, bytes);

    list->first = bytes_get_u32(&b);
    list->heads = bytes_get_u32(&b);
    list->count = bytes_get_u32(&b);
    if (!bytes_ok(&b) || list->count > ENGINE_SLOTS_MAX || bytes_left(&b) != 12 * (size_t)list->count)
        return -1;
    for (uint32_t i = 0; i < list->count; i++) {
        list->of[i].request = bytes_get_u64(&b);
        list->of[i].positions = bytes_get_u32(&b);
    }
    return 0;
}

static size_t write_list(struct engine *engine, uint8_t *out, size_t room)
{
    struct bytes b = bytes_writer(out, room);
    struct engine_cached cached[ENGINE_SLOTS_MAX];
    uint32_t first, heads, count = engine_cached(engine, cached, &first, &heads);

    bytes_put_u32(&b, first);
    bytes_put_u32(&b, heads);
    bytes_put_u32(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_u64(&b, cached[i].request);
        bytes_put_u32(&b, cached[i].positions / KV_SOURCE_STEP * KV_SOURCE_STEP);
    }
    return bytes_size(&b);
}

static enum bulk_read_result refuse(const char **why, const char *text)
{
    *why = text;
    return BULK_READ_REFUSED;
}

enum bulk_read_result kv_source_read(void *app, const struct bulk_want *want, uint64_t offset, uint8_t *out, size_t *bytes,
                                     const char **why)
{
    struct engine *engine = *(struct engine **)app;
    struct bytes args = bytes_reader(want->args, want->args_bytes);
    struct kv_source_range range;

    if (engine == NULL)
        return refuse(why, "no epoch is open on this node: ask later");
    if (want->args_bytes == 0) {
        *bytes = offset > 0 ? 0 : write_list(engine, out, *bytes);
        return BULK_READ_DATA;
    }
    range.request = bytes_get_u64(&args);
    range.head = bytes_get_u32(&args);
    range.first = bytes_get_u32(&args);
    range.positions = bytes_get_u32(&args);
    if (want->args_bytes != ARGS_BYTES || range.first % KV_SOURCE_STEP != 0 || range.positions % KV_SOURCE_STEP != 0 ||
        !engine_cached_read(engine, range.request, range.head, range.first, range.positions, offset, out, bytes))
        return refuse(why, "this node does not have these positions: ask for what it lists");
    return BULK_READ_DATA;
}
