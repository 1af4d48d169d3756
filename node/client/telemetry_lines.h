/* Raw telemetry as JSON Lines: `mesh-node status --telemetry`, for scripts and debugging. */
#ifndef NODE_TELEMETRY_LINES_H
#define NODE_TELEMETRY_LINES_H

#include "client_session.h"

/* Watch through an open session for that long, and print every item of every report on stdout, one object per line. */
int telemetry_lines(struct mesh_client *client, uint32_t seconds, struct fail *fail);

#endif
