#include "monitor_case.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/findings.h"

void monitor_case_init(struct monitor_case *c, unsigned nodes)
{
    made_init(&c->made, nodes);
    if (fleet_init(&c->fleet) < 0)
        assert(!"memory");
    fleet_set_connected(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), true, "10.0.0.1:7411");
}

void monitor_case_release(struct monitor_case *c)
{
    fleet_release(&c->fleet);
    made_release(&c->made);
}

int monitor_case_open(void **state)
{
    struct monitor_case *c = calloc(1, sizeof *c);

    if (c == NULL)
        return -1;
    monitor_case_init(c, 4);
    *state = c;
    return 0;
}

int monitor_case_close(void **state)
{
    monitor_case_release(*state);
    free(*state);
    return 0;
}

static void take(void *app, const uint8_t *record, size_t bytes)
{
    struct monitor_case *c = app;

    if (fleet_report(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made), record, bytes) != 0)
        assert(!"made telemetry is taken");
}

void monitor_case_report(struct monitor_case *c, unsigned milliseconds)
{
    made_advance(&c->made, milliseconds * UINT64_C(1000000));
    made_report(&c->made, take, c);
}

void monitor_case_run(struct monitor_case *c, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        monitor_case_report(c, 1000);
        fleet_tick(&c->fleet, made_now_ns(&c->made), made_wall_ns(&c->made));
    }
}

int monitor_case_node(const struct monitor_case *c, unsigned made)
{
    for (int i = 0; i < c->fleet.node_end; i++)
        if (c->fleet.nodes[i].addr.ip[15] == made + 1)
            return i;
    assert(!"a node of the fleet");
    return FLEET_NOBODY;
}

bool monitor_case_finds(const struct monitor_case *c, uint64_t back, const char *text)
{
    struct finding findings[FINDINGS_MAX];
    const int count = findings_find(&c->fleet, c->fleet.ticks - 1 - back, findings);

    for (int i = 0; i < count; i++)
        if (strstr(findings[i].text, text) != NULL)
            return true;
    return false;
}
