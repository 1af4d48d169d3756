/* How rows are divided in an epoch, and whether there is memory for them. */
#include "balance.h"
#include "epoch_run.h"
#include "node/common/memory_text.h"

int epoch_run_divide(struct rowmap *map, const struct epoch_run_config *config, const struct mesh_cluster_member *member, uint16_t count,
                     uint64_t *missing_bytes, struct fail *fail)
{
    struct balance_member by_speed[MESH_RANKS_MAX];
    uint32_t share[MESH_RANKS_MAX];
    struct balance_load load;
    bool has_shares = false;

    balance_load_init(&load, config->model);
    balance_load_cache(&load, config->kv_type, config->ctx, config->slots);
    for (uint16_t r = 0; r < count; r++) {
        has_shares |= member[r].share > 0;
        share[r] = member[r].share;
        by_speed[r] = balance_member_of(member[r].speed, member[r].flags);
        by_speed[r].memory_bytes = member[r].summary;
    }
    if (!has_shares)
        balance_shares(&load, by_speed, count, share);
    *missing_bytes = balance_fit(&load, by_speed, count, share);
    return rowmap_init(map, config->model, share, count, fail);
}

int epoch_run_buffer_bytes(const struct epoch_run_config *config, uint64_t *bytes, struct fail *fail)
{
    static const uint32_t all_of_two[] = {1, 0};
    struct rowmap map;
    const struct engine_config all = {
        .model = config->model,
        .map = &map,
        .worker_count = config->threads,
        .batch = config->batch,
        .slots = config->slots,
        .ctx = config->ctx,
        .kv_type = config->kv_type,
        .kernel = config->kernel,
        .is_star = config->is_star,
        .is_whole = config->is_whole,
    };
    struct engine_memory memory;
    struct engine *engine = rowmap_init(&map, config->model, all_of_two, 2, fail) < 0 ? NULL : engine_open(&all, NULL, fail);

    if (engine == NULL)
        return -1;
    engine_memory(engine, &memory);
    engine_close(engine);
    *bytes = memory.buffer_bytes;
    return 0;
}

int epoch_run_check_memory(const struct engine *engine, struct fail *fail)
{
    const uint64_t available = memory_available_bytes();
    struct engine_memory memory;
    char needed_text[MEMORY_TEXT_BYTES], available_text[MEMORY_TEXT_BYTES];
    uint64_t needed;

    engine_memory(engine, &memory);
    needed = memory.weight_bytes + memory.kv_bytes + memory.buffer_bytes;
    if (needed <= available)
        return 0;
    memory_text(needed, needed_text);
    memory_text(available, available_text);
    return fail_set(fail, EXIT_ENVIRONMENT,
                    "memory: this node's part needs %s, %s are available: more nodes, a smaller --share, --ctx or --slots need less",
                    needed_text, available_text);
}
