#include "selection.h"

#include <inttypes.h>
#include <stdio.h>

int selection_open(struct selection *selection, const struct filter *filter, bool with_numbers, struct fail *fail)
{
    *selection = (struct selection){.filter = filter, .numbers = with_numbers ? numbers_open() : NULL};
    if (with_numbers && selection->numbers == NULL)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for the tables: close other programs");
    return 0;
}

void selection_close(struct selection *selection)
{
    numbers_close(selection->numbers);
    selection->numbers = NULL;
}

void selection_frame(struct selection *selection, uint64_t ts_ns)
{
    const bool is_first = selection->first_ns == 0;

    selection->previous_ns = is_first ? ts_ns : selection->now_ns;
    selection->first_ns = is_first ? ts_ns : selection->first_ns;
    selection->now_ns = ts_ns;
    selection->is_wanted = false;
}

/* Look up what is known of a datagram before the filter is applied. */
static void look_up(struct selection *selection, const struct packet *packet)
{
    selection->what = (struct numbers_verdict){0};
    selection->verdict = 0;
    if (packet->bytes == NULL || packet->state == PACKET_FOREIGN)
        return;
    if (selection->numbers != NULL)
        selection->what = numbers_add(selection->numbers, packet);
    if (selection->verdicts != NULL)
        selection->verdict = verdicts_of(selection->verdicts, packet->number - selection->before);
}

bool selection_take(struct selection *selection, const struct packet *packet)
{
    const bool has_datagram = packet->bytes != NULL;
    struct filter_subject subject = {.packet = packet, .first_ns = selection->first_ns, .previous_ns = selection->previous_ns};

    look_up(selection, packet);
    subject.numbers = has_datagram ? &selection->what : NULL;
    subject.verdicts = selection->verdict;
    if (selection->filter != NULL && !filter_match(selection->filter, &subject))
        return false;
    selection->frames += !selection->is_wanted;
    selection->is_wanted = true;
    selection->datagrams += has_datagram && packet->state != PACKET_FOREIGN;
    return true;
}

void selection_note(const struct selection *selection, char *out, size_t size)
{
    const struct numbers_verdict *what = &selection->what;
    const char *note = "";

    if (selection->verdict & FILTER_LOST)
        note = "lost";
    else if (selection->verdict & FILTER_SPURIOUS)
        note = "spurious";
    else if (what->is_duplicate)
        note = "duplicate";
    else if (what->is_reordered || what->is_late)
        note = what->is_late ? "late" : "reordered";
    if (what->gap > 0)
        snprintf(out, size, "%" PRIu64 " missing before%s%s", what->gap, note[0] ? ", " : "", note);
    else
        snprintf(out, size, "%s", note);
}
