/* Running a compiled filter. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "filter_program.h"

static int compare(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    const size_t common = a_size < b_size ? a_size : b_size;
    const int order = common > 0 ? memcmp(a, b, common) : 0;

    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_piece(const struct filter *filter, const struct filter_value *value, const struct filter_piece *piece)
{
    return compare(value->bytes, value->size, filter->pool + piece->at, piece->size);
}

static bool is_in_bytes(const struct filter *filter, const struct filter_range *range, const struct filter_value *value)
{
    if (range->has_low && compare_piece(filter, value, &range->low_bytes) < (range->is_low_out ? 1 : 0))
        return false;
    return !range->has_high || compare_piece(filter, value, &range->high_bytes) <= (range->is_high_out ? -1 : 0);
}

static bool holds(const struct filter *filter, const struct filter_piece *piece, const struct filter_value *value)
{
    return value->size >= piece->size && memmem(value->bytes, value->size, filter->pool + piece->at, piece->size) != NULL;
}

static bool is_in_number(const struct filter_range *range, uint64_t number)
{
    return number >= range->low && number <= range->high;
}

static bool is_in(const struct filter *filter, const struct filter_op *op, const struct filter_value *value)
{
    const bool is_bytes = filter_kind_is_bytes(filter->fields[op->field].kind);
    bool is_true = false;

    for (unsigned i = 0; i < op->count && !is_true; i++) {
        const struct filter_range *range = &filter->ranges[op->first + i];

        if (op->kind == FILTER_CONTAINS)
            is_true = holds(filter, &range->low_bytes, value);
        else
            is_true = is_bytes ? is_in_bytes(filter, range, value) : is_in_number(range, value->number & op->mask);
    }
    return is_true;
}

static bool test(const struct filter *filter, const struct filter_op *op, const struct filter_subject *subject)
{
    struct filter_value value = {0};
    unsigned index = 0;

    for (; filter_field_get(&filter->fields[op->field], subject, index, &value); index++)
        if (op->kind == FILTER_IS_THERE || is_in(filter, op, &value))
            return op->kind != FILTER_NONE;
    return op->kind == FILTER_NONE && index > 0;
}

bool filter_match(const struct filter *filter, const struct filter_subject *subject)
{
    bool is_true = true;

    for (unsigned at = 0; at < filter->op_count; at++) {
        const struct filter_op *op = &filter->ops[at];

        switch (op->kind) {
        case FILTER_NOT:
            is_true = !is_true;
            break;
        case FILTER_SKIP_TRUE:
        case FILTER_SKIP_FALSE:
            assert(op->target > at && op->target <= filter->op_count);
            if (is_true == (op->kind == FILTER_SKIP_TRUE))
                at = op->target - 1u;
            break;
        default:
            is_true = test(filter, op, subject);
            break;
        }
    }
    return is_true;
}

/* ---- losses ---- */

static void fill_header(struct packet *packet, const struct analysis_loss *loss)
{
    struct mesh_header *header = &packet->message.header;
    const struct link_entry *entry = loss->entry;

    *header = (struct mesh_header){.epoch = loss->link->epoch, .src = loss->link->src, .dst = loss->link->dst};
    header->flags = loss->is_all ? MESH_FLAG_ALL : 0;
    packet->state = PACKET_HEADER;
    packet->ts_ns = loss->link->last_ns;
    if (entry == NULL)
        return;
    packet->ts_ns = entry->ts_ns;
    header->number = entry->number;
    header->type = entry->type;
    header->flags |= (uint16_t)((entry->is_resend ? MESH_FLAG_RESEND : 0) | (entry->is_copy ? MESH_FLAG_COPY : 0));
    if (!entry->has_range || entry->type != MESH_TYPE_TILE)
        return;
    packet->state = PACKET_DECODED;
    packet->message.as.tile = (struct mesh_tile){.step = entry->step,
                                                 .phase = entry->phase,
                                                 .token_first = entry->range.token_first,
                                                 .token_count = entry->range.token_count,
                                                 .block_first = entry->range.block_first,
                                                 .block_count = entry->range.block_count};
}

bool filter_match_loss(const struct filter *filter, const struct analysis_loss *loss)
{
    const struct link *link = loss->link;
    const struct frame frame = {.kind = FRAME_UDP, .has_addresses = true, .is_v6 = link->is_v6, .src = link->from, .dst = link->to};
    struct packet packet;
    const struct filter_subject subject = {.packet = &packet, .verdicts = FILTER_LOST, .loss = loss};

    memset(&packet, 0, sizeof packet);
    packet.frame = &frame;
    fill_header(&packet, loss);
    return filter_match(filter, &subject);
}

const char *filter_needs_verdicts(const struct filter *filter)
{
    for (unsigned i = 0; i < filter->field_count; i++)
        if (filter_field_is_verdict(&filter->fields[i]))
            return filter->fields[i].name;
    return NULL;
}

void filter_free(struct filter *filter)
{
    free(filter);
}
