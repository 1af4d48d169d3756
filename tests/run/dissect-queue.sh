#!/bin/bash
# Datagrams that wait in their own host, behind a shaper, are captured only as they leave it: the analysis still says that they waited
# there, and not that the host is slow or its share too large.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
security+=(--security auth)

netns_hosts 2
start_two

# shape RATE QUEUE: of host 1
shape() { netns_on 1 tc qdisc change dev net0 root tbf rate "$1" burst 2kb limit "$2"; }
# Capture at both hosts while host 1 has so little room to send that the queue outweighs by far what a busy processor adds to the waiting of
# either: a gather takes about 60 ms. Only for single tokens: behind the many tiles of a prompt even signs of life would come too late.
look() {
    local i captures=()
    for i in 0 1; do
        netns_start $i "$mesh_dissect" -i net0 -w "$tmp/host$i.pcap" -Z root udp port 7411 2>"$tmp/capture$i"
        captures+=("$netns_pid")
        wait_until 10 grep -q "listening on" "$tmp/capture$i"
    done
    shape 1mbit 200kb
    ask 0 16 >"$tmp/answer" 2>&1 </dev/null &
    local asking=$!
    wait_until 20 test -s "$tmp/answer"
    shape 125kbit 200kb
    wait "$asking"
    netns_rate "$NETNS_RATE" "$NETNS_QUEUE"
    sleep 0.5
    kill -INT "${captures[@]}"
    wait "${captures[@]}"
    "$mesh_dissect" -r "$tmp/host0.pcap" -r "$tmp/host1.pcap" --analyze | sed -n '/^findings:/,$p' >"$tmp/findings"
    host1=$("$mesh_dissect" -r "$tmp/host1.pcap" --json src host 10.77.0.2 and src port 7411 and dst port 7411 |
        sed -nE 's/.*"src":([0-9]+),.*"epoch":([1-9][0-9]*),.*/\1/p' | tail -n 1)
}
# A machine so busy that a member was lost, or that either host is late by itself, may show less: then once more.
for _ in 1 2 3; do
    wait_until 60 has 0 2
    look
    if grep -qF "its datagrams wait in its own host" "$tmp/findings"; then break; fi
done
check_contains "the other waits for the rank of the shaped host" "$tmp/findings" "the others wait for rank $host1:"
check_contains "because its datagrams wait there" "$tmp/findings" "its datagrams wait in its own host (10.77.0.2) before they leave"
check_contains "and says where to look" "$tmp/findings" "(tc -s qdisc, ethtool), not at the share"
finish
