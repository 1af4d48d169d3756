/* Any bytes as a record of a bulk transfer, and as a peer's description of its model: what is read is within its limits, and is written
 * back as the same bytes.
 *
 * The same bytes go to both readers. */
#include <stdlib.h>
#include <string.h>

#include "node/fetch/bulk.h"
#include "node/model/model_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_record(const uint8_t *data, size_t size)
{
    static uint8_t back[BULK_DATA_BYTES_MAX + 64];
    char why[BULK_WHY_BYTES];
    struct bulk_record record;

    if (bulk_read(&record, data, size) < 0)
        return;
    require(bulk_is_one(data, size));
    if (record.kind == BULK_REFUSED)
        bulk_why(&record, why);
    if (record.data_bytes <= BULK_DATA_BYTES_MAX)
        require(bulk_write(&record, back) == size && memcmp(back, data, size) == 0);
}

static void check_info(const uint8_t *data, size_t size)
{
    uint8_t back[MODEL_INFO_BYTES_MAX];
    struct model_info info;

    if (model_info_read(&info, data, size) < 0)
        return;
    require(model_chunk_count(info.bytes) > 0 && model_chunk_count(info.bytes) <= MODEL_CHUNKS_MAX);
    require(model_chunk_bytes(info.bytes, model_chunk_count(info.bytes) - 1) > 0);
    require(model_info_write(&info, back) == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_record(data, size);
    check_info(data, size);
    return 0;
}
