/* The calls of a node's client sessions, given again. No keys are needed: the tape has datagrams opened. */
#include "rerun_parts.h"

#include <string.h>

static int call_init(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_sessions_init *init = &entry->sessions_init;
    struct mesh_sessions_config config = {.capacity = init->capacity, .version = init->version, .hash = rerun->hash, .tap = &rerun->tap};
    const size_t bytes = mesh_sessions_memory_bytes(init->capacity <= MESH_SESSIONS_MAX ? init->capacity : 0);
    int err = mesh_rerun_check_begin(rerun, init->format, init->hash);

    if (err)
        return err;
    if (!mesh_rerun_take_memory(rerun, bytes))
        return mesh_rerun_refuse(rerun, MESH_ENOMEM, "no memory for client sessions");
    memcpy(config.incarnation, init->incarnation, sizeof config.incarnation);
    memcpy(config.secret, init->secret, sizeof config.secret);
    if (mesh_sessions_init(&rerun->sessions, &config, rerun->memory, bytes, init->at_ns) != 0)
        return mesh_rerun_refuse(rerun, MESH_EINVAL, "no client sessions have such a config");
    return 0;
}

static int call_receive(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    const struct mesh_tape_sessions_receive *in = &entry->sessions_receive;
    const size_t bytes = mesh_rerun_packet(rerun, entry);

    if (entry->call.payload == MESH_TAPE_HASHED)
        rerun->receives_known = false;
    mesh_sessions_receive(rerun->sessions, in->at_ns, mesh_rerun_addr(in->ip, in->port, in->scope), rerun->packet, bytes);
    return 0;
}

static int call_tick(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_sessions_tick(rerun->sessions, entry->call.at_ns);
    return 0;
}

static int call_send(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    int err = mesh_rerun_record(rerun, entry);

    if (err)
        return err;
    err = mesh_sessions_send(rerun->sessions, entry->call.at_ns, entry->sessions_send.session, rerun->packet, entry->call.payload_bytes);
    if (err == 0)
        return 0;
    return mesh_rerun_impossible(rerun, err == MESH_AGAIN ? "this session's queue of records is full"
                                                          : "there is no such session, or it is not open");
}

static int call_close(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_sessions_close(rerun->sessions, entry->call.at_ns, entry->sessions_close.session);
    return 0;
}

static int call_end(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    mesh_sessions_end(rerun->sessions, entry->call.at_ns);
    return 0;
}

static int call_event(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_session_event event;

    mesh_sessions_next_event(rerun->sessions, entry->call.at_ns, &event);
    return 0;
}

static int call_datagram(struct mesh_rerun *rerun, const struct mesh_tape_entry *entry)
{
    struct mesh_addr to;

    mesh_sessions_next_datagram(rerun->sessions, entry->call.at_ns, rerun->packet, sizeof rerun->packet, &to);
    return 0;
}

bool mesh_rerun_sessions_knows(const struct mesh_rerun *rerun, const struct mesh_tape_entry *actual)
{
    return actual->call.kind == MESH_TAPE_SESSIONS_EVENT      ? rerun->receives_known
           : actual->call.kind == MESH_TAPE_SESSIONS_DATAGRAM ? rerun->sends_known
                                                              : true;
}

/* Take one more output of the sessions; false: there is none. */
bool mesh_rerun_sessions_have_more(struct mesh_rerun *rerun)
{
    struct mesh_session_event event;
    struct mesh_addr to;

    return mesh_sessions_next_event(rerun->sessions, rerun->now_ns, &event) ||
           mesh_sessions_next_datagram(rerun->sessions, rerun->now_ns, rerun->packet, sizeof rerun->packet, &to) > 0;
}

mesh_rerun_call_fn *const mesh_rerun_sessions_calls[MESH_TAPE_KINDS] = {
    [MESH_TAPE_SESSIONS_INIT] = call_init,         [MESH_TAPE_SESSIONS_RECEIVE] = call_receive,
    [MESH_TAPE_SESSIONS_TICK] = call_tick,         [MESH_TAPE_SESSIONS_SEND] = call_send,
    [MESH_TAPE_SESSIONS_CLOSE] = call_close,       [MESH_TAPE_SESSIONS_END] = call_end,
    [MESH_TAPE_SESSIONS_EVENT] = call_event,       [MESH_TAPE_SESSIONS_NONE] = call_event,
    [MESH_TAPE_SESSIONS_DATAGRAM] = call_datagram, [MESH_TAPE_SESSIONS_DRAINED] = call_datagram,
};
