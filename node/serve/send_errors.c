#include "send_errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mesh/udp.h"

static struct send_error *find(struct send_errors *errors, const struct mesh_addr *to)
{
    for (unsigned i = 0; i < errors->count; i++)
        if (mesh_addr_equal(&errors->entry[i].to, to))
            return &errors->entry[i];
    return NULL;
}

static void drop(struct send_errors *errors, struct send_error *entry)
{
    *entry = errors->entry[--errors->count];
}

/* The one that failed longest ago, when nothing has been sent there for long. */
static bool make_room(struct send_errors *errors, uint64_t now_ns)
{
    struct send_error *oldest = &errors->entry[0];

    for (unsigned i = 1; i < errors->count; i++)
        if (errors->entry[i].last_ns < oldest->last_ns)
            oldest = &errors->entry[i];
    if (errors->count == SEND_ERRORS_MAX && now_ns - oldest->last_ns >= SEND_ERRORS_OLD_NS)
        drop(errors, oldest);
    return errors->count < SEND_ERRORS_MAX;
}

void send_errors_note(struct send_errors *errors, uint64_t now_ns, const struct mesh_addr *to, int error)
{
    struct send_error *entry = find(errors, to);

    if (entry == NULL && (error == 0 || !make_room(errors, now_ns)))
        return;
    if (error == 0) {
        entry->is_again = entry->is_told;
        if (!entry->is_told)
            drop(errors, entry);
        return;
    }
    if (entry == NULL) {
        entry = &errors->entry[errors->count++];
        *entry = (struct send_error){.to = *to, .since_ns = now_ns};
    }
    entry->is_again = false;
    entry->last_ns = now_ns;
    entry->error = error;
}

static const char *advice(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "a firewall of this machine forbids it";
    case EAFNOSUPPORT:
        return "let this node listen at an address of that kind, or at [::]:PORT, which is both";
    case ENOBUFS:
        return "the interface's queue is full: check its cable, the switch, and what else this machine sends there";
    default:
        return "check this machine's addresses, routes and cables";
    }
}

/* Is this one to be told of now, in the same sentence as that one? NULL: in any. */
static bool is_due(const struct send_error *entry, const struct send_error *first)
{
    if (!entry->is_again && (entry->is_told || entry->last_ns - entry->since_ns < SEND_ERRORS_REPORT_AFTER_NS))
        return false;
    return first == NULL || (entry->is_again == first->is_again && (entry->is_again || entry->error == first->error));
}

/* About the first and as many as there are of its kind. */
static void write_sentence(const struct send_error *first, unsigned count, char text[SEND_ERRORS_TEXT_BYTES])
{
    char address[MESH_ADDR_TEXT_BYTES], others[32] = "";

    mesh_addr_format(first->to, address);
    if (count > 1)
        snprintf(others, sizeof others, " and %u other%s", count - 1, count == 2 ? "" : "s");
    if (first->is_again)
        snprintf(text, SEND_ERRORS_TEXT_BYTES, "sending to %s%s works again", address, others);
    else
        snprintf(text, SEND_ERRORS_TEXT_BYTES, SEND_ERRORS_WHAT " to %s%s: %s: %s", address, others, strerror(first->error),
                 advice(first->error));
}

bool send_errors_next(struct send_errors *errors, char text[SEND_ERRORS_TEXT_BYTES], bool *is_again)
{
    struct send_error first;
    unsigned count = 0;

    for (unsigned i = errors->count; i-- > 0;) {
        struct send_error *entry = &errors->entry[i];

        if (!is_due(entry, count > 0 ? &first : NULL))
            continue;
        if (count++ == 0)
            first = *entry;
        if (entry->is_again)
            drop(errors, entry); /* what takes its place has been looked at */
        else
            entry->is_told = true;
    }
    if (count == 0)
        return false;
    write_sentence(&first, count, text);
    *is_again = first.is_again;
    return true;
}

bool send_errors_present(struct send_errors *errors, uint64_t now_ns, char text[SEND_ERRORS_TEXT_BYTES])
{
    const struct send_error *first = NULL;
    unsigned count = 0;

    for (unsigned i = errors->count; i-- > 0;)
        if (now_ns - errors->entry[i].last_ns >= SEND_ERRORS_OLD_NS)
            drop(errors, &errors->entry[i]);
    for (unsigned i = 0; i < errors->count; i++) {
        const struct send_error *entry = &errors->entry[i];

        if (!entry->is_told || entry->is_again)
            continue;
        first = count++ == 0 ? entry : first;
    }
    if (count > 0)
        write_sentence(first, count, text);
    return count > 0;
}
