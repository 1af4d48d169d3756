#include "balance.h"

#include <assert.h>
#include <string.h>

enum {
    SHARE_IS_FIXED = BALANCE_FLAGS_FIRST,
    RATIO_SHIFT = 2,
    SHARE_SHIFT = 12,
    DATAGRAM_NS = 5000, /* of processor time to send and to receive one, which each node pays for each other node in each phase */
    EVEN = 90,          /* percent of the faster one's speed: from here on the share is the same */
    EVEN_BENCHMARK = 75,
    SLOW = 4, /* this many times slower than the fastest: may be left out */
    GAIN = 10,
    GAIN_MORE = 5, /* percent by which a step must become shorter; more for each earlier change */
    GAIN_STEPS_MAX = 4,
    REST_DOUBLED_MAX = 6
};

#define SECOND_NS UINT64_C(1000000000)
#define DRIFT_NS  (5 * SECOND_NS)
#define REST_NS   (10 * SECOND_NS)
#define QUIET_NS  (900 * SECOND_NS)
#define STEP_UP   UINT64_C(1097253708) /* 2^(1/32), times 2^30 */

/* ---- what members tell ---- */

uint32_t balance_flags(const struct balance_member *member)
{
    uint32_t flags = (uint32_t)member->ratio << RATIO_SHIFT;

    assert(member->ratio <= BALANCE_RATIO_MAX && (member->share <= BALANCE_SHARE_MAX || member->share == BALANCE_SHARE_AUTO));
    if (member->share != BALANCE_SHARE_AUTO)
        flags |= SHARE_IS_FIXED | member->share << SHARE_SHIFT;
    return flags;
}

struct balance_member balance_member_of(uint32_t speed, uint32_t flags)
{
    return (struct balance_member){
        .speed = speed,
        .share = flags & SHARE_IS_FIXED ? flags >> SHARE_SHIFT : (uint32_t)BALANCE_SHARE_AUTO,
        .ratio = (uint16_t)(flags >> RATIO_SHIFT & BALANCE_RATIO_MAX),
    };
}

/* speed * 2^((ratio - BALANCE_RATIO_ONE) / BALANCE_RATIO_OCTAVE), from 1 to UINT32_MAX. */
static uint32_t scale(uint32_t speed, uint32_t ratio)
{
    const int32_t steps = (int32_t)ratio - BALANCE_RATIO_ONE;
    const int32_t octaves = (steps + BALANCE_RATIO_ONE) / BALANCE_RATIO_OCTAVE - BALANCE_RATIO_ONE / BALANCE_RATIO_OCTAVE;
    uint64_t factor = UINT64_C(1) << 30, scaled;

    for (int32_t i = octaves * BALANCE_RATIO_OCTAVE; i < steps; i++)
        factor = factor * STEP_UP >> 30;
    scaled = octaves < 0 ? speed * (factor >> 16) >> 14 >> -octaves : speed * (factor >> 16) >> 14 << octaves;
    return scaled == 0 ? 1 : scaled < UINT32_MAX ? (uint32_t)scaled : UINT32_MAX;
}

uint16_t balance_ratio(uint32_t speed, uint32_t benchmark)
{
    uint16_t low = 1, high = BALANCE_RATIO_MAX;

    assert(speed > 0 && benchmark > 0);
    while (low < high) { /* the last one that does not exceed it by more than half a step */
        const uint16_t middle = (uint16_t)((low + high + 1) / 2);

        if ((uint64_t)scale(benchmark, middle) * 99 <= (uint64_t)speed * 100)
            low = middle;
        else
            high = (uint16_t)(middle - 1);
    }
    return low;
}

/* The median ratio of members that have measured both speeds; 0 when none has. The median, since a member that has become slow since its
 * benchmark says nothing about other members' benchmarks. */
static uint32_t common_ratio(const struct balance_member *member, uint16_t count)
{
    uint16_t sorted[MESH_RANKS_MAX], found = 0;

    for (uint16_t r = 0; r < count; r++) {
        uint16_t at = found;

        if (member[r].ratio == 0 || member[r].speed == 0)
            continue;
        for (; at > 0 && sorted[at - 1] > member[r].ratio; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = member[r].ratio;
        found++;
    }
    return found > 0 ? sorted[found / 2] : 0;
}

/* Speeds made comparable, none 0: (count). */
static void comparable_speeds(const struct balance_member *member, uint16_t count, uint32_t *speed)
{
    const uint32_t ratio = common_ratio(member, count);
    uint32_t with_speed = 0;
    uint64_t speeds = 0;

    for (uint16_t r = 0; r < count; r++) {
        speed[r] = member[r].speed;
        if (speed[r] > 0 && member[r].ratio == 0 && ratio > 0)
            speed[r] = scale(speed[r], ratio);
        speeds += speed[r];
        with_speed += speed[r] > 0;
    }
    for (uint16_t r = 0; r < count; r++)
        if (speed[r] == 0)
            speed[r] = with_speed > 0 ? (uint32_t)(speeds / with_speed) : 1;
}

/* ---- what a step costs ---- */

void balance_load_init(struct balance_load *load, const struct model *model)
{
    *load = (struct balance_load){.model = model, .output_bytes = model_row_bytes(model->output)};
    for (uint32_t i = 0; i < model->layers; i++) {
        const struct model_layer *layer = &model->layer[i];

        load->head_bytes += model_row_bytes(layer->q) * model->head_dim;
        load->kv_head_bytes += (model_row_bytes(layer->k) + model_row_bytes(layer->v)) * model->head_dim;
        load->wo_bytes += model_row_bytes(layer->wo);
        load->gate_up_bytes += model_row_bytes(layer->gate) + model_row_bytes(layer->up);
        load->down_bytes += model_row_bytes(layer->down);
    }
    load->bytes = load->head_bytes * model->heads + load->kv_head_bytes * model->kv_heads +
                  (load->wo_bytes + load->down_bytes) * model->dim + load->gate_up_bytes * model->hidden +
                  load->output_bytes * model->vocab;
}

enum { KINDS = 5 }; /* of phases */

/* Bytes that a rank reads in all phases of each kind. */
static void bytes_of_rank(const struct balance_load *load, const struct rowmap *map, uint16_t r, uint64_t bytes[KINDS])
{
    const uint64_t x_rows = (uint64_t)(map->x[r + 1] - map->x[r]) * 32, h_rows = (uint64_t)(map->h[r + 1] - map->h[r]) * 32;
    uint32_t first, kv_heads;

    rowmap_kv_heads(map, load->model, r, &first, &kv_heads);
    bytes[0] = (map->heads[r + 1] - map->heads[r]) * load->head_bytes + kv_heads * load->kv_head_bytes;
    bytes[1] = x_rows * load->wo_bytes;
    bytes[2] = h_rows * load->gate_up_bytes;
    bytes[3] = x_rows * load->down_bytes;
    bytes[4] = (map->vocab[r + 1] - map->vocab[r]) * load->output_bytes;
}

uint64_t balance_weight_bytes(const struct balance_load *load, const struct rowmap *map, uint16_t rank)
{
    uint64_t bytes[KINDS], all = 0;

    bytes_of_rank(load, map, rank, bytes);
    for (int k = 0; k < KINDS; k++)
        all += bytes[k];
    return all;
}

static uint64_t step_ns(const struct balance_load *load, const uint32_t *speed, const struct rowmap *map)
{
    uint64_t slowest_ns[KINDS] = {0}, total_ns = 0;
    uint32_t nodes = 0;

    for (uint16_t r = 0; r < map->rank_count; r++) {
        uint64_t bytes[KINDS], all = 0;

        bytes_of_rank(load, map, r, bytes);
        for (int k = 0; k < KINDS; k++) {
            const uint64_t ns = bytes[k] * 1000000 / speed[r];

            slowest_ns[k] = ns > slowest_ns[k] ? ns : slowest_ns[k];
            all += bytes[k];
        }
        nodes += all > 0;
    }
    for (int k = 0; k < KINDS; k++)
        total_ns += slowest_ns[k];
    return nodes > 1 ? total_ns + (UINT64_C(4) * load->model->layers + 1) * (nodes - 1) * DATAGRAM_NS : total_ns;
}

uint64_t balance_step_ns(const struct balance_load *load, const struct balance_member *member, const struct rowmap *map)
{
    uint32_t speed[MESH_RANKS_MAX];

    comparable_speeds(member, map->rank_count, speed);
    return step_ns(load, speed, map);
}

/* ---- shares ---- */

static bool is_auto(const struct balance_member *member)
{
    return member->share == BALANCE_SHARE_AUTO;
}

/* Ranks whose share follows speed, the fastest first, equals by rank. Returns how many. */
static uint16_t sort_by_speed(const struct balance_member *member, uint16_t count, const uint32_t *speed, uint16_t *rank)
{
    uint16_t found = 0;

    for (uint16_t r = 0; r < count; r++) {
        uint16_t at = found;

        if (!is_auto(&member[r]))
            continue;
        for (; at > 0 && speed[rank[at - 1]] < speed[r]; at--)
            rank[at] = rank[at - 1];
        rank[at] = r;
        found++;
    }
    return found;
}

static bool is_even(const struct balance_member *member, const uint32_t *speed, uint16_t fast, uint16_t slow)
{
    const bool are_measured = member[fast].ratio > 0 && member[slow].ratio > 0;

    return (uint64_t)speed[slow] * 100 >= (uint64_t)speed[fast] * (are_measured ? EVEN : EVEN_BENCHMARK);
}

/* Members of nearly the same speed get the same share, whatever their last measurements say. */
static void even_out(const struct balance_member *member, const uint16_t *rank, uint16_t found, uint32_t *speed)
{
    for (uint16_t first = 0, next; first < found; first = next) {
        uint64_t sum = 0;

        for (next = first; next < found && is_even(member, speed, rank[first], rank[next]); next++)
            sum += speed[rank[next]];
        for (uint16_t i = first; i < next; i++)
            speed[rank[i]] = (uint32_t)(sum / (uint16_t)(next - first));
    }
}

/* In proportion to speed, beside the requested shares of others. */
static void deal(const struct balance_member *member, uint16_t count, const uint32_t *speed, uint16_t autos, uint32_t *share)
{
    uint64_t sum = 0, total = 0;

    for (uint16_t r = 0; r < count; r++)
        sum += is_auto(&member[r]) ? speed[r] : 0;
    for (uint16_t r = 0; r < count; r++) {
        if (!is_auto(&member[r]))
            share[r] = autos > 0 ? member[r].share * BALANCE_EVEN : member[r].share;
        else
            share[r] = (uint32_t)((uint64_t)speed[r] * BALANCE_EVEN * autos / sum);
        if (is_auto(&member[r]) && share[r] == 0)
            share[r] = 1;
        total += share[r];
    }
    for (uint16_t r = 0; total == 0 && r < count; r++)
        share[r] = 1; /* no member wants any rows, but they must go somewhere */
}

static uint64_t step_ns_of_shares(const struct balance_load *load, const uint32_t *speed, const uint32_t *share, uint16_t count)
{
    struct rowmap map;
    struct fail fail;

    if (rowmap_init(&map, load->model, share, count, &fail) < 0)
        return UINT64_MAX;
    return step_ns(load, speed, &map);
}

/* Leave out as many of the slowest members as makes steps shorter. */
static void leave_out_slow(const struct balance_load *load, const uint32_t *speed, const uint16_t *rank, uint16_t autos, uint16_t count,
                           uint32_t *share)
{
    uint64_t best_ns = step_ns_of_shares(load, speed, share, count);
    uint32_t fewer[MESH_RANKS_MAX];

    memcpy(fewer, share, count * sizeof *share);
    for (uint16_t i = autos; i > 1 && (uint64_t)speed[rank[i - 1]] * SLOW < speed[rank[0]]; i--) {
        uint64_t ns;

        fewer[rank[i - 1]] = 0;
        ns = step_ns_of_shares(load, speed, fewer, count);
        if (ns < best_ns) {
            best_ns = ns;
            memcpy(share, fewer, count * sizeof *share);
        }
    }
}

/* A share of less than half a unit of every dimension becomes 0. */
static void leave_out_empty(const struct balance_load *load, const struct balance_member *member, uint16_t count, uint32_t *share)
{
    struct rowmap map;
    struct fail fail;

    if (rowmap_init(&map, load->model, share, count, &fail) < 0)
        return;
    for (uint16_t r = 0; r < count; r++)
        if (is_auto(&member[r]) && map.x[r] == map.x[r + 1] && map.h[r] == map.h[r + 1] && map.heads[r] == map.heads[r + 1] &&
            map.vocab[r] == map.vocab[r + 1])
            share[r] = 0;
}

void balance_shares(const struct balance_load *load, const struct balance_member *member, uint16_t count, uint32_t *share)
{
    uint32_t speed[MESH_RANKS_MAX];
    uint16_t rank[MESH_RANKS_MAX], autos;

    assert(count >= 1 && count <= MESH_RANKS_MAX);
    comparable_speeds(member, count, speed);
    autos = sort_by_speed(member, count, speed, rank);
    even_out(member, rank, autos, speed);
    deal(member, count, speed, autos, share);
    if (autos > 1)
        leave_out_slow(load, speed, rank, autos, count, share);
    leave_out_empty(load, member, count, share);
}

/* ---- when ---- */

static uint64_t rest_ns(const struct balance *balance)
{
    return REST_NS << (balance->changes < REST_DOUBLED_MAX ? balance->changes : REST_DOUBLED_MAX);
}

void balance_begin(struct balance *balance, uint64_t now_ns, bool has_new_shares)
{
    balance->changes = has_new_shares ? balance->changes + 1 : 0;
    balance->begun_ns = now_ns;
    balance->rest_until_ns = now_ns + rest_ns(balance);
    balance->drift_ns = 0;
}

/* Percent of a step's time that new shares must save. */
static uint32_t least_gain(const struct balance *balance)
{
    return GAIN + GAIN_MORE * (balance->changes < GAIN_STEPS_MAX ? balance->changes : GAIN_STEPS_MAX);
}

static bool is_worth_it(const struct balance *balance, const struct balance_load *load, const struct balance_member *member,
                        const struct rowmap *map, uint32_t *share)
{
    uint32_t speed[MESH_RANKS_MAX];
    uint64_t now_ns, then_ns;

    comparable_speeds(member, map->rank_count, speed);
    balance_shares(load, member, map->rank_count, share);
    if (balance_fit(load, member, map->rank_count, share) > 0)
        return false;
    now_ns = step_ns(load, speed, map);
    then_ns = step_ns_of_shares(load, speed, share, map->rank_count);
    return then_ns / (100 - least_gain(balance)) < now_ns / 100;
}

bool balance_is_due(struct balance *balance, uint64_t now_ns, const struct balance_load *load, const struct balance_member *member,
                    const struct rowmap *map, uint32_t *share)
{
    if (now_ns - balance->begun_ns >= QUIET_NS)
        balance->changes = 0;
    if (!is_worth_it(balance, load, member, map, share)) {
        balance->drift_ns = 0;
        return false;
    }
    if (balance->drift_ns == 0)
        balance->drift_ns = now_ns;
    if (now_ns - balance->drift_ns < DRIFT_NS || now_ns < balance->rest_until_ns)
        return false;
    balance->rest_until_ns = now_ns + rest_ns(balance); /* in case the proposal has no effect */
    return true;
}
