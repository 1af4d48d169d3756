#!/bin/bash
# The protocol core does no I/O: its objects call nothing but mem*, strlen, assert's abort path and one another. And of the monitor and of
# the node's telemetry, only the files that own them have a clock, a socket, files or traces (docs/ARCHITECTURE.md, Layers).
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build calls its runtime"

core=()
for object in "$BUILD"/libmesh/core/*.o; do
    [ -e "libmesh/core/$(basename "$object" .o).c" ] && core+=("$object")
done
[ ${#core[@]} -gt 0 ] || skip_all "libmesh has no objects yet"

nm --defined-only --format=posix "${core[@]}" | awk 'NF > 1 { print $1 }' | sort -u >"$tmp/defined"
allowed='^(mem[a-z]*|__mem[a-z]*_chk|strlen|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$'
for object in "${core[@]}"; do
    foreign=$(nm --undefined-only --format=posix "$object" | awk '{ print $1 }' | grep -vE "$allowed" | sort -u |
        comm -23 - "$tmp/defined")
    check_equal "libmesh/core/$(basename "$object" .o).c calls nothing outside the core" "$foreign" ""
done

# callers FOLDER FUNCTIONS: the files of the folder that call one of these functions, a pattern
callers() {
    local object
    for object in "$BUILD/$1"/*.o; do
        [ -e "$1/$(basename "$object" .o).c" ] || continue
        if nm --undefined-only --format=posix "$object" | awk '{ print $1 }' | grep -qxE "$2"; then basename "$object" .o; fi
    done | paste -sd ' '
}
if [ -e "$BUILD/monitor/fleet.o" ]; then
    check_equal "of the monitor's files only feed and live have a clock" \
        "$(callers monitor 'clock_gettime|gettimeofday|time|nanosleep|clock_nanosleep')" "feed live"
    check_equal "only feed has a socket" "$(callers monitor 'mesh_client_.*|socket|send.*|recv.*')" "feed"
    if [ -e "$BUILD/libmesh/trace/trace.o" ]; then
        check_equal "only recorded reads traces" "$(callers monitor 'mesh_trace_.*')" "recorded"
    fi
    check_equal "only settings and live open files" "$(callers monitor 'f?open(64)?|fopen64|freopen.*')" "live settings"
else
    skip "layers of the monitor" "it is not built"
fi
outside='clock_gettime|gettimeofday|time|nanosleep|socket|send.*|recv.*|mesh_udp_(now_ns|send_to|poll|flush|wait)|f?open(64)?'
check_equal "of the node's telemetry, what measures, collects and reports has no clock and no socket" \
    "$(callers node/telemetry "$outside" | tr ' ' '\n' | grep -vx http_metrics)" ""
finish
