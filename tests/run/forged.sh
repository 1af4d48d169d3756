#!/bin/bash
# Reports of routers that a host beside the cluster makes up, without the key: that datagrams are too large for a path. They change nothing.
# An MTU that a route was given holds.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes
command -v python3 >/dev/null || skip_all "needs python3, to send what no program sends"

cat >"$tmp/forge" <<'end'
import socket, struct, sys, time

# forge VICTIM PEER MTU COUNT: to VICTIM, that its datagrams to PEER are larger than MTU; both serve at port 7411.
victim, peer, mtu, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ":" in victim else socket.AF_INET
addresses = socket.inet_pton(family, victim) + socket.inet_pton(family, peer)
udp = struct.pack("!HHHH", 7411, 7411, 1208, 0)

def checksum(words):
    total = sum(struct.unpack("!%dH" % (len(words) // 2), words))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", total ^ 0xFFFF)

if family == socket.AF_INET6:
    packet = struct.pack("!BBHI", 2, 0, 0, mtu) + struct.pack("!IHBB", 6 << 28, 1208, 17, 64) + addresses + udp
    way = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)  # the kernel fills in the checksum
else:
    inner = struct.pack("!BBHHHBBH", 0x45, 0, 1228, 1, 0x4000, 64, 17, 0) + addresses
    inner = inner[:10] + checksum(inner) + inner[12:]
    packet = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + inner + udp
    packet = packet[:2] + checksum(packet) + packet[4:]
    way = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP)
for i in range(count):
    way.sendto(packet, (victim, 0))
    if i % 10 == 9:
        time.sleep(0.002)
end

believes() { netns_on 0 ip route get "$1" | grep -q "mtu $2"; } # ADDRESS MTU: the kernel of host 0

netns_hosts 3
expected=$(digest 20)
for i in 0 1; do
    joins=()
    if [ $i -gt 0 ]; then joins=(--join 10.77.0.1:7411); fi
    netns_start $i "$mesh_node" serve -m $model -t 1 --listen "10.77.0.$((i + 1)):7411" ${joins[@]+"${joins[@]}"} "${security[@]}" \
        2>>"$tmp/node$i"
done
becomes "two hosts form a cluster" 0 2
first=$(epoch 0)
netns_on 2 python3 "$tmp/forge" 10.77.0.1 10.77.0.2 552 1
check "the kernel believes a report that was made up" wait_until 10 believes 10.77.0.2 552
same "the cluster computes the same bits" 0
check_equal "with the same members" "$(epoch 0)" "$first"
status 0 >"$tmp/status"
check_contains "and without trouble" "$tmp/status" '"troubles":[]'
check_equal "no path is said to be narrow" "$(grep -c "^the path to" "$tmp/node0")" 0

# Each report makes a call on the socket fail, which is made again.
netns_start 2 python3 "$tmp/forge" 10.77.0.1 10.77.0.2 552 100000
same "a flood of such reports changes no bit" 0
check_equal "and no member" "$(epoch 0)" "$first"
kill "$netns_pid"
wait "$netns_pid" 2>/dev/null

netns_on 0 ip route replace 10.77.0.2/32 dev net0 mtu 1000
says "an MTU that a route was given is believed" 0 "^the path to 10.77.0.2:7411 carries datagrams of 972 bytes, and 1200 are needed"
netns_on 0 ip route del 10.77.0.2/32
says "until it is gone" 0 "^the path to 10.77.0.2:7411 carries datagrams of 1200 bytes again"

# By IPv6 1200 bytes always pass; a report would keep larger datagrams from being tried. It is there before the epoch begins.
for i in 0 1 2; do netns_on $i ip address add "fd77::$((i + 1))/64" dev net0 nodad; done
six() { # I OPTION...: a node by IPv6, of another cluster
    netns_start "$1" "$mesh_node" serve -m $model -t 1 --listen "[fd77::$(($1 + 1))]:7411" "${security[@]}" --name six "${@:2}" \
        2>>"$tmp/six$1"
}
largest() { # the largest datagrams that the first node sends the second
    netns_on 0 timeout 10 "$mesh_node" status --to "[fd77::1]:7411" "${security[@]}" --name six --telemetry 1 2>/dev/null |
        sed -n 's/.*"event":"link",.*"node_rank":0,.*"datagram_bytes":\([0-9]*\).*/\1/p' | sort -n | tail -n 1
}
six 0
wait_until 20 grep -q "^epoch 1" "$tmp/six0"
netns_on 2 python3 "$tmp/forge" fd77::1 fd77::2 1280 1
check "the kernel believes it of IPv6, too" wait_until 10 believes fd77::2 1280
six 1 --join "[fd77::1]:7411"
wait_until 20 grep -q "2 members" "$tmp/six0"
grows() { [ "$(largest)" = 1452 ]; }
check "datagrams as large as the interface carries are tried and used" wait_until 1 grows
finish
