#include "udp_driver.h"

static int poll_udp(void *driver, struct mesh *mesh)
{
    return mesh_udp_poll(driver, mesh);
}

static int flush_udp(void *driver, struct mesh *mesh)
{
    return mesh_udp_flush(driver, mesh);
}

static void wait_udp(void *driver, const struct mesh *mesh, uint64_t max_ns)
{
    mesh_udp_wait(driver, mesh, max_ns);
}

static void wake_udp(void *driver)
{
    mesh_udp_wake(driver);
}

struct port_driver udp_driver(struct mesh_udp *udp)
{
    return (struct port_driver){.poll = poll_udp, .flush = flush_udp, .wait = wait_udp, .wake = wake_udp, .driver = udp};
}

uint64_t udp_driver_now_ns(void *clock)
{
    (void)clock;
    return mesh_udp_now_ns();
}
