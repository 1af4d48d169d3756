#!/bin/bash
# A node that is told to leave lets its clients' requests end, refers new ones to another node, and leaves; a second signal ends it at once.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=node/models/stories-q8_0.gguf
question=(-p "Once upon a time" -n 60 --ignore-eos --temp 0.7 --seed 4 --digest)
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi
check "one process alone gives a digest" "$mesh_node" run -m $model "${question[@]}"
expected=$(grep '^digest ' "$out")

ports=("$(free_port)" "$(free_port)") pids=() asking=

# node I JOIN-OPTIONS...: start node I, slow enough to be signalled within an answer
node() {
    local i=$1
    shift
    background "$mesh_node" serve -m $model -t 1 --lab pace=30MB/s --listen "127.0.0.1:${ports[i]}" "$@" \
        ${security[@]+"${security[@]}"} 2>"$tmp/node$i"
    pids[i]=$background_pid
}
ask() { "$mesh_node" ask --to "127.0.0.1:${ports[$1]}" ${security[@]+"${security[@]}"} "${question[@]}"; }
status() { "$mesh_node" status --json --to "127.0.0.1:${ports[$1]}" ${security[@]+"${security[@]}"}; }
has() { status "$1" 2>/dev/null | grep -q "\"nodes\":$2,"; }
together() {
    node 0 "$@"
    node 1 --join "127.0.0.1:${ports[0]}" "$@"
    if wait_until 20 has 0 2; then ok "two nodes form a cluster"; else not_ok "two nodes form a cluster" "$(tail -n 5 "$tmp"/node*)"; fi
}
# begin I: ask node I, and return when the answer has begun
begin() {
    rm -f "$tmp/answer"
    ask "$1" >"$tmp/answer" 2>"$tmp/answer.err" </dev/null &
    asking=$!
    background_pids+=("$asking")
    wait_until 20 test -s "$tmp/answer"
}
# ends I SENTENCE: node I ends with exit code 0
ends() {
    local code=0
    if ! wait_until 20 sh -c "! kill -0 ${pids[$1]}"; then
        not_ok "$2" "it runs on: $(cat "$tmp/node$1")"
        return
    fi
    wait "${pids[$1]}" || code=$?
    check_equal "$2" "$code" 0
}

together
begin 1
kill -TERM "${pids[1]}"
wait_until 10 grep -q "leaving" "$tmp/node1"
check_contains "a leaving node prints that it waits" "$tmp/node1" "leaving when 1 request has ended, or in 30 s"
run ask 1
if [ "$code" = 4 ] && grep -qF "this node is leaving: ask 127.0.0.1:${ports[0]} instead" "$err"; then
    ok "a leaving node refuses a new question, and names another node"
elif [ "$code" = 4 ] && grep -q "^lost: " "$tmp/node1"; then
    skip "a leaving node refuses a new question, and names another node" "the other was taken for lost, on a machine that is too busy"
else
    not_ok "a leaving node refuses a new question, and names another node" "$(show_run)"
fi
status 1 >"$tmp/status"
check_contains "the status of a leaving node says that it is draining" "$tmp/status" '"state":"draining"'
wait "$asking"
check_equal "the request that was running ends as if nothing had happened" "$(grep '^digest ' "$tmp/answer")" "$expected"
ends 1 "then the node ends in order"
if wait_until 20 has 0 1; then ok "the other node goes on alone"; else not_ok "the other node goes on alone" "$(cat "$tmp/node0")"; fi

begin 0
kill -TERM "${pids[0]}"
wait_until 10 grep -q "leaving when" "$tmp/node0"
check_exit "the only node there is says so" 4 "this node is leaving and was the only one" ask 0
kill -TERM "${pids[0]}"
ends 0 "a second signal ends a node at once"
check_contains "a node ended by a second signal prints how many requests it cuts off" "$tmp/node0" "leaving: 1 request is cut off"
code=0
wait "$asking" || code=$?
check_equal "the client of a cut-off request ends with exit code 4" "$code" 4

together --drain 0
begin 1
kill -INT "${pids[1]}"
ends 1 "--drain 0 waits for nothing"
code=0
wait "$asking" || code=$?
check_equal "the client of a request cut off by --drain 0 ends with exit code 4" "$code" 4
node 1 --join "127.0.0.1:${ports[0]}" --drain 1
if wait_until 20 has 0 2; then ok "a node that left joins again"; else not_ok "a node that left joins again" "$(cat "$tmp/node1")"; fi
begin 1
kill -TERM "${pids[1]}"
ends 1 "a limit of a second is kept"
check_contains "a node prints that it cuts requests off at the --drain limit" "$tmp/node1" "is cut off"
if wait_until 20 has 0 1; then ok "the other node goes on"; else not_ok "the other node goes on" "$(cat "$tmp/node0")"; fi
kill -TERM "${pids[0]}"
ends 0 "and ends when it is told to"
together
kill -TERM "${pids[1]}"
ends 1 "a node that was asked nothing ends in order"
check_contains "a node without requests prints zero counts on leaving" "$tmp/node1" "0 requests, 0 failed: prompts of 0 tokens, 0 generated"
check_equal "a node without requests prints no figures of steps" "$(grep -c -e 'tokens generated in' -e nan "$tmp/node1")" 0
check_exit "a --drain limit that is no time is refused" 2 "--drain" "$mesh_node" serve -m $model --drain soon
finish
