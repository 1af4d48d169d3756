#include "virtual_node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/engine/engine_time.h"

enum {
    STACK_BYTES = 1 << 20,
    CALL_DATAGRAMS = 32, /* of a system call, as in the UDP driver */
    DATAGRAM_BYTES_MAX = 1472,
    RECEIVE_BUFFER_BYTES = 4 << 20
};

/* The node whose coroutine runs: kernels are called without a context. */
static struct virtual_node *running;

static uint64_t clock_ns(void *app)
{
    const struct virtual_node *node = app;

    return mesh_sim_now_ns(node->sim) + node->worked_ns;
}

/* ---- the coroutine ---- */

/* Inside: let time pass, including earlier work. Datagrams being sent leave at the end. */
static void pass(struct virtual_node *node, uint64_t ns)
{
    node->passing_ns = node->worked_ns + ns;
    node->worked_ns = 0;
    if (node->passing_ns > 0 || node->has_output || node->is_resting)
        swapcontext(&node->inside, &node->outside);
}

static bool is_due(const struct virtual_node *node)
{
    return node->first != NULL || mesh_timeout(node->mesh) <= mesh_sim_now_ns(node->sim);
}

/* Since begin_ns the node has waited for blocks of one gather. */
static void count_wait(struct virtual_node *node, uint64_t begin_ns)
{
    const uint16_t last = (uint16_t)(engine_phase_count(node->engine) - 1);
    const uint64_t ns = mesh_sim_now_ns(node->sim) - begin_ns;
    struct mesh_telemetry_worker worker;

    engine_worker_time(node->engine, 0, &worker);
    if (worker.waits_phase == MESH_TELEMETRY_NOBODY)
        return; /* it waited for work */
    node->spent.waiting_ns[worker.waits_phase >= last ? VIRTUAL_WAITS - 1 : worker.waits_phase % (VIRTUAL_WAITS - 1)] += ns;
}

/* Inside: nothing to do until a datagram arrives or something is due. A node polls meanwhile, and is on average in the middle of a call. */
static void rest(struct virtual_node *node)
{
    const uint64_t begin_ns = mesh_sim_now_ns(node->sim);

    if (is_due(node))
        return;
    node->is_resting = true;
    while (!is_due(node))
        pass(node, 0);
    node->is_resting = false;
    count_wait(node, begin_ns);
    pass(node, node->config.costs.receive_call_ns / 2);
}

static void run(void)
{
    struct virtual_node *node = running;

    for (;;) {
        const enum engine_work_result result = engine_work(node->engine, 0);

        pass(node, 0);
        if (result != ENGINE_WORKED)
            rest(node);
    }
}

/* ---- system calls ---- */

static void pass_calls(struct virtual_node *node, uint64_t ns, uint64_t *figure)
{
    *figure += ns;
    pass(node, ns);
}

/* One call: receives what was there when it began. Datagrams for which the endpoint has no room stay. */
static int receive_some(struct virtual_node *node, struct mesh *mesh)
{
    const struct virtual_costs *costs = &node->config.costs;
    const struct virtual_packet *at = node->first;
    uint64_t ns = costs->receive_call_ns;
    int count = 0, taken = 0;

    for (; at != NULL && count < CALL_DATAGRAMS; at = at->next, count++)
        ns += costs->receive_each_ns + costs->deliver_ns;
    node->spent.receive_calls++;
    pass_calls(node, ns, &node->spent.receiving_ns);
    for (; taken < count; taken++) {
        struct virtual_packet *packet = node->first;

        if (mesh_receive(mesh, mesh_sim_now_ns(node->sim), packet->from, packet->data, packet->bytes) == MESH_AGAIN)
            break;
        node->first = packet->next;
        free(packet);
    }
    return taken;
}

/* A datagram of the current call: it leaves when its part of the call is over. */
static void send_message(struct virtual_node *node, uint64_t ranks, uint64_t group, size_t bytes, uint64_t *call_ns)
{
    node->output = (struct mesh_output){.ranks = ranks, .group = group, .bytes = bytes};
    node->has_output = true;
    node->spent.messages++;
    pass_calls(node, *call_ns + node->config.costs.send_each_ns, &node->spent.sending_ns);
    *call_ns = 0;
    assert(!node->has_output);
}

static void send_to_ranks(struct virtual_node *node, uint64_t ranks, size_t bytes, uint64_t *call_ns)
{
    const bool is_several = (ranks & (ranks - 1)) != 0;

    if (ranks == 0)
        return;
    while ((ranks >> node->turn & 1) == 0)
        node->turn = (node->turn + 1) % MESH_RANKS_MAX;
    const unsigned first = node->turn;
    for (unsigned i = 0; i < MESH_RANKS_MAX; i++) {
        const unsigned rank = (first + i) % MESH_RANKS_MAX;

        if ((ranks >> rank & 1) != 0)
            send_message(node, UINT64_C(1) << rank, 0, bytes, call_ns);
    }
    if (is_several)
        node->turn = (first + 1) % MESH_RANKS_MAX;
}

static int flush(void *driver, struct mesh *mesh)
{
    struct virtual_node *node = driver;
    struct mesh_output output;
    int count = 0;

    for (uint64_t call_ns = 0; mesh_next_datagram(mesh, clock_ns(node), node->packet, sizeof node->packet, &output); count++) {
        assert(output.ranks != 0); /* there are no unknown receivers */
        if (count % CALL_DATAGRAMS == 0) {
            call_ns = node->config.costs.send_call_ns;
            node->spent.send_calls++;
        }
        if (output.group != 0)
            send_message(node, output.group, output.group, output.bytes, &call_ns);
        send_to_ranks(node, output.ranks & ~output.group, output.bytes, &call_ns);
    }
    return count;
}

static int poll(void *driver, struct mesh *mesh)
{
    struct virtual_node *node = driver;
    const int received = receive_some(node, mesh);

    if (mesh_timeout(mesh) <= mesh_sim_now_ns(node->sim))
        mesh_tick(mesh, mesh_sim_now_ns(node->sim));
    return received + flush(driver, mesh);
}

/* ---- the simulator's side ---- */

static uint64_t work(void *app, uint64_t now_ns)
{
    struct virtual_node *node = app;

    (void)now_ns;
    if (node->is_resting && !is_due(node))
        return 0;
    node->passing_ns = 0;
    running = node;
    swapcontext(&node->outside, &node->inside);
    running = NULL;
    return node->passing_ns;
}

static int on_arrival(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *data, size_t bytes)
{
    struct virtual_node *node = app;
    struct virtual_packet *packet = malloc(sizeof *packet + bytes);

    (void)now_ns;
    if (packet == NULL)
        return 0; /* lost */
    *packet = (struct virtual_packet){.from = from, .bytes = bytes};
    memcpy(packet->data, data, bytes);
    if (node->first == NULL)
        node->first = packet;
    else
        node->last->next = packet;
    node->last = packet;
    return 0;
}

static void on_tick(void *app, uint64_t now_ns)
{
    (void)app;
    (void)now_ns;
}

static uint64_t timeout(const void *app)
{
    const struct virtual_node *node = app;

    return node->is_resting ? mesh_timeout(node->mesh) : UINT64_MAX;
}

static bool next_datagram(void *app, uint64_t now_ns, uint8_t *packet, size_t capacity, struct mesh_output *output)
{
    struct virtual_node *node = app;

    (void)now_ns;
    if (!node->has_output)
        return false;
    assert(node->output.bytes <= capacity);
    memcpy(packet, node->packet, node->output.bytes);
    *output = node->output;
    node->has_output = false;
    return true;
}

/* ---- opening ---- */

static void read_panels(enum tensor_type type, size_t panel_count, size_t columns, size_t token_count, float *out, size_t out_stride,
                        bool accumulate)
{
    const size_t bytes = panel_count * kernel_panel_bytes(type, columns);

    running->worked_ns += (uint64_t)((double)bytes * 1e9 / (double)running->config.bytes_per_s);
    for (size_t t = 0; !accumulate && t < token_count; t++)
        memset(out + t * out_stride, 0, panel_count * PANEL_ROWS * sizeof *out);
}

#define READ_PANELS(name, type)                                                                                                  \
    static void name(const void *panels, size_t panel_count, size_t columns, const void *x, size_t x_stride, size_t token_count, \
                     float *out, size_t out_stride, bool accumulate)                                                             \
    {                                                                                                                            \
        (void)panels;                                                                                                            \
        (void)x;                                                                                                                 \
        (void)x_stride;                                                                                                          \
        read_panels(type, panel_count, columns, token_count, out, out_stride, accumulate);                                       \
    }
READ_PANELS(read_q4_0, TYPE_Q4_0)
READ_PANELS(read_q8_0, TYPE_Q8_0)

const struct kernel *virtual_kernel(void)
{
    static struct kernel kernel;

    kernel = *kernel_choose(NULL);
    kernel.name = "virtual";
    for (int type = 0; type < TYPE_COUNT; type++)
        kernel.dot[type] = NULL;
    kernel.tokens = NULL;
    kernel.dot[TYPE_Q4_0] = read_q4_0;
    kernel.dot[TYPE_Q8_0] = read_q8_0;
    return &kernel;
}

static int open_endpoint(struct virtual_node *node, struct fail *fail)
{
    struct mesh_config config = {.epoch = 1, .datagram_bytes_max = DATAGRAM_BYTES_MAX, .receive_buffer_bytes = RECEIVE_BUFFER_BYTES};

    engine_mesh_config(node->engine, &config);
    node->rank = config.rank;
    memcpy(config.incarnation, &node->rank, sizeof node->rank);
    const size_t bytes = mesh_memory_bytes(&config);
    if (posix_memalign(&node->mesh_memory, 64, bytes) != 0) {
        node->mesh_memory = NULL;
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for an endpoint: close other programs");
    }
    const int err = mesh_init(&node->mesh, &config, node->mesh_memory, bytes, mesh_sim_now_ns(node->sim));
    assert(err == MESH_OK);
    (void)err;
    if (node->config.has_group)
        mesh_set_group(node->mesh, DATAGRAM_BYTES_MAX);
    for (uint16_t peer = 0; peer < config.rank_count; peer++)
        if (peer != node->rank)
            mesh_set_peer(node->mesh, peer, mesh_sim_addr(peer));
    return 0;
}

int virtual_node_open(struct virtual_node *node, const struct virtual_node_config *config, struct mesh_sim *sim, struct engine *engine,
                      struct fail *fail)
{
    const struct port_driver driver = {.poll = poll, .flush = flush, .driver = node};
    const struct mesh_sim_endpoint endpoint = {node, on_arrival, on_tick, timeout, next_datagram};

    *node = (struct virtual_node){.config = *config, .sim = sim, .engine = engine};
    node->stack = malloc(STACK_BYTES);
    if (node->stack == NULL || getcontext(&node->inside) != 0)
        return fail_set(fail, EXIT_ENVIRONMENT, "memory: out of memory for a stack: close other programs");
    if (open_endpoint(node, fail) < 0)
        return -1;
    node->inside.uc_stack.ss_sp = node->stack;
    node->inside.uc_stack.ss_size = STACK_BYTES;
    makecontext(&node->inside, run, 0);
    engine_attach(engine, node->mesh, &driver, clock_ns, node);
    mesh_sim_attach_endpoint(sim, node->rank, &endpoint, work, node);
    return 0;
}

void virtual_node_close(struct virtual_node *node)
{
    for (struct virtual_packet *packet = node->first, *next; packet != NULL; packet = next) {
        next = packet->next;
        free(packet);
    }
    engine_close(node->engine);
    free(node->mesh_memory);
    free(node->stack);
    node->engine = NULL;
    node->mesh_memory = NULL;
    node->stack = NULL;
    node->first = NULL;
}
