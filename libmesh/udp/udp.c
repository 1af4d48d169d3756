/* The UDP driver: opening the socket, driving the core, sleeping and waking. */
#include "udp_parts.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "addr.h"

enum { UDP_BUFFER_BYTES_WANTED = 8 << 20, UDP_WAIT_NS_MAX = 1000000000, GROUP_SEED = 1 << 20 };

struct mesh_udp {
    int fd, epoll_fd, event_fd;
    bool waits_for_room; /* epoll reports EPOLLOUT, too */
    uint64_t receive_buffer_bytes;
    struct mesh_addr local;
    struct mesh_udp_errors errors;
    struct mesh_udp_sender sender;
    struct mesh_udp_receiver receiver;
    _Atomic uint64_t wait_calls;     /* any thread may wake */
    struct mesh_udp_receiver *group; /* what comes by the multicast group; NULL: there is none */
    struct mesh_addr group_addr;
};

/* As large as root, or else the system's limit, allows. Returns the size by the kernel's accounting. */
static uint64_t udp_enlarge(int fd, int forced_option, int option)
{
    const int wanted = UDP_BUFFER_BYTES_WANTED;
    int got = 0;
    socklen_t got_bytes = sizeof got;

    if (setsockopt(fd, SOL_SOCKET, forced_option, &wanted, sizeof wanted) != 0)
        setsockopt(fd, SOL_SOCKET, option, &wanted, sizeof wanted);
    getsockopt(fd, SOL_SOCKET, option, &got, &got_bytes);
    return got > 0 ? (uint64_t)got : 0;
}

static void udp_set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value); /* what a system lacks, the driver does without */
}

/* Returns the size of the buffer by the kernel's accounting. */
static uint64_t udp_set_receiving(int fd, bool stamps)
{
    if (stamps)
        udp_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    return udp_enlarge(fd, SO_RCVBUFFORCE, SO_RCVBUF);
}

static void udp_set_options(struct mesh_udp *udp, bool stamps)
{
    /* DF is set. The size is the core's business: reports of routers, which anybody can forge, do not stop what the interface carries. */
    udp_set(udp->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (udp->sender.family == AF_INET6) {
        udp_set(udp->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        udp_set(udp->fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
    }
    udp_set(udp->fd, IPPROTO_IP, IP_RECVERR, 1);
    if (udp->sender.family == AF_INET6)
        udp_set(udp->fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    udp->sender.segments = mesh_udp_segment_is_known(udp->fd);
    udp_enlarge(udp->fd, SO_SNDBUFFORCE, SO_SNDBUF);
    udp->receive_buffer_bytes = udp_set_receiving(udp->fd, stamps);
}

int mesh_udp_set_busy_poll(struct mesh_udp *udp, uint32_t us)
{
    const int value = (int)us;

    if (setsockopt(udp->fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof value) != 0)
        return MESH_ESYSTEM;
    udp_set(udp->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1);
    return 0;
}

void mesh_udp_set_segmentation(struct mesh_udp *udp, bool wanted)
{
    udp->sender.segments = wanted && mesh_udp_segment_is_known(udp->fd);
}

/* "Any address" is IPv6 taking IPv4 as well, or IPv4 alone on a system without IPv6. */
static int udp_socket(struct mesh_udp *udp, struct mesh_addr *local)
{
    int family = mesh_addr_is_v4(local) ? AF_INET : AF_INET6;

    udp->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0 && errno == EAFNOSUPPORT && mesh_addr_is_any(local)) {
        local->ip[10] = local->ip[11] = 0xff;
        family = AF_INET;
        udp->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (udp->fd < 0)
        return MESH_ESYSTEM;
    if (family == AF_INET6)
        udp_set(udp->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    udp->sender.fd = udp->errors.fd = udp->fd;
    udp->sender.socket_errors = udp->receiver.socket_errors = &udp->errors;
    udp->sender.family = family;
    return 0;
}

static int udp_bind(struct mesh_udp *udp, struct mesh_addr local)
{
    struct sockaddr_storage name;
    socklen_t name_bytes = mesh_addr_to_sockaddr(&local, udp->sender.family, &name);

    if (bind(udp->fd, (struct sockaddr *)&name, name_bytes) != 0)
        return MESH_ESYSTEM;
    name_bytes = sizeof name;
    if (getsockname(udp->fd, (struct sockaddr *)&name, &name_bytes) != 0)
        return MESH_ESYSTEM;
    mesh_addr_from_sockaddr(&name, &udp->local);
    return 0;
}

static int udp_epoll_add(struct mesh_udp *udp, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(udp->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : MESH_ESYSTEM;
}

static int udp_open_sleep(struct mesh_udp *udp)
{
    udp->waits_for_room = false;
    udp->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    udp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (udp->event_fd < 0 || udp->epoll_fd < 0 || udp_epoll_add(udp, udp->fd) != 0 || udp_epoll_add(udp, udp->event_fd) != 0 ||
        (udp->group != NULL && udp_epoll_add(udp, udp->group->fd) != 0))
        return MESH_ESYSTEM;
    return 0;
}

static void udp_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int mesh_udp_open(struct mesh_udp **udp, struct mesh_addr local, const struct mesh_lab *lab)
{
    static const struct mesh_lab no_lab;
    struct mesh_udp *opened = calloc(1, sizeof *opened);
    int err;

    if (opened == NULL)
        return MESH_ENOMEM;
    opened->fd = opened->epoll_fd = opened->event_fd = -1;
    err = udp_socket(opened, &local);
    if (err == 0) {
        mesh_udp_receiver_init(&opened->receiver, opened->fd, lab != NULL ? lab : &no_lab);
        opened->receiver.is_single = opened->sender.is_single = !mesh_udp_batches_are_known(opened->fd);
        udp_set_options(opened, opened->receiver.lab.spec.delay_ns > 0);
        err = udp_bind(opened, local);
    }
    if (err == 0)
        err = udp_open_sleep(opened);
    if (err != 0) {
        const int reason = errno;

        mesh_udp_close(opened);
        errno = reason;
        return err;
    }
    *udp = opened;
    return 0;
}

void mesh_udp_close(struct mesh_udp *udp)
{
    if (udp == NULL)
        return;
    udp_close_fd(&udp->epoll_fd);
    udp_close_fd(&udp->event_fd);
    udp_close_fd(&udp->fd);
    mesh_udp_lab_release(&udp->receiver.lab);
    if (udp->group != NULL) {
        udp_close_fd(&udp->group->fd);
        mesh_udp_lab_release(&udp->group->lab);
        free(udp->group);
    }
    free(udp);
}

int mesh_udp_set_group(struct mesh_udp *udp, struct mesh_addr group)
{
    struct mesh_lab lab = udp->receiver.lab.spec;
    int fd;

    assert(udp->group == NULL);
    lab.seed += GROUP_SEED;
    if (mesh_addr_is_v4(&group) != mesh_addr_is_v4(&udp->local) && !mesh_addr_is_any(&udp->local)) {
        errno = EAFNOSUPPORT;
        return MESH_ESYSTEM;
    }
    fd = mesh_udp_group_open(&group, &udp->local);
    udp->group = fd >= 0 && mesh_udp_group_aim(udp->fd, &group, &udp->local) ? calloc(1, sizeof *udp->group) : NULL;
    if (udp->group == NULL || udp_epoll_add(udp, fd) != 0) {
        const int reason = errno;

        udp_close_fd(&fd);
        free(udp->group);
        udp->group = NULL;
        errno = reason;
        return MESH_ESYSTEM;
    }
    mesh_udp_receiver_init(udp->group, fd, &lab);
    udp_set_receiving(fd, lab.delay_ns > 0);
    udp->group->socket_errors = &udp->errors;
    udp->group->sealer = udp->receiver.sealer;
    udp->group->is_single = udp->receiver.is_single;
    udp->group->own = udp->local;
    udp->group_addr = group;
    udp->sender.segment_group = mesh_udp_segment_pays(mesh_udp_group_path_bytes(&group, &udp->local));
    udp->sender.group_bytes = mesh_addr_to_sockaddr(&group, udp->sender.family, &udp->sender.group);
    return 0;
}

uint32_t mesh_udp_group_bytes(const struct mesh_udp *udp)
{
    return udp->group != NULL ? mesh_udp_group_path_bytes(&udp->group_addr, &udp->local) : 0;
}

int mesh_udp_reseed(struct mesh_udp *udp, uint64_t seed)
{
    udp->receiver.lab.spec.seed = seed;
    if (udp->group != NULL)
        udp->group->lab.spec.seed = seed + GROUP_SEED;
    udp_close_fd(&udp->epoll_fd);
    udp_close_fd(&udp->event_fd);
    return udp_open_sleep(udp);
}

struct mesh_addr mesh_udp_local(const struct mesh_udp *udp)
{
    return udp->local;
}

uint64_t mesh_udp_receive_buffer_bytes(const struct mesh_udp *udp)
{
    return udp->receive_buffer_bytes;
}

uint32_t mesh_udp_datagram_bytes_max(const struct mesh_udp *udp)
{
    (void)udp;
    return UDP_DATAGRAM_BYTES_MAX;
}

void mesh_udp_set_peer(struct mesh_udp *udp, uint16_t rank, struct mesh_addr addr)
{
    uint64_t bit;

    mesh_udp_sender_set_peer(&udp->sender, rank, &addr); /* asserts that there is such a rank */
    bit = UINT64_C(1) << rank;
    udp->sender.segment_ranks &= ~bit;
    if (udp->sender.segments && mesh_udp_segment_pays(mesh_udp_path_bytes(addr)))
        udp->sender.segment_ranks |= bit;
    if (udp->group != NULL && memcmp(addr.ip, udp->local.ip, sizeof addr.ip) == 0)
        mesh_udp_group_loop(udp->fd, &udp->group_addr); /* another node of this machine */
}

void mesh_udp_set_sealer(struct mesh_udp *udp, struct mesh_sealer *sealer)
{
    udp->sender.sealer = udp->receiver.sealer = sealer;
    if (udp->group != NULL)
        udp->group->sealer = sealer;
}

void mesh_udp_set_outside(struct mesh_udp *udp,
                          void (*take)(void *app, uint64_t now_ns, struct mesh_addr from, const uint8_t *packet, size_t bytes), void *app)
{
    udp->receiver.take_outside = take;
    udp->receiver.outside_app = app;
}

void mesh_udp_set_unreachable(struct mesh_udp *udp, void (*tell)(void *app, struct mesh_addr to), void *app)
{
    udp->errors.tell = tell;
    udp->errors.app = app;
}

int mesh_udp_send_to(struct mesh_udp *udp, struct mesh_addr to, const uint8_t *packet, size_t bytes)
{
    return mesh_udp_sender_send_to(&udp->sender, &to, packet, bytes);
}

int mesh_udp_flush(struct mesh_udp *udp, struct mesh *mesh)
{
    return mesh_udp_sender_run(&udp->sender, mesh, mesh_udp_now_ns());
}

/* Has the poll that began then found nothing? If so, the core has seen no later time, and the clock need not be read again. */
static bool udp_has_found_nothing(const struct mesh_udp *udp, uint64_t begin_ns)
{
    return udp->receiver.empty_poll_ns == begin_ns && (udp->group == NULL || udp->group->empty_poll_ns == begin_ns);
}

int mesh_udp_poll(struct mesh_udp *udp, struct mesh *mesh)
{
    const uint64_t begin_ns = mesh_udp_now_ns();
    const int by_group = udp->group != NULL ? mesh_udp_receiver_run(udp->group, mesh, begin_ns) : 0;
    const int alone = mesh_udp_receiver_run(&udp->receiver, mesh, begin_ns);
    const int received = by_group < 0 ? by_group : alone < 0 ? alone : by_group + alone;
    const uint64_t now_ns = udp_has_found_nothing(udp, begin_ns) ? begin_ns : mesh_udp_now_ns();

    mesh_udp_errors_run(&udp->errors);
    if (received < 0)
        return received;
    if (mesh != NULL && mesh_timeout(mesh) <= now_ns)
        mesh_tick(mesh, now_ns);
    return received + mesh_udp_sender_run(&udp->sender, mesh, now_ns);
}

static void udp_count_wait(struct mesh_udp *udp)
{
    atomic_fetch_add_explicit(&udp->wait_calls, 1, memory_order_relaxed);
}

static void udp_watch_room(struct mesh_udp *udp)
{
    const bool wanted = mesh_udp_sender_is_blocked(&udp->sender) && mesh_udp_sender_next_ns(&udp->sender) == 0;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0u), .data.fd = udp->fd};

    if (wanted == udp->waits_for_room)
        return;
    udp_count_wait(udp);
    if (epoll_ctl(udp->epoll_fd, EPOLL_CTL_MOD, udp->fd, &event) == 0)
        udp->waits_for_room = wanted;
}

static void udp_sleep(struct mesh_udp *udp, uint64_t sleep_ns)
{
    struct epoll_event events[3];
    const int count = mesh_udp_epoll_wait(udp->epoll_fd, events, 3, sleep_ns);

    udp_count_wait(udp);
    for (int i = 0; i < count; i++)
        if ((events[i].events & EPOLLERR) != 0)
            atomic_store_explicit(&udp->errors.is_due, true, memory_order_relaxed);
    if (count < 0) {
        udp_count_wait(udp);
        atomic_store_explicit(&udp->errors.is_due, true, memory_order_relaxed); /* it does not tell of events */
    }
}

static bool udp_take_wake(struct mesh_udp *udp)
{
    uint64_t woken;
    const bool was_woken = read(udp->event_fd, &woken, sizeof woken) == sizeof woken;

    udp_count_wait(udp);
    assert(was_woken || errno == EAGAIN || errno == EINTR); /* nobody called mesh_udp_wake */
    return was_woken;
}

/* When there is something to do that no descriptor tells of; UINT64_MAX never. */
static uint64_t udp_due_ns(const struct mesh_udp *udp, const struct mesh *mesh)
{
    const uint64_t core_ns = mesh != NULL ? mesh_timeout(mesh) : UINT64_MAX, held_ns = mesh_udp_receiver_next_ns(&udp->receiver);
    const uint64_t full_ns = mesh_udp_sender_next_ns(&udp->sender);
    const uint64_t group_ns = udp->group != NULL ? mesh_udp_receiver_next_ns(udp->group) : UINT64_MAX;
    uint64_t due_ns = full_ns != 0 ? full_ns : UINT64_MAX;

    due_ns = core_ns < due_ns ? core_ns : due_ns;
    due_ns = held_ns < due_ns ? held_ns : due_ns;
    return group_ns < due_ns ? group_ns : due_ns;
}

void mesh_udp_wait(struct mesh_udp *udp, const struct mesh *mesh, uint64_t max_ns)
{
    const uint64_t now_ns = mesh_udp_now_ns(), end_ns = now_ns + (max_ns < UDP_WAIT_NS_MAX ? max_ns : UDP_WAIT_NS_MAX);
    uint64_t due_ns = udp_due_ns(udp, mesh);

    due_ns = due_ns < end_ns ? due_ns : end_ns;
    if (due_ns <= now_ns)
        return;
    udp_watch_room(udp);
    udp_sleep(udp, due_ns - now_ns);
    udp_take_wake(udp);
}

int mesh_udp_fd(const struct mesh_udp *udp)
{
    return udp->epoll_fd;
}

uint64_t mesh_udp_timeout(struct mesh_udp *udp, const struct mesh *mesh)
{
    udp_watch_room(udp);
    udp_sleep(udp, 0); /* finds errors that no failing call has told of, which would leave the descriptor readable */
    return udp_take_wake(udp) ? 0 : udp_due_ns(udp, mesh);
}

void mesh_udp_wake(struct mesh_udp *udp)
{
    const int reason = errno; /* of the code that a signal interrupted */
    const uint64_t one = 1;
    ssize_t written;

    udp_count_wait(udp);
    written = write(udp->event_fd, &one, sizeof one);
    (void)written; /* fails only when 2^64 - 2 wakes are pending: awake all the same */
    errno = reason;
}

void mesh_udp_get_stats(const struct mesh_udp *udp, struct mesh_udp_stats *stats)
{
    const struct mesh_udp_receiver *receiver = &udp->receiver;

    *stats = (struct mesh_udp_stats){
        .send_calls = udp->sender.system_calls,
        .receive_calls = receiver->system_calls + udp->errors.system_calls,
        .wait_calls = atomic_load_explicit(&udp->wait_calls, memory_order_relaxed),
        .datagrams_sent = udp->sender.sent,
        .datagrams_received = receiver->received,
        .send_errors = udp->sender.errors,
        .sent_to_group = udp->sender.to_group,
        .interface_full = udp->sender.full,
        .kernel_drops = mesh_udp_receiver_drops(receiver),
        .unreachable = udp->errors.unreachable,
        .segments_refused = udp->sender.segments_refused,
        .lab_lost = receiver->lab.lost,
        .lab_duplicated = receiver->lab.duplicated,
        .lab_reordered = receiver->lab.reordered,
    };
    if (udp->group != NULL) {
        stats->receive_calls += udp->group->system_calls;
        stats->datagrams_received += udp->group->received;
        stats->kernel_drops += mesh_udp_receiver_drops(udp->group);
        stats->lab_lost += udp->group->lab.lost;
        stats->lab_duplicated += udp->group->lab.duplicated;
        stats->lab_reordered += udp->group->lab.reordered;
    }
    stats->system_calls = stats->send_calls + stats->receive_calls;
}
