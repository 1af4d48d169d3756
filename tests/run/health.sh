#!/bin/bash
# /health of a node that serves alone because the cluster that it was to join refuses it.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

for seed in 1 2; do
    "$mesh_node" synth -o "$tmp/$seed.gguf" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 256 --type f32 \
        --seed $seed
done
run "$mesh_node" serve -m "$tmp/1.gguf" --listen "127.0.0.1:$(free_port)" --metrics 192.0.2.1:1 # which is nobody's
if grep -q "built without libmicrohttpd" "$err"; then skip_all "mesh-node was built without libmicrohttpd"; fi
check_exit "an IPv6 address that looks like a mapped 127.0.0.1 is another one" 4 \
    "--metrics [fd00::ffff:7f00:1]:1: cannot listen: Cannot assign requested address" \
    timeout -k 5 20 "$mesh_node" serve -m "$tmp/1.gguf" --listen "127.0.0.1:$(free_port)" --metrics "[fd00::ffff:7f00:1]:1"

port=$(free_port)
# node NAME MODEL OPTIONS
node() {
    local name=$1 model=$2
    shift 2
    background "$mesh_node" serve -m "$tmp/$model.gguf" -t 1 --metrics 127.0.0.1:0 "$@" 2>"$tmp/$name"
}
# health NAME CODE: node NAME's /health has that code
health() {
    http_ask "$tmp/$1" GET /health >"$tmp/health" 2>/dev/null
    head -n 1 "$tmp/health" | grep -q " $2 "
}
node first 1 --listen "127.0.0.1:$port"
check "a node that is to be alone is healthy" wait_until 20 health first 200
recorded=()
if [ -x "$BIN/mesh-replay" ]; then recorded=(--record "$tmp/other.db"); fi
node other 2 --listen "127.0.0.1:$(free_port)" --join "127.0.0.1:$port" ${recorded[@]+"${recorded[@]}"}
other=$background_pid
check "one with another model is refused" wait_until 20 grep -q "refused by 127.0.0.1:$port" "$tmp/other"
wait_until 20 grep -q "epoch" "$tmp/other"
if health other 503; then
    ok "a refused node serves alone, and is not healthy"
else
    not_ok "a refused node serves alone, and is not healthy" "$(cat "$tmp/health" "$tmp/other")"
fi
check_contains "/health of a refused node says that it is up" "$tmp/health" '"state":"up","members":1'
check_contains "/health says which address refused the node, and why" "$tmp/health" \
    "\"refused\":\"$(sed -n 's/^refused //p' "$tmp/other")\""
address=$(sed -n 's/^listening on //p' "$tmp/other")
check "the refused node has a status" "$mesh_node" status --to "$address"
check_contains "status as text says by whom the node is refused" "$out" "$(grep '^refused by' "$tmp/other"); it answers alone"
check_contains "status as text shows where the node listens" "$out" "0  $address "
"$mesh_node" status --to "$address" --json >"$tmp/status"
check_contains "status as JSON gives the refusal" "$tmp/status" "\"refusal\":\"$(sed -n 's/^refused //p' "$tmp/other")\""
check "the log of a refused node does not blame the network" wait_until 20 grep -q \
    "^alone for 5 s: .* but no member takes this node in: refused by 127.0.0.1:$port: .*model fingerprint" "$tmp/other"
if health first 200; then
    ok "the node that refuses stays healthy"
else
    not_ok "the node that refuses stays healthy" "$(cat "$tmp/health")"
fi
check_equal "/health of the refusing node mentions no refusal" "$(grep -c refused "$tmp/health")" 0
"$mesh_node" status --to "127.0.0.1:$port" --json >"$tmp/status"
check_equal "the status of the refusing node mentions no refusal" "$(grep -c '"refusal"' "$tmp/status")" 0

# Clients that would keep all connections: those that come again and again, and those that never finish.
http=$(sed -n 's|^metrics on http://127.0.0.1:\([0-9]*\)/metrics$|\1|p' "$tmp/first")
exec 8<>"/dev/tcp/127.0.0.1/$http"
printf 'GET /metrics HTTP/1.1\r\nHost: mesh\r\n\r\n' >&8
timeout 10 cat <&8 >"$tmp/kept"
exec 8>&-
check_contains "a connection ends with its answer" "$tmp/kept" "Connection: close"
dribble() {
    local fd fds=()
    trap '' PIPE
    while [ ${#fds[@]} -lt 16 ]; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$http"
        printf 'GET /health HTTP/1.1\r\nHost: mesh\r\n' >&"$fd"
        fds+=("$fd")
    done
    echo ready >"$tmp/dribbling"
    for _ in {1..120}; do
        sleep 0.5
        for fd in "${fds[@]}"; do printf 'X: y\r\n' >&"$fd"; done
    done
}
background dribble 2>"$tmp/broken"
check "clients take all connections, and send a line now and then" wait_until 20 test -e "$tmp/dribbling"
if health first 200 || health first 200 || health first 200; then
    ok "they are disconnected, and others are answered"
else
    not_ok "they are disconnected, and others are answered"
fi
kill "$background_pid"

if [ ${#recorded[@]} -gt 0 ]; then
    kill "$other"
    wait "$other"
    run "$BIN/mesh-replay" query "$tmp/other.db" "SELECT reason FROM events WHERE kind = 'refused'"
    check_contains "the recorded event has address and reason in separate fields" "$out" \
        "127.0.0.1:$port: the cluster does not take this node in"
else
    skip "the recorded event has address and reason in separate fields" "mesh-replay is not built"
fi
finish
