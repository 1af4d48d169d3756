#!/bin/bash
# Nodes that know no address find one another by a multicast group, on the loopback and on an Ethernet of a network namespace of their own;
# those of another group, another key or none do not.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

# The script runs itself again in a namespace: with or without root, nothing outside is touched.
if [ -z "${MESH_TEST_NAMESPACE:-}" ]; then
    if ! unshare -rn true 2>/dev/null; then skip_all "no network namespace can be made here (unshare -rn)"; fi
    if ! command -v ip >/dev/null; then skip_all "needs ip (iproute2)"; fi
    background env MESH_TEST_NAMESPACE=1 unshare -rn "$0"
    wait "$background_pid"
    exit $?
fi
ip link set lo up multicast on || skip_all "the loopback of a namespace cannot be set up"

model=node/models/stories-q8_0.gguf
group=239.255.77.11:7412
security=()
if "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then security=(--key "$tmp/key"); fi
"$mesh_node" keygen -o "$tmp/other" >/dev/null 2>&1

# node ADDRESS OPTION...
node() {
    local address=$1
    shift
    background "$mesh_node" serve -m $model -t 1 --listen "$address" "$@" 2>"$tmp/node-${address//[.:]/-}"
}
status() { "$mesh_node" status --json --to "$1" "${@:2}"; }
has() { status "$1" "${@:3}" 2>/dev/null | grep -q "\"nodes\":$2,"; }
becomes() { # SENTENCE ADDRESS N [OPTION...]
    if wait_until 20 has "${@:2}"; then ok "$1"; else not_ok "$1" "$(status "$2" "${@:4}" 2>&1)" "$(tail -n 4 "$tmp"/node-*)"; fi
}

node 127.0.0.1:7411 --discover $group ${security[@]+"${security[@]}"}
node 127.0.0.1:7421 --discover $group ${security[@]+"${security[@]}"}
node 127.0.0.1:7431 --discover $group ${security[@]+"${security[@]}"}
becomes "three nodes find one another on the loopback" 127.0.0.1:7411 3 ${security[@]+"${security[@]}"}
becomes "all three nodes report three members" 127.0.0.1:7431 3 ${security[@]+"${security[@]}"}
node 127.0.0.1:7441 ${security[@]+"${security[@]}"}
node 127.0.0.1:7451 --discover 239.255.77.12:7412 ${security[@]+"${security[@]}"}
if [ ${#security[@]} -gt 0 ]; then node 127.0.0.1:7461 --discover $group --key "$tmp/other"; fi
kill -9 "${background_pids[2]}"
becomes "a member dies" 127.0.0.1:7411 2 ${security[@]+"${security[@]}"}
node 127.0.0.1:7431 --discover $group ${security[@]+"${security[@]}"}
becomes "a node that died finds the others again" 127.0.0.1:7431 3 ${security[@]+"${security[@]}"}
becomes "a node without --discover stays alone" 127.0.0.1:7441 1 ${security[@]+"${security[@]}"}
becomes "a node with another group stays alone" 127.0.0.1:7451 1 ${security[@]+"${security[@]}"}
if [ ${#security[@]} -gt 0 ]; then becomes "a node with another key stays alone" 127.0.0.1:7461 1 --key "$tmp/other"; fi

# What others send to the group: empty datagrams, a flood of questions with wrong tags, a question of a node that is gone, again and
# again. The file holds that question; then come the answers to it.
cat >"$tmp/group" <<'end'
import socket, struct, sys, time

group, port = "239.255.77.11", 7412
way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
way.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
way.bind(("127.0.0.1", 0))
if sys.argv[1] == "hear":
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ear.bind((group, port))
    ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
    print("listening", flush=True)
    while True:
        datagram, sender = ear.recvfrom(2000)
        if sender[1] == 7471:
            break
    open(sys.argv[2], "wb").write(datagram)
elif sys.argv[1] == "replay":
    datagram = open(sys.argv[2], "rb").read()
    for _ in range(200):
        way.sendto(datagram, (group, port))
        time.sleep(0.001)
    way.settimeout(0.5)
    answers = 0
    try:
        while way.recv(2000):
            answers += 1
    except socket.timeout:
        print(answers)
else:
    junk = bytearray(170)
    junk[0:4] = b"Dm\x01\x20"
    junk[4], junk[16], junk[24:32] = 12, 9, b"\xff" * 8
    count = 0
    while True:
        for _ in range(20 if sys.argv[1] == "junk" else 2):
            count += 1
            junk[56:64] = struct.pack("<Q", count * 0x9E3779B97F4A7C15 % 2**64)
            way.sendto(junk if sys.argv[1] == "junk" else b"", (group, port))
        time.sleep(0.002)
end
if [ ${#security[@]} = 0 ] || ! command -v python3 >/dev/null; then
    skip "a replayed question is answered once by each" "no key, or no python3"
    skip "a node joins beside a flood to the group" "no key, or no python3"
else
    background python3 "$tmp/group" hear "$tmp/question" >"$tmp/heard"
    wait_until 10 grep -q listening "$tmp/heard"
    node 127.0.0.1:7471 --discover $group "${security[@]}"
    wait_until 20 test -s "$tmp/question"
    becomes "a fourth node joins" 127.0.0.1:7411 4 "${security[@]}"
    kill -9 "$background_pid"
    becomes "and dies" 127.0.0.1:7411 3 "${security[@]}"
    run python3 "$tmp/group" replay "$tmp/question"
    if [ "$(cat "$out")" -le 5 ]; then
        ok "a replayed question is answered once by each"
    else
        not_ok "a replayed question is answered once by each" "$(show_run)"
    fi
    port=7481 # never that of a member that was lost, which the others ask by its address
    for flood in empty junk; do
        background python3 "$tmp/group" $flood
        flooding=$background_pid
        sleep 0.5
        node 127.0.0.1:$port --discover $group "${security[@]}"
        becomes "a node joins beside a flood to the group ($flood)" 127.0.0.1:7411 4 "${security[@]}"
        kill "$flooding" "$background_pid"
        becomes "and leaves" 127.0.0.1:7411 3 "${security[@]}"
        port=$((port + 10))
    done
fi

if [ ${#security[@]} -gt 0 ] && ip link add lan0 type veth peer name lan1 2>/dev/null; then
    for i in 1 2 3; do ip address add 10.77.0.$i/24 dev lan0; done
    ip link set lan0 up && ip link set lan1 up
    printf '[cluster]\nname = lan\nmodel = %s\nkey = %s\ndiscover = %s\n' $model "$tmp/key" $group >"$tmp/lan.conf"
    for i in 1 2 3; do
        printf '[node n%s]\naddress = 10.77.0.%s:7411\n' $i $i >"$tmp/own"
        cat "$tmp/lan.conf" "$tmp/own" >"$tmp/lan$i.conf"
        background "$mesh_node" serve -c "$tmp/lan$i.conf" --node n$i -t 1 2>"$tmp/node-lan$i"
    done
    becomes "nodes of cluster files with a group find one another on an Ethernet" 10.77.0.1:7411 3 --key "$tmp/key" --name lan
    becomes "nodes on the loopback stay another cluster" 127.0.0.1:7411 3 "${security[@]}"
else
    skip "nodes find one another on an Ethernet" "no key, or no veth here"
fi

for wrong in 10.0.0.1:7412 239.255.77.300 '[ff02::1]:7412' 239.255.77.11:0 nowhere; do
    check_exit "$wrong is no group" 2 "--discover $wrong: " "$mesh_node" serve -m $model --discover "$wrong"
done
finish
