#!/bin/bash
# Every figure that telemetry declares is filled by the node: one that nobody fills would be 0 everywhere, and look like a measurement.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
command -v "${CC:=cc}" >/dev/null || skip_all "there is no compiler"

# fields KIND: the names in the list of that kind of item.
fields() {
    {
        echo '#include "mesh/telemetry.h"'
        echo '#define NAME(name, type, min, max, unit, kind, metric, meaning) FIELD name'
        echo "MESH_TELEMETRY_$1_FIELDS(NAME)"
    } | "$CC" -E -P -Ilibmesh/include -x c - | grep -oE 'FIELD [a-z_0-9]+' | cut -d' ' -f2
}

# filled KIND FILE...: a value is assigned to each of them there, or copied to it.
filled() {
    fields "$1" >"$tmp/fields"
    check "telemetry has fields of $1" [ -s "$tmp/fields" ]
    while read -r name; do
        grep -qE "(\.|->)$name( [-+|]?= |\+\+)|memcpy\([^,]*(\.|->)$name," "${@:2}" || echo "$name"
    done <"$tmp/fields" >"$tmp/missing"
    check_equal "every field of $1 is filled in ${*:2}" "$(cat "$tmp/missing")" ""
}

filled NODE node/telemetry/node_metrics.c
filled LINK node/telemetry/node_metrics.c
filled REQUEST node/telemetry/node_metrics.c
filled WORKER node/engine/engine_time.c
filled STEP node/engine/engine_time.c libmesh/core/telemetry_write.c
finish
