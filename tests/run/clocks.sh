#!/bin/bash
# Two nodes whose clocks differ by hours and drift apart tell one-way times as if they had one clock: live, and from their recordings.
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build is not loaded with other libraries"
[ -e "$BUILD/other_clock.so" ] || skip_all "$BUILD/other_clock.so is not built"
mesh_replay=$BIN/mesh-replay
[ -x "$mesh_replay" ] || skip_all "mesh-replay is not built"
other=$(realpath "$BUILD/other_clock.so")
peers=127.0.0.1:$(free_port),127.0.0.1:$(free_port)

# member RANK [NAME=VALUE...]: some ten seconds, so that the clocks come apart by ten milliseconds
member() {
    env "${@:2}" timeout 100 "$mesh_node" run -m node/models/stories-q8_0.gguf -p Once -n 150 --ignore-eos --temp 0.7 --seed 5 -t 1 \
        --peers "$peers" --rank "$1" --lab pace=10MB/s --record "$tmp/T.db" >"$tmp/out$1" 2>"$tmp/err$1"
}
background member 1 "LD_PRELOAD=$other" OTHER_CLOCK_S=12345 OTHER_CLOCK_PPM=900
check "nodes whose clocks differ generate text" member 0
wait "$background_pid"

# latencies FILE: the least one of tiles, and whether the middle one is below 1 s; on a busy machine they may be long, but never negative by
# more than the clocks drift between two round trips
latencies() {
    "$mesh_replay" query "$1" "SELECT min(latency_ns) > -3000000, avg(latency_ns) < 1000000000, sum(is_relative), count(*) > 1000
        FROM tile_latency" | tail -n 1 | tr '\t' ' '
}
for trace in T.db T.1.db; do
    check_equal "no tile of $trace arrives before it was sent, nor hours later" "$(latencies "$tmp/$trace")" "1 1 0 1"
done
gained() {
    "$mesh_replay" query "$tmp/T.db" "SELECT (max(clock_offset_ns) - min(clock_offset_ns)) / 1000000 FROM telemetry_link
        WHERE rtt_ns_min > 0" | tail -n 1
}
check "meanwhile the other clock has gained some milliseconds" [ "$(gained)" -ge 5 ]

# The arrows of tiles in an export: "s" and "f" with one id are their ends.
check "both recordings are exported together" "$mesh_replay" export "$tmp/T.db" "$tmp/T.1.db" --perfetto "$tmp/T.json"
tr '{' '\n' <"$tmp/T.json" | sed -nE 's/.*"ph":"([sf])".*"ts":([-0-9.e+]+),.*"id":"([^"]*)".*/\3 \1 \2/p' |
    awk '$2 == "s" { sent[$1] = $3 } $2 == "f" && !($1 in arrived) { arrived[$1] = $3 }
        END { for (id in arrived) if (id in sent) { all++; bad += arrived[id] - sent[id] < -3000 }; print (all > 1000), bad + 0 }' \
        >"$tmp/arrows"
check_equal "arrows from one recording to the other do not go backwards" "$(cat "$tmp/arrows")" "1 0"
finish
