#!/bin/bash
# The monitor and a real mesh of three nodes: its JSON while they generate, a slow node, a lossy link, a node that dies, the death of the
# node that answers the monitor, none left, and one again.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
monitor=$BIN/mesh-monitor
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -x "$monitor" ] || skip_all "mesh-monitor is not built"

export LC_ALL=C.UTF-8 XDG_CONFIG_HOME=$tmp/config TERM=xterm-256color
unset NO_COLOR COLUMNS LINES
model=node/models/stories-q8_0.gguf
ports=() pids=()
for i in 0 1 2; do ports[i]=$(free_port); done
key=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then key=(--key "$tmp/key"); fi

node() { # I [SEED [OPTIONS]]
    local i=$1 join=()
    if [ $# -gt 1 ]; then join=(--join "127.0.0.1:${ports[$2]}"); fi
    background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:${ports[i]}" ${join[@]+"${join[@]}"} "${@:3}" ${key[@]+"${key[@]}"} \
        2>>"$tmp/node$i"
    pids[i]=$background_pid
}
has() { # I N
    "$mesh_node" status --json --to "127.0.0.1:${ports[$1]}" ${key[@]+"${key[@]}"} 2>/dev/null | grep -q "\"nodes\":$2,"
}
batch() { timeout -k 5 60 "$monitor" --to "127.0.0.1:${ports[0]}" ${key[@]+"${key[@]}"} "$@"; }

node 0
wait_until 20 has 0 1
node 1 0
node 2 0 --lab loss=2%,seed=3
if ! wait_until 30 has 0 3; then
    not_ok "three nodes form a mesh" "$(tail -n 5 "$tmp"/node*)"
    finish
fi
ask_again_and_again() {
    while :; do
        "$mesh_node" ask --to "127.0.0.1:${ports[1]}" ${key[@]+"${key[@]}"} -p "Once upon a time" -n 400 --ignore-eos --seed 1 || sleep 0.2
    done
}
background ask_again_and_again >"$tmp/answer" 2>&1
is_generating() { [ -s "$tmp/answer" ]; }
wait_until 20 is_generating

# Up to five times: on a busy machine a report may come after the end of its interval, and a member may be suspected, or lost.
is_calm() {
    [ "$(grep -o -e '"state":"up"' "$out" | wc -l)" -eq 9 ] && ! grep -q '"is_fresh":false' "$out" &&
        [ "$(grep -o '"is_sequencer":[a-z]*,"epoch":[0-9]*' "$out" | grep -o '[0-9]*$' | sort -u | wc -l)" -eq 1 ]
}
for _ in 1 2 3 4 5; do
    run batch --json -n 3 -d 1
    if is_calm; then break; fi
done
check_equal "it prints JSON of a real mesh" "$code $(wc -l <"$out")" "0 3"
check_equal "the first JSON object has earlier events: the start of all three" \
    "$(head -n 1 "$out" | grep -o '"happened":"start"' | wc -l)" 3
check_equal "later JSON objects do not repeat these events" "$(tail -n 2 "$out" | grep -c '"happened":"start"')" 0
tail -n 1 "$out" >"$tmp/last"
if command -v python3 >/dev/null; then
    python3 - "$tmp/last" >"$tmp/verdict" 2>&1 <<'PY'
import json, sys
last = json.load(open(sys.argv[1]))
assert sorted(node["rank"] for node in last["nodes"]) == [0, 1, 2], last
for node in last["nodes"]:
    assert node["state"] == "up" and 0 <= node["utilisation"] <= 1 and node["share"] >= 0, node
    assert len(node["peers"]) == 2, node
    for peer in node["peers"]:
        assert peer["rank"] != node["rank"] and 0 <= (peer["loss"] or 0) <= 1, peer
        assert peer["round_trip_us"] > 0 and peer["datagrams_received"] > 0, peer
        assert 0 <= peer["p50_us"] <= peer["p99_us"], peer # 0: less than the error of the clocks' estimate, on a busy machine
assert last["reports_refused"] == 0, last
PY
    check_equal "JSON has the right figures of each node and link" "$(cat "$tmp/verdict")" ""
else
    skip "JSON has the right figures of each node and link" "python3 is not installed"
fi
for _ in 1 2 3 4 5; do
    run batch -n 1 -d 1
    lines=$(grep -c '127\.0\.0\.1:.* up ' "$out")
    if [ "$lines" -eq 3 ]; then break; fi
done
check_equal "text is printed, too" "$code" 0
check_equal "text has three lines of nodes that are up" "$lines" 3
# On a busy machine members may have been suspected since the epoch began, and the eight newest events are printed.
check_equal "text has earlier events" "$(grep -E -cm 1 ' (epoch: 3 members|suspected: |back: )' "$out")" 1

# ---- on a terminal ----

# shellcheck source=tests/tools/screen
. tests/tools/screen
screen_needed "the screens tell of them"

screen_start 120 36 . \
    "$(realpath "$monitor") --to 127.0.0.1:${ports[0]} ${key[*]} -d 0.5; echo ended with \$?; sleep 60"
sees "the overview tells of all three" "127.0.0.1:${ports[2]}"
sees "and of what a lab does" "--lab drops"
keys 4
sees "steps are shown as they end" "node 2"
keys 5
sees "requests are, too" "generating"
keys 6
sees "and events" "epoch"
keys 1
kill -9 "${pids[2]}"
sees "a node that dies stays, and is told of" "is gone: last heard at"
kill -9 "${pids[0]}"
keys 6
sees "when the node that answered dies, another is asked" "connected to 127.0.0.1:${ports[1]}"
sees "and the one that died is named" "no more reports from 127.0.0.1:${ports[0]}"
keys 1
kill -9 "${pids[1]}"
sees "without any it says so" "Connection lost"
sees "and keeps what was last known" "127.0.0.1:${ports[1]}"
if [ ${#key[@]} -gt 0 ]; then
    rm "$tmp/key"
    "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1
fi
cp $model "$tmp/other.gguf"
model=$tmp/other.gguf
node 0
sees "it connects again when there is one, with another key" "LIVE"
keys 6
sees "and tells of another model" "has another model: other.gguf instead of stories-q8_0.gguf"
keys q
sees "q ends it" "ended with 0"
finish
