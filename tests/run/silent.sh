#!/bin/bash
# Nodes of `run` of which one is stopped: the others wait for it, print for which one and what can be done, and go on when it does.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=$tmp/m.gguf
check "a model is made" "$mesh_node" synth -o "$model" --dim 64 --hidden 160 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --ctx 512 \
    --seed 1
generate=("$mesh_node" run -m "$model" -p abc -n 200 --temp 0 --ignore-eos --ids -t 1)
check "the answer is known" "${generate[@]}"
cp "$out" "$tmp/answer"
generate+=(--lab "pace=$((8 * ($(stat -c %s "$model") / 1000)))kB/s") # it takes a while

# stops SENTENCE PID TEXT FILE: the process is stopped until the file has the text
stops() {
    kill -STOP "$2"
    check "$1" wait_until 60 grep -qF "$3" "$4"
    kill -CONT "$2"
}

# ---- local nodes ----

"${generate[@]}" --local 3 >"$tmp/text" 2>"$tmp/err" </dev/null &
first=$!
background_pids+=("$first")
check "three local nodes generate" wait_until 60 test -s "$tmp/text"
# The oldest process is node 1; it need not have the lowest number, as these begin anew some time.
if [ -r "/proc/$first/task/$first/children" ]; then
    read -r second _ <"/proc/$first/task/$first/children"
else
    second=$(pgrep -o -P "$first") # to a hundredth of a second
fi
stops "a node that is stopped is named" "$second" "node 1 (process $second): has not answered for " "$tmp/err"
check "what can be done is printed" grep -qF "kill -CONT $second lets it go on" "$tmp/err"
check "that it answers again is printed" wait_until 60 grep -qF "node 1 (process $second): answers again, after " "$tmp/err"
stops "the first node is named by another one" "$first" "node 0 (process $first): has not answered for " "$tmp/err"
check "three local nodes end" wait "$first"
check_equal "each is named once" "$(grep -c 'has not answered' "$tmp/err")" 2
check_same "the answer of nodes that were stopped is the same" "$tmp/answer" "$tmp/text"

# ---- nodes that are started one by one ----

port=$(free_port)
peers=127.0.0.1:$port,127.0.0.1:$((port + 1))
for rank in 0 1; do
    "${generate[@]}" --peers "$peers" --rank $rank >"$tmp/text.$rank" 2>"$tmp/err.$rank" </dev/null &
    pids[rank]=$!
    background_pids+=("${pids[rank]}")
done
check "two nodes that were started one by one generate" wait_until 60 test -s "$tmp/text.0"
stops "rank 1 is named by rank 0" "${pids[1]}" "rank 1 (127.0.0.1:$((port + 1))): has not answered for " "$tmp/err.0"
stops "rank 0 is named by rank 1" "${pids[0]}" "rank 0 (127.0.0.1:$port): has not answered for " "$tmp/err.1"
check "rank 0 ends" wait "${pids[0]}"
check "rank 1 ends" wait "${pids[1]}"
check_same "their answer is the same" "$tmp/answer" "$tmp/text.0"
finish
