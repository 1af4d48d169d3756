#include "port.h"

#include <assert.h>

#include "node/common/idle.h"

void port_init(struct port *port)
{
    atomic_init(&port->owner, PORT_FREE);
    atomic_init(&port->wanted, 0);
    atomic_init(&port->is_parked, false);
    atomic_init(&port->ring_head, 0);
    atomic_init(&port->ring_tail, 0);
    for (uint32_t i = 0; i < PORT_RING_WORDS; i++)
        atomic_init(&port->ring[i].turn, i);
    port->is_stuck = false;
}

/* A thread that leaves a word while another one is the owner relies on the owner to look again after letting go, or to be told before it
 * sleeps. So words, `owner` and `is_parked` are written and then read in one total order (seq_cst): of two threads that pass each other at
 * least one sees the other. */

/* A bounded queue of many writers after D. Vyukov: a cell's turn says who may use it. */
static bool ring_push(struct port *port, const struct port_word *word)
{
    uint32_t at = atomic_load_explicit(&port->ring_tail, memory_order_relaxed);

    for (;;) {
        struct port_cell *cell = &port->ring[at % PORT_RING_WORDS];
        uint32_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);

        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(&port->ring_tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) {
                cell->word = *word;
                atomic_store(&cell->turn, at + 1);
                return true;
            }
        } else if ((int32_t)(turn - at) < 0) {
            return false;
        } else {
            at = atomic_load_explicit(&port->ring_tail, memory_order_relaxed);
        }
    }
}

/* Owner only. */
static bool ring_pop(struct port *port, struct port_word *word)
{
    uint32_t at = atomic_load_explicit(&port->ring_head, memory_order_relaxed);
    struct port_cell *cell = &port->ring[at % PORT_RING_WORDS];

    if (atomic_load_explicit(&cell->turn, memory_order_acquire) != at + 1)
        return false;
    *word = cell->word;
    atomic_store_explicit(&cell->turn, at + PORT_RING_WORDS, memory_order_release);
    atomic_store_explicit(&port->ring_head, at + 1, memory_order_relaxed);
    return true;
}

static bool ring_is_empty(struct port *port)
{
    uint32_t at = atomic_load_explicit(&port->ring_head, memory_order_relaxed);

    return atomic_load(&port->ring[at % PORT_RING_WORDS].turn) != at + 1;
}

/* PORT_FREE: the caller is now the owner. Otherwise the kind of thread that is, or wants to be. */
static enum port_owner take(struct port *port, enum port_owner who)
{
    unsigned owner = atomic_load(&port->owner);

    if (who == PORT_WORKER && atomic_load(&port->wanted) != 0)
        return PORT_LOCKER; /* threads that can do without the port let lockers go first */
    if (owner == PORT_FREE)
        atomic_compare_exchange_strong(&port->owner, &owner, who);
    return (enum port_owner)owner;
}

/* False: the endpoint's send queue is full. */
static bool apply(struct port *port, const struct port_word *word)
{
    const bool is_heard = word->type != PORT_CONSUME || port->on_consume(port->app, word);

    if (port->mesh == NULL || !is_heard)
        return true;
    uint64_t now_ns = port->now_ns(port->clock);
    if (word->type == PORT_CONSUME) {
        mesh_consume(port->mesh, now_ns, word->step, word->phase);
        return true;
    }
    int err = mesh_publish(port->mesh, now_ns, word->step, word->phase, word->token_first, word->token_count, word->block_first,
                           word->block_count);
    assert(err == MESH_OK || err == MESH_AGAIN);
    return err == MESH_OK;
}

static int drain_ring(struct port *port)
{
    struct port_word word;
    int count = 0;

    if (port->is_stuck && !apply(port, &port->stuck))
        return 0;
    port->is_stuck = false;
    while (ring_pop(port, &word)) {
        count++;
        if (apply(port, &word))
            continue;
        if (port->driver.flush != NULL && port->driver.flush(port->driver.driver, port->mesh) > 0 && apply(port, &word))
            continue;
        port->stuck = word;
        port->is_stuck = true;
        break;
    }
    return count;
}

static int drain_events(struct port *port)
{
    struct mesh_event event;
    int count = 0;

    while (mesh_next_event(port->mesh, &event)) {
        port->on_event(port->app, &event);
        count++;
    }
    return count;
}

/* Handle what has arrived, also early data for gathers that are opened only now, until nothing more follows from it. */
static int take_events(struct port *port)
{
    int count = 0, events, answers;

    do {
        events = drain_events(port);
        answers = events > 0 ? port->on_owned(port->app) : 0;
        if ((answers > 0 || (events > 0 && port->answers_events)) && port->driver.flush != NULL)
            port->driver.flush(port->driver.driver, port->mesh);
        count += events + answers;
    } while (answers > 0);
    return count;
}

static int work_as_owner(struct port *port)
{
    int count = port->on_owned(port->app);
    const int said = drain_ring(port);

    count += said;
    if (port->mesh == NULL)
        return count;
    /* What has just been said is sent before anything is received: peers wait for it. */
    if (said > 0 && port->driver.flush != NULL)
        port->driver.flush(port->driver.driver, port->mesh);
    if (port->driver.poll != NULL) {
        int moved = port->driver.poll(port->driver.driver, port->mesh);

        count += moved > 0 ? moved : 0;
    }
    return count + take_events(port);
}

/* Send what is to be sent, and leave arrivals for later: receiving costs a system call. */
static int speak_as_owner(struct port *port)
{
    int count = port->on_owned(port->app);

    count += drain_ring(port);
    if (port->mesh == NULL)
        return count;
    if (port->driver.flush != NULL)
        port->driver.flush(port->driver.driver, port->mesh);
    return count + take_events(port); /* opening a gather may have produced events, on which the next thread to park would sleep */
}

/* Do work as the owner, unless another thread is. */
static int own(struct port *port, int (*work)(struct port *port))
{
    int count = 0;
    bool is_stuck;

    do {
        if (take(port, PORT_WORKER) != PORT_FREE)
            break;
        count += work(port);
        is_stuck = port->is_stuck;
        atomic_store(&port->owner, PORT_FREE);
        /* A word pushed after the ring was drained and before the owner let go has no other thread to handle it. */
    } while (!is_stuck && !ring_is_empty(port));
    return count;
}

int port_poll(struct port *port)
{
    return own(port, work_as_owner);
}

void port_post(struct port *port, const struct port_word *word)
{
    while (!ring_push(port, word)) {
        if (port_poll(port) == 0)
            idle_yield();
    }
    own(port, speak_as_owner);
    port_wake(port);
}

void port_wake(struct port *port)
{
    if (atomic_load(&port->is_parked))
        port->driver.wake(port->driver.driver);
}

void port_rouse(struct port *port)
{
    if (port->mesh != NULL && port->driver.wake != NULL)
        port->driver.wake(port->driver.driver);
}

enum port_park_result port_park(struct port *port, uint64_t max_ns)
{
    if (port->mesh == NULL || port->driver.wait == NULL)
        return PORT_ATTENDED;
    enum port_owner owner = take(port, PORT_WORKER);
    if (owner != PORT_FREE)
        return owner == PORT_WORKER ? PORT_ATTENDED : PORT_LOCKED;
    atomic_store(&port->is_parked, true);
    if (ring_is_empty(port) && !port->is_stuck)
        port->driver.wait(port->driver.driver, port->mesh, max_ns);
    atomic_store(&port->is_parked, false);
    port_unlock(port);
    return PORT_SLEPT;
}

void port_lock(struct port *port)
{
    atomic_fetch_add(&port->wanted, 1);
    while (take(port, PORT_LOCKER) != PORT_FREE) {
        port_wake(port);
        idle_yield();
    }
    atomic_fetch_sub(&port->wanted, 1);
}

void port_unlock(struct port *port)
{
    atomic_store_explicit(&port->owner, PORT_FREE, memory_order_release);
}

void port_read(struct port *port)
{
    if (port->mesh == NULL || port->driver.poll == NULL)
        return;
    port_lock(port);
    port->driver.poll(port->driver.driver, port->mesh);
    port_unlock(port);
    port_rouse(port); /* otherwise the next thread to park would sleep on what has been read */
}
