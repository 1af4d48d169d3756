#!/bin/bash
# Errors in a cluster file, an address or an option are reported before a node begins, with their place; and the signals and limits that a
# node inherits from its parent.
# Runs beside others.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

model=$tmp/m.gguf
"$mesh_node" synth -o "$model" --dim 64 --hidden 64 --layers 1 --heads 2 --kv-heads 2 --vocab 300 --ctx 256 --type f32 --seed 1
port=$(free_port)
serve=("$mesh_node" serve -m "$model" -t 1)
says() { wait_until 20 grep -qF -e "$2" "$tmp/$1"; } # NAME TEXT
ends() { # NAME CODE: the node that was started last
    local sentence=$1 code=0
    wait "$background_pid" || code=$?
    check_equal "$sentence" "$code" "$2"
}

# ---- options ----

check_exit "a node's name without a file is refused" 2 "--node attic: of which cluster file?" "${serve[@]}" --node attic
check_exit "--record-size without --record is refused" 2 "--record-size: nothing is recorded: give --record" "${serve[@]}" --record-size 5
check_exit "--record-prompts without --record is refused" 2 "--record-prompts: nothing is recorded" "${serve[@]}" --record-prompts
echo "mesh-key-1 $(head -c 32 /dev/zero | od -An -tx1 | tr -d ' \n')" >"$tmp/key" && chmod 600 "$tmp/key"
for command in "serve -m $model" status "ask -p a"; do
    # shellcheck disable=SC2086 # words
    check_exit "${command%% *} refuses a key that it would not use" 2 "--security none and --key $tmp/key: without security" \
        "$mesh_node" $command --security none --key "$tmp/key"
done
printf '[cluster]\nmodel = %s\nkey = %s\n[node a]\naddress = 10.0.0.1:7411\n' "$model" "$tmp/key" >"$tmp/key.conf"
check_exit "a node with a key that it does not use is not told to give one" 2 "with security none a node serves the loopback only" \
    "$mesh_node" serve -c "$tmp/key.conf" --node a --security none
check_exit "serve refuses a cipher without a key" 2 "--cipher chacha20: without a key nothing is sealed" "${serve[@]}" --cipher chacha20
check_exit "run refuses a cipher without security" 2 "--cipher chacha20: without --security" \
    "$mesh_node" run -m "$model" -p a --security none --cipher chacha20
check_exit "run refuses --record-time without --record" 2 "--record-time: nothing is recorded" \
    "$mesh_node" run -m "$model" -p a --record-time 5
check_exit "joining port 0 is refused" 2 "--join 127.0.0.1:0: port 0" "${serve[@]}" --join 127.0.0.1:0
check_exit "joining the any address is refused" 2 "--join 0.0.0.0:$port: a wildcard address" "${serve[@]}" --join "0.0.0.0:$port"
check_exit "advertising the any address is refused" 2 "--advertise [::]:$port: a wildcard address" "${serve[@]}" --advertise "[::]:$port"
check_exit "listening at a group's address is refused" 2 "--listen 239.255.77.11:$port: no single machine has it" "${serve[@]}" \
    --listen "239.255.77.11:$port"

# ---- errors in a cluster file are reported as those of a bad file ----

# of_file SENTENCE TEXT CLUSTER-LINE NODE-LINE
of_file() {
    printf '[cluster]\nmodel = %s\n%s\n[node a]\naddress = 127.0.0.1:%s\n%s\n' "$model" "$3" "$port" "$4" >"$tmp/c.conf"
    check_exit "$1" 3 "mesh-node: -c $tmp/c.conf: $2" "$mesh_node" serve -c "$tmp/c.conf" --node a
}
of_file "a context that the model has not" "ctx 512: the model was made for 256" "ctx = 512" ""
of_file "an address for Prometheus without a port" "metrics nowhere: 'nowhere': no port" "" "metrics = nowhere"
of_file "a group to find others that is none" "discover 10.0.0.1:7412: no IPv4 multicast group" "discover = 10.0.0.1:7412" ""
of_file "a group for tiles that is none" "multicast nowhere: 'nowhere': no port" "multicast = nowhere" ""
check_exit "an error of an option is reported as one, although there is a file" 2 "mesh-node: --metrics nowhere" \
    "$mesh_node" serve -c "$tmp/c.conf" --node a --metrics nowhere

# ---- names without an address; a missing interface needs no name server, so none is queried ----

gone='[fe80::1%nosuch0]:7411'
nodes() { # ADDRESS...: of the nodes a, b, ...
    local name
    printf '[cluster]\nmodel = %s\n' "$model"
    for name in a b c; do
        [ $# -eq 0 ] || printf '[node %s]\naddress = %s\n' $name "$1"
        shift
    done
}
nodes "$gone" "127.0.0.1:$port" >"$tmp/own.conf"
check_exit "a node needs its own address" 4 "own.conf: [node a]: address = '$gone': this machine has no such interface" \
    "$mesh_node" serve -c "$tmp/own.conf" --node a
nodes "127.0.0.1:$port" "$gone" >"$tmp/two.conf"
check_exit "a node needs the address of some other node" 4 "two.conf: [node b]: address = '$gone': " \
    "$mesh_node" serve -c "$tmp/two.conf" --node a
check "a file with such a name can be planned with" "$mesh_node" plan -c "$tmp/two.conf"
nodes "127.0.0.1:$port" "$gone" "127.0.0.1:$(free_port)" >"$tmp/three.conf"
background "$mesh_node" serve -c "$tmp/three.conf" --node a -t 1 2>"$tmp/three"
check "a node that is gone for good does not prevent another from starting" says three "epoch 1: 1 member"
check_contains "a node whose address is unknown is reported" "$tmp/three" \
    "three.conf: [node b] is not asked: address = '$gone': this machine has no such interface"
kill "$background_pid"
wait "$background_pid"

# ---- occupied, or of the other family ----

background "${serve[@]}" --listen "127.0.0.1:$port" --metrics 127.0.0.1:0 2>"$tmp/first"
first=$background_pid
says first "epoch 1"
check_exit "an occupied port is reported with the remedy" 4 "bound: Address already in use: another process has this UDP port" \
    "${serve[@]}" --listen "127.0.0.1:$port"
web=$(sed -n 's|^metrics on http://\([^/]*\)/metrics$|\1|p' "$tmp/first")
if [ -n "$web" ]; then
    check_exit "an occupied port for Prometheus is reported with the remedy" \
        4 "--metrics $web: cannot listen: Address already in use: another program has this TCP port" \
        "${serve[@]}" --listen 127.0.0.1:0 --metrics "$web"
else
    skip "an occupied port for Prometheus is reported with the remedy" "built without libmicrohttpd"
fi
check "a client reaches this machine by the any address" "$mesh_node" status --to "0.0.0.0:$port"
if has_ipv6; then
    background "${serve[@]}" --listen "[::1]:$(free_port)" --join "127.0.0.1:$port" 2>"$tmp/six"
    check "a node with an IPv6 address is told why it reaches no IPv4 one" says six \
        "nothing can be sent to 127.0.0.1:$port: Address family not supported by protocol: let this node listen at an address of that kind"
    kill "$background_pid"
    wait "$background_pid"
else
    skip "a node with an IPv6 address is told why it reaches no IPv4 one" "the loopback has no such address"
fi

# ---- signals ----

port=$(free_port)
question=(-p abc -n 30 --ignore-eos --temp 0 --digest)
ask() { timeout -k 5 60 "$mesh_node" ask --to "127.0.0.1:$port" "${question[@]}"; }
# slow COMMAND...: start a node that takes some seconds for the question, and ask it; the test ends the node
slow() {
    background env --default-signal=HUP "$@" "${serve[@]}" --lab pace=2MB/s --listen "127.0.0.1:$port" 2>"$tmp/slow"
    says slow "epoch 1"
    ask >"$tmp/answer" 2>"$tmp/answer.err" </dev/null &
    asking=$!
    wait_until 20 test -s "$tmp/answer"
}
slow
kill -HUP "$background_pid"
check "a terminal that ends is a signal to leave" says slow "leaving when 1 request has ended"
wait "$asking"
check_equal "the request ends as if nothing had happened" $? 0
ends "a node whose terminal ends exits with 0" 0
slow nohup
kill -HUP "$background_pid"
wait "$asking"
check_equal "a node started with nohup ignores that signal" "$? $(grep -c leaving "$tmp/slow")" "0 0"
kill "$background_pid"
wait "$background_pid"

# ---- a small stack ----

if [ -z "$SAN" ]; then
    # shellcheck disable=SC2016
    small=(bash -c 'ulimit -s 128; exec "$@"' bash)
    check "128 KiB of stack are enough for nodes that generate" "${small[@]}" "$mesh_node" run -m "$model" -p abc -n 2 -t 1 --local 2
    background "${small[@]}" "${serve[@]}" --listen "127.0.0.1:$port" 2>"$tmp/small"
    says small "epoch 1"
    check "128 KiB of stack are enough for a node that serves" ask
    check "128 KiB of stack are enough for its status" "$mesh_node" status --json --to "127.0.0.1:$port"
    kill "$background_pid"
    ends "a node with a small stack leaves in order" 0
else
    skip "128 KiB of stack are enough for nodes that generate" "a sanitizer takes more"
fi

# ---- a limit on the size of files acts like a full disk ----

if [ -x "$BIN/mesh-replay" ]; then
    # shellcheck disable=SC2016
    background bash -c 'ulimit -f 2500; exec "$@"' bash "${serve[@]}" --record "$tmp/t.db" --listen "127.0.0.1:$port" 2>"$tmp/limit"
    says limit "epoch 1"
    for _ in $(seq 100); do
        if grep -q "is tried again" "$tmp/limit"; then break; fi
        "$mesh_node" ask --to "127.0.0.1:$port" -p abc -n 200 --ignore-eos --temp 1 >/dev/null 2>&1
    done
    check_contains "a recording that may not grow is reported" "$tmp/limit" "cannot be written, retrying every second"
    check "a node whose recording may not grow answers" ask
    kill "$background_pid"
    ends "a node whose recording may not grow leaves in order" 0
else
    skip "a recording that may not grow is reported" "mesh-replay is not built"
fi

# ---- notifications to a service manager while a model is fetched ----

if command -v python3 >/dev/null; then
    cat >"$tmp/manager.py" <<'END'
import os, socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
manager.settimeout(60)
with open(sys.argv[2], "w", buffering=1) as log:
    while True:
        log.write(manager.recv(4096).decode().replace("\n", " ") + "\n")
END
    background python3 "$tmp/manager.py" "$tmp/manager" "$tmp/told"
    wait_until 10 test -S "$tmp/manager"
    NOTIFY_SOCKET=$tmp/manager XDG_CACHE_HOME=$tmp/cache background "$mesh_node" serve -t 1 --listen 127.0.0.1:0 \
        --join "$(sed -n 's/^listening on //p' "$tmp/first")" 2>"$tmp/fetcher"
    check "the service manager is told that the node is ready" says told "READY=1"
    check_equal "before that it is told what the node does" \
        "$(sed '/READY=1/q' "$tmp/told" | sed 's/:.*//' | head -n 1)" "STATUS=asking 127.0.0.1"
    check_contains "the service manager is told the progress of fetching" "$tmp/told" "STATUS=fetching the model: "
else
    skip "the service manager is told that the node is ready" "python3 is not installed"
fi
kill "$first"
finish
