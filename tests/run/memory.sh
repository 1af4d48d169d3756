#!/bin/bash
# Memory that is limited, by a control group as systemd's MemoryMax= makes one, or by ulimit: it is said before the kernel ends anybody.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -z "$SAN" ] || skip_all "sanitizers take more memory than any limit"

# Keys and values of 16 slots are 270 MB that nothing touches until they are used; those of one slot are 17 MB.
model=$tmp/m.gguf
check "a model with a long context is made" "$mesh_node" synth -o "$model" --dim 256 --hidden 512 --layers 4 --heads 4 --kv-heads 4 \
    --vocab 300 --ctx 4096 --type q8_0 --seed 1
port=$(free_port)
serve() { exec "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$port" "$@"; }

short() { (ulimit -v 200000 && serve --slots 16); }
check_exit "a node that gets no memory says so" 4 "memory" short

# ---- a group of 100 MB ----

group=
for folder in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    [ -e "$folder/memory.limit_in_bytes" ] || grep -qsw memory "$folder/cgroup.subtree_control" || continue
    mkdir "$folder/mesh-test-$$" 2>/dev/null || continue
    group=$folder/mesh-test-$$
    break
done
leave() { [ -z "$group" ] || rmdir "$group" 2>/dev/null; }
trap 'clean_up; leave' EXIT
limit=$group/memory.max
[ -e "$limit" ] || limit=$group/memory.limit_in_bytes
if [ -z "$group" ] || ! echo 100000000 2>/dev/null >"$limit"; then
    skip "what a group leaves is what is available" "no control group can be made here"
    finish
fi
within() { (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@"); }
within_serve() { (echo "$BASHPID" >"$group/cgroup.procs" && serve "$@"); }

check_exit "what a group leaves is what is available" 0 "MB available" \
    within "$mesh_node" run -m "$model" -p Once -n 2 -t 1 --ctx 64
echo 40000000 >"$limit"
check_exit "a run that would not fit in its group is not begun" 4 "this machine has" \
    within "$mesh_node" run -m "$model" -p Once -n 2 -t 1 --local 8
echo 100000000 >"$limit"
check_exit "nor does a node begin that would not" 4 "this node's part needs" within_serve --slots 16

ready() { grep -q "epoch $1:" "$tmp/$2"; }
background "$mesh_node" serve -m "$model" -t 1 --slots 16 --listen "127.0.0.1:$port" 2>"$tmp/first"
wait_until 20 ready 1 first
join() { within "$mesh_node" serve -m "$model" -t 1 --slots 16 --listen "127.0.0.1:$(free_port)" --join "127.0.0.1:$port"; }
check_exit "nor does it join" 4 "this node's part needs" join
check_contains "and the cluster goes on without it" "$tmp/first" "epoch 1: 1 member"
finish
