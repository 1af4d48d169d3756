#include "speed_meter.h"

#include <assert.h>

#define WINDOW_NS UINT64_C(500000000)
#define BUSY_NS   UINT64_C(10000000) /* of each worker; until then a window stays open */

void speed_meter_restart(struct speed_meter *meter, uint64_t now_ns, uint64_t bytes, uint64_t busy_ns)
{
    meter->begun_ns = now_ns;
    meter->bytes = bytes;
    meter->busy_ns = busy_ns;
}

void speed_meter_feed(struct speed_meter *meter, uint64_t now_ns, uint64_t bytes, uint64_t busy_ns, uint16_t workers)
{
    const uint64_t read_bytes = bytes - meter->bytes, spent_ns = busy_ns - meter->busy_ns;
    double speed;

    assert(workers > 0 && bytes >= meter->bytes && busy_ns >= meter->busy_ns);
    if (now_ns - meter->begun_ns < WINDOW_NS || spent_ns < BUSY_NS * workers)
        return;
    speed = (double)read_bytes * workers / (double)spent_ns * 1e6;
    meter->speed[meter->windows++ % SPEED_METER_WINDOWS] = speed < 1 ? 1 : speed < UINT32_MAX ? (uint32_t)speed : UINT32_MAX;
    speed_meter_restart(meter, now_ns, bytes, busy_ns);
}

uint32_t speed_meter_median(const struct speed_meter *meter)
{
    const uint32_t count = meter->windows < SPEED_METER_WINDOWS ? meter->windows : SPEED_METER_WINDOWS;
    uint32_t sorted[SPEED_METER_WINDOWS];

    if (count < SPEED_METER_WINDOWS_LEAST)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;

        for (; at > 0 && sorted[at - 1] > meter->speed[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = meter->speed[i];
    }
    return sorted[count / 2];
}
