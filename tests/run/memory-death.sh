#!/bin/bash
# Three nodes, each in its own control group, any two of which cannot hold the model: what they do when the third dies.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -z "$SAN" ] || skip_all "sanitizers take more memory than any limit"

# 268 MB of keys and values that nothing touches until they are used: memory is missing according to the plan only.
model=$tmp/m.gguf
check "a model with a long context is made" "$mesh_node" synth -o "$model" --dim 256 --hidden 512 --layers 4 --heads 8 --kv-heads 8 \
    --vocab 300 --ctx 4096 --type q8_0 --seed 1

top=
for folder in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    [ -e "$folder/memory.limit_in_bytes" ] || grep -qsw memory "$folder/cgroup.subtree_control" || continue
    mkdir "$folder/mesh-death-$$-0" 2>/dev/null || continue
    top=$folder/mesh-death-$$
    mkdir "$top-1" "$top-2"
    break
done
leave() { [ -z "$top" ] || rmdir "$top"-? 2>/dev/null; }
trap 'clean_up; leave' EXIT # clean_up waits for all processes in the groups
# limit NODE BYTES
limit() {
    local file=$top-$1/memory.max
    [ -e "$file" ] || file=$top-$1/memory.limit_in_bytes
    echo "$2" 2>/dev/null >"$file"
}
if [ -z "$top" ] || ! { limit 0 132000000 && limit 1 132000000 && limit 2 132000000; }; then
    skip "survivors that cannot hold the model wait" "no control group can be made here"
    finish
fi

ports=("$(free_port)" "$(free_port)" "$(free_port)")
metrics=(--metrics 127.0.0.1:0)
run "$mesh_node" serve -m "$model" --listen "127.0.0.1:${ports[0]}" --metrics 192.0.2.1:1 # which is nobody's
if grep -q "built without libmicrohttpd" "$err"; then metrics=(); fi
own=(-m "$model")
export XDG_CACHE_HOME=$tmp/cache # for nodes without a cache
# first NUMBER LOG OPTIONS: a node that joins no others; node: one that joins the other two
first() {
    local number=$1 log=$2
    shift 2
    background sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$top-$number" "$mesh_node" serve ${own[@]+"${own[@]}"} -t 1 --slots 16 \
        --listen "127.0.0.1:${ports[number]}" ${metrics[@]+"${metrics[@]}"} "$@" 2>"$tmp/$log"
}
node() { first "$@" --join "127.0.0.1:${ports[($1 + 1) % 3]}" --join "127.0.0.1:${ports[($1 + 2) % 3]}"; }
status() { "$mesh_node" status --to "127.0.0.1:${ports[0]}" "$@"; }
ask() { timeout 60 "$mesh_node" ask --to "127.0.0.1:${ports[0]}" -p abc -n 8 --temp 0; }
# is_held COUNT: node 0 is up, with that many members
is_held() { status --json | grep -q "\"nodes\":$1,.*\"state\":\"up\""; }
# is_short NODES
is_short() { status | grep -q "$1 with too little memory for the model"; }

recorded=()
if [ -x "$BIN/mesh-replay" ]; then recorded=(--record "$tmp/T.db"); fi
node 0 node0 ${recorded[@]+"${recorded[@]}"}
recorder=$background_pid
node 1 node1
second=$background_pid
node 2 node2
check "three nodes hold the model, which two cannot" wait_until 30 is_held 3
check "the three nodes answer" ask
cp "$out" "$tmp/answer"
kill -9 "$background_pid"
check "when one dies the others say that they have too little memory" wait_until 30 is_short "2 nodes"
status --json >"$tmp/status"
check_equal "both survivors wait" "$(grep -o '"state":"waiting","memory_bytes":[0-9]*' "$tmp/status" | wc -l)" 2
check_equal "status gives the missing bytes" "$(grep -c '"memory_missing_bytes":[1-9]' "$tmp/status")" 1
check_contains "the log says that memory is missing, and the remedy" "$tmp/node0" \
    "than its members can have together: nothing is loaded, and the cluster waits for others: add a node"
check_exit "a client is told that memory is missing" 4 "too little for the model" ask
status --telemetry 3 >"$tmp/telemetry"
check_contains "missing memory is an event of telemetry" "$tmp/telemetry" "no memory"
check_equal "one survivor reports what the other one measures, too" \
    "$(grep '"event":"node".*"state":0,' "$tmp/telemetry" | grep -o '"node":"[^"]*"' | sort -u | wc -l)" 2
if [ ${#metrics[@]} -gt 0 ]; then
    http_ask "$tmp/node0" GET /health >"$tmp/health"
    check_contains "a node that waits is not healthy" "$tmp/health" " 503 "
    check_contains "/health counts both members" "$tmp/health" '"members":2,'
    check_contains "/health gives the missing bytes" "$tmp/health" '"memory_missing_bytes":'
else
    skip "a node that waits is not healthy" "built without libmicrohttpd"
fi

own=()
node 2 again
own=(-m "$model")
check "with another node, which has no model, they go on" wait_until 30 is_held 3
check "with another node they answer again" ask
check_same "the answer with another node is the same" "$tmp/answer" "$out"

kill -9 "$background_pid"
check "when that dies they wait again" wait_until 30 is_short "2 nodes"
limit 0 400000000
check "they go on when one of the machines has more memory" wait_until 90 is_held 2
check "two nodes with enough memory answer" ask
check_same "their answer is the same" "$tmp/answer" "$out"
status --json | grep -o '"address":"[^"]*","state":"up","share":[0-9]*' >"$tmp/shares"
check_equal "the other node has no more rows than it can hold" \
    "$(sed -n "s/.*:${ports[1]}\".*share\":\([0-9]*\)/\1/p" "$tmp/shares" | awk '{print ($1 > 0 && $1 < 900) ? "fewer" : $1}')" fewer
if [ ${#recorded[@]} -gt 0 ]; then
    kill "$recorder"
    wait "$recorder"
    check "the recording of all this can be run again" "$BIN/mesh-replay" verify "$tmp/T.db"
else
    skip "the recording of all this can be run again" "mesh-replay is not built"
fi

# A node that joins no others is not alone once it has had members. Its available memory is reported with each agreement, and measured every
# 2 s.
kill "$recorder" "$second" 2>/dev/null
wait "$recorder" "$second"
first 0 first
check "a node alone that can hold the whole model does" wait_until 30 is_held 1
limit 0 100000000
node 1 node1
both_wait() {
    wait_until 5 is_short "2 nodes" && return
    kill -9 "$background_pid"
    wait "$background_pid"
    node 1 node1
    false
}
check "with less memory it waits together with another node" wait_until 3 both_wait
kill -9 "$background_pid"
check "left alone it waits, too" wait_until 30 is_short "1 node"
check_contains "a waiting node says that it loads nothing" "$tmp/first" "than this member can have: nothing is loaded"
limit 0 400000000
check "it goes on alone when it has more memory" wait_until 90 is_held 1
check_equal "no node warned that the kernel would end it" "$(cat "$tmp"/node? "$tmp/again" "$tmp/first" | grep -c "the kernel ends")" 0
finish
