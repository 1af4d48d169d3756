#!/bin/bash
# Memory limited by a control group, as systemd's MemoryMax= makes one, or by ulimit: a node reports the lack before the kernel kills it.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -z "$SAN" ] || skip_all "sanitizers take more memory than any limit"

# Keys and values of 16 slots are 270 MB that nothing touches until they are used; those of one slot are 17 MB.
model=$tmp/m.gguf
check "a model with a long context is made" "$mesh_node" synth -o "$model" --dim 256 --hidden 512 --layers 4 --heads 4 --kv-heads 4 \
    --vocab 300 --ctx 4096 --type q8_0 --seed 1
port=$(free_port)
serve=("$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:$port")

short() { (ulimit -v 200000 && exec "${serve[@]}" --slots 16); }
check_exit "a node that gets no memory reports it" 4 "memory" short
if command -v prlimit >"$tmp/prlimit"; then
    background bash -c 'ulimit -S -v 200000 && exec "$@"' limited "${serve[@]}" --slots 16 --join "127.0.0.1:$(free_port)" 2>"$tmp/alone"
    check "a node that gets no memory and joins others waits for them" wait_until 20 grep -q "so it waits for others: memory: " "$tmp/alone"
    prlimit --pid "$background_pid" --as=unlimited
    check "it goes on alone when it gets its memory after all" wait_until 40 grep -q "epoch .*: 1 member" "$tmp/alone"
    check "a node that got its memory later answers" timeout 60 "$mesh_node" ask --to "127.0.0.1:$port" -p abc -n 3
    check_equal "it has printed once that it waits" "$(grep -c "so it waits for others" "$tmp/alone")" 1
    kill "$background_pid"
    wait "$background_pid"
else
    skip "a node that gets no memory and joins others waits for them" "no prlimit"
fi

# ---- a group of 100 MB ----

group=
for folder in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    [ -e "$folder/memory.limit_in_bytes" ] || grep -qsw memory "$folder/cgroup.subtree_control" || continue
    mkdir "$folder/mesh-test-$$" 2>/dev/null || continue
    group=$folder/mesh-test-$$
    break
done
leave() { [ -z "$group" ] || rmdir "$group" 2>/dev/null; }
trap 'clean_up; leave' EXIT # clean_up waits for all processes in the group
limit=$group/memory.max
[ -e "$limit" ] || limit=$group/memory.limit_in_bytes
if [ -z "$group" ] || ! echo 100000000 2>/dev/null >"$limit"; then
    skip "plan shows the memory that the control group leaves" "no control group can be made here"
    finish
fi
within=(sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group") # one process, whose id `background` knows

check_exit "plan shows the memory that the control group leaves" 0 "MB available" \
    "${within[@]}" "$mesh_node" run -m "$model" -p Once -n 2 -t 1 --ctx 64
echo 40000000 >"$limit"
check_exit "a run that would not fit in its group is not begun" 4 "this machine has" \
    "${within[@]}" "$mesh_node" run -m "$model" -p Once -n 2 -t 1 --local 8
echo 100000000 >"$limit"
check_exit "a node that would not fit in its group does not begin" 4 "this node's part needs" "${within[@]}" "${serve[@]}" --slots 16

# Weights of 64 MB; the benchmark before a node joins tries to read as many.
check "a model with many weights is made" "$mesh_node" synth -o "$tmp/wide.gguf" --dim 1024 --hidden 4096 --layers 4 --heads 8 \
    --kv-heads 8 --vocab 300 --ctx 64 --type q8_0 --seed 1
echo 40000000 >"$limit"
check_exit "a small group does not end a node that tries its speed" 4 "this node's part needs" \
    "${within[@]}" "$mesh_node" serve -m "$tmp/wide.gguf" -t 1 --listen "127.0.0.1:$port"

# A model that is too large for each node alone: the first one waits.
echo 60000000 >"$limit"
ports=("$(free_port)" "$(free_port)")
for i in 0 1; do
    background "${within[@]}" "$mesh_node" serve -m "$model" -t 1 --slots 4 --listen "127.0.0.1:${ports[i]}" \
        --join "127.0.0.1:${ports[1 - i]}" 2>"$tmp/half$i"
    if [ $i = 0 ]; then check "a node that cannot hold all alone waits for others" wait_until 20 grep -q "waits for others" "$tmp/half0"; fi
done
check "with a second node it begins" wait_until 20 grep -q "epoch .*: 2 members" "$tmp/half0"
check_equal "neither of two nodes warned that the kernel would end it" "$(cat "$tmp"/half* | grep -c "the kernel ends")" 0
check "two nodes that hold the model together answer" timeout 60 "$mesh_node" ask --to "127.0.0.1:${ports[0]}" -p abc -n 3
background "${within[@]}" "$mesh_node" serve -m "$model" -t 1 --slots 16 --name more --listen "127.0.0.1:$port" \
    --join "127.0.0.1:$(free_port)" 2>"$tmp/more"
wait_until 20 grep -q "waits for others" "$tmp/more"
background "${within[@]}" "$mesh_node" serve -m "$model" -t 1 --slots 16 --name more --listen "127.0.0.1:$(free_port)" \
    --join "127.0.0.1:$port" 2>"$tmp/most"
check "where two nodes are too few they report it, and neither loads" \
    wait_until 20 grep -q "than its members can have together: nothing is loaded" "$tmp/most"
check_equal "nodes that would not fit get no rank" "$(cat "$tmp"/mo?? | grep -c "this is rank")" 0
finish
