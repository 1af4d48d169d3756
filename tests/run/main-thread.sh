#!/bin/bash
# What the main thread of a serving node calls of the system, as strace sees it: it answers the other members, so nothing it calls may take
# long. Large memory is given back, memory looked at, lines are written by other threads; prompts are read a little at a time.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -z "$SAN" ] || skip_all "sanitizers call the system, too"
strace -o "$tmp/try" true 2>/dev/null || skip_all "there is no strace here that may trace"

# Keys and values of 67 MB.
model=$tmp/m.gguf
check "a model is made" "$mesh_node" synth -o "$model" --dim 256 --hidden 512 --layers 4 --heads 4 --kv-heads 4 --vocab 300 --ctx 4096 \
    --type q8_0 --seed 1
ports=("$(free_port)" "$(free_port)")
metrics=(--metrics 127.0.0.1:0)
run "$mesh_node" serve -m "$model" --listen "127.0.0.1:${ports[0]}" --metrics 192.0.2.1:1 # which is nobody's
if grep -q "built without libmicrohttpd" "$err"; then metrics=(); fi
# node NUMBER OPTION...
node() {
    local number=$1
    shift
    background "$mesh_node" serve -m "$model" -t 1 --listen "127.0.0.1:${ports[number]}" --join "127.0.0.1:${ports[1 - number]}" "$@"
}
# is COUNT: node 0 is up with so many members
is() { timeout 10 "$mesh_node" status --to "127.0.0.1:${ports[0]}" --json | grep -q "\"nodes\":$1,.*\"state\":\"up\""; }

node 0 ${metrics[@]+"${metrics[@]}"} 2>"$tmp/log"
traced=$background_pid
check "a node is alone" wait_until 20 is 1
strace -r -T -o "$tmp/calls" -p "$traced" 2>"$tmp/strace" & # without -f: of this thread
tracer=$!
wait_until 10 grep -q attached "$tmp/strace"
run timeout 60 "$mesh_node" ask --to "127.0.0.1:${ports[0]}" -p "$(head -c 16000 /dev/zero | tr '\0' z)"
check_contains "a prompt of one long word is refused when it has been read" "$err" "the prompt has 16002 tokens, the context holds 4096"
node 1 2>"$tmp/other"
check "another one joins it" wait_until 20 is 2
check "they answer" timeout 60 "$mesh_node" ask --to "127.0.0.1:${ports[0]}" -p abc -n 20 --temp 0
timeout 60 "$mesh_node" status --to "127.0.0.1:${ports[0]}" --telemetry 3 >"$tmp/telemetry"
if [ ${#metrics[@]} -gt 0 ]; then http_ask "$tmp/log" GET /metrics >"$tmp/metrics"; fi
kill -9 "$background_pid"
check "the other one dies" wait_until 20 is 1
node 1 2>"$tmp/other"
check "one joins again" wait_until 20 is 2
kill "$background_pid"
check "and leaves" wait_until 20 is 1
kill "$traced"
wait "$tracer"

sed -i -e 's/^ *[0-9.]* //' -e '/^--- SIGTERM/,$d' "$tmp/calls"
check "all that was traced" grep -q "recvmmsg" "$tmp/calls"
# never SENTENCE PATTERN: the main thread has not called this. 8 MB are the stack of a thread that has ended.
never() { check_equal "$1" "$(grep -E "$2" "$tmp/calls" | cut -c1-100 | sort | uniq -c | sort -rn | head -5)" ""; }
never "the main thread gives no engine's memory back" 'munmap\(0x[0-9a-f]+, [0-9]{8,}'
never "opens no files" '^open(at)?\([^"]*"(/proc|/sys|/tmp|/var)'
never "writes to no file but its own events" '^(pwrite64|pwritev|fsync|fdatasync|write\([0-2],)'
never "and waits on no socket that others empty" '^(sendto|sendmmsg|sendmsg)\([^)]*, 0, '
# A symbol takes two units of work, a turn has 4096: eight turns, and no rest between them.
looks=$(awk '/^(epoll_pwait2|ppoll|futex)/ { looks = 0 }
    /^recvmmsg/ && ++looks > most { most = looks }
    END { print most + 0 }' "$tmp/calls")
check "while it reads a prompt it looks for datagrams" test "$looks" -ge 8
finish
