#!/bin/bash
# mesh-replay run: what was recorded is asked again of real nodes, and what differs or is beyond a limit is said.
. tests/run/lib.sh
mesh_replay=$BIN/mesh-replay
model=node/models/stories-q8_0.gguf
[ -x "$mesh_replay" ] || skip_all "mesh-replay is not built (libsqlite3-dev, libzstd-dev or libxxhash-dev is missing)"
play() { # TRACE... OPTION...: with real nodes
    TMPDIR=$tmp "$mesh_replay" run "$@" -- "$mesh_node" serve -m "$model" -t 1
}

check "two nodes record" "$mesh_node" run -m "$model" -p "Once upon a time" --temp 0.8 --seed 9 --ignore-eos -t 1 -n 16 --local 2 \
    --record "$tmp/T.db"
check_exit "real nodes say the same again, within wide limits" 0 "" \
    play "$tmp/T.db" "$tmp/T.1.db" --max-p99-us 5e6 --min-tok-s 0.01 --max-loss 100 --max-slower 1e6 --junit "$tmp/run.xml"
check_contains "each token" "$out" "tokens of request 1: the same: 16"
check_contains "and each tile, of both nodes" "$out" "tiles that rank 1 sent and received: the same: "
check_contains "nothing is left out" "$out" "8 passed, 0 failed, 0 left out"
check_contains "JUnit has them, too" "$tmp/run.xml" 'name="mesh-replay run" tests="8" failures="0"'
check_equal "nothing of it is left" "$(find "$tmp" -name "mesh-replay.*" | wc -l)" 0
check_exit "a limit that nobody keeps is passed, and told as TAP" 1 "" \
    play "$tmp/T.db" --nodes 1 --speed max --tap --min-tok-s 1e8
check_contains "in a test of its own" "$out" "not ok 4 - --min-tok-s"
if command -v sqlite3 >/dev/null; then
    sqlite3 "$tmp/T.1.db" "UPDATE meta SET value = 'none' WHERE key = 'payloads'"
    check_exit "a recording without payloads is not asked again" 77 "--record-prompts" play "$tmp/T.1.db"
    sqlite3 "$tmp/T.db" "UPDATE tokens SET token = token + 1 WHERE position = 7; UPDATE requests SET prompt = x'01000000ffffff00'"
    check_exit "a prompt that this model cannot have is refused by the node, in its words" 1 "" play "$tmp/T.db" --nodes 1 --json
    check_contains "which are repeated" "$out" '"what":"not answered: '
fi
check_exit "a misspelt limit is an error" 2 "did you mean --max-p99-us" play "$tmp/T.db" --max-p99 5
check_exit "so is an impossible speed" 2 "give a number of times" play "$tmp/T.db" --speed fast
check_exit "and a replay without nodes" 2 "say how after --" "$mesh_replay" run "$tmp/T.db"
check_exit "a node that cannot start says why" 3 "node 0 has ended: mesh-node: README.md: " \
    "$mesh_replay" run "$tmp/T.db" --nodes 1 -- "$mesh_node" serve -m README.md
check_exit "a trace that is missing is named" 4 "No such file" play "$tmp/none.db"
finish
