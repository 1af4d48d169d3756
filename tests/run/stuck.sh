#!/bin/bash
# What surrounds a serving node hangs: whoever reads its log, its key log, what a client prints. The node goes on, and so does its cluster.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
export LC_ALL=C # whose words are looked for
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=$tmp/m.gguf
check "a model is made" "$mesh_node" synth -o "$model" --dim 64 --hidden 160 --layers 2 --heads 4 \
    --kv-heads 2 --vocab 300 --ctx 256 --seed 1
ports=("$(free_port)" "$(free_port)")
# node NUMBER OPTION...
node() {
    local number=$1
    shift
    background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:${ports[number]}" --join "127.0.0.1:${ports[1 - number]}" "$@"
}
ask() { timeout 60 "$mesh_node" ask --to "127.0.0.1:$1" -p abc -n 8 --temp 0; }
is_whole() { "$mesh_node" status --to "127.0.0.1:${ports[1]}" --json | grep -q '"nodes":2,.*"state":"up".*"state":"up"'; }
# full NAME: a FIFO that is open, which nobody reads, and which has no room for a byte
full() {
    mkfifo "$tmp/$1"
    # shellcheck disable=SC2034 # it is only to be open
    exec {kept_open}<>"$tmp/$1"
    while dd if=/dev/zero of="$tmp/$1" bs=4096 count=1 oflag=nonblock status=none 2>"$tmp/dd"; do :; done
    grep -q "temporarily unavailable" "$tmp/dd"
}

# ---- a log that nobody reads ----

check "a pipe that nobody reads is full" full log
node 0 2>"$tmp/log"
silent=$background_pid
node 1 2>"$tmp/other"
check "a node whose log nobody takes becomes a member" wait_until 20 is_whole
check "and answers" ask "${ports[0]}"
cp "$out" "$tmp/answer"
kill "$silent"
wait "$silent"
check_equal "and ends as others do" $? 0
check "having said good-bye" wait_until 20 grep -q "left: 127.0.0.1:${ports[0]}" "$tmp/other"
finish
