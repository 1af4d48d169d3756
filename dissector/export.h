/* Exports made from the wire schema: the Wireshark plugin, the tables of the protocol, the names of all fields. */
#ifndef DISSECTOR_EXPORT_H
#define DISSECTOR_EXPORT_H

#include <stdio.h>

#include "mesh/program/fail.h"
#include "mesh/wire.h"
#include "settings.h"

/* -1 with EXIT_ENVIRONMENT. */
int export_write(enum export_kind kind, FILE *out, struct fail *fail);

/* The plugin: Lua 5.2 and newer. */
void export_write_lua(FILE *out);
extern const char export_lua_loss[];    /* its part that finds out which datagrams arrived, */
extern const char export_lua_report[];  /* by what receivers report, too */
extern const char export_lua_numbers[]; /* gaps in the numbers */
extern const char export_lua_tree[];    /* columns and fields */

/* The name of a part within names of fields and as a key: "tile", "hello_ack"; valid until the next call. */
const char *export_key(const struct mesh_wire_part *part);

#endif
