#!/bin/bash
# Network faults of one machine: a firewall, a lost address, no route, a one-way path. The node there reports the fault with the remedy, and
# recovers with the network.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes

forget() { : >"$tmp/node$1"; } # I: `says` looks at what follows
expected=$(digest 20)
netns_hosts 3
for i in 0 1 2; do
    joins=()
    if [ $i -gt 0 ]; then joins=(--join 10.77.0.1:7411); fi
    if [ $i = 2 ]; then wait_until 20 has 0 2; fi # the last node gets the last rank
    netns_start $i "$mesh_node" serve -m $model -t 1 --listen "10.77.0.$((i + 1)):7411" ${joins[@]+"${joins[@]}"} --key "$tmp/key" \
        2>>"$tmp/node$i"
done
becomes "three hosts form a cluster" 0 3

# A firewall of the node's own machine, on what goes out.
netns_on 2 nft "add table inet wall; add chain inet wall out { type filter hook output priority 0; };
    add rule inet wall out udp dport 7411 drop"
says "who may not send says that its own firewall forbids it" 2 \
    "nothing can be sent to 10.77.0.[12]:7411.*: Operation not permitted: a firewall of this machine forbids it"
run netns_on 2 "$mesh_node" status --to 10.77.0.1:7411 --key "$tmp/key"
check_contains "a client behind the firewall reports it, too" "$err" "10.77.0.1:7411: nothing can be sent there: Operation not permitted"
netns_on 2 nft delete table inet wall
says "the node reports when the firewall lets datagrams out again" 2 "sending to 10.77.0.[12]:7411.* works again"
becomes "without the firewall the node is a member again" 2 3
same "a node that was behind a firewall answers with the same bits" 2

# The address at which a node listens.
netns_on 2 ip address del 10.77.0.3/24 dev net0
says "who has lost its address says so" 2 "this machine no longer has the address 10.77.0.3:7411, at which this node listens"
says "a node without its address reports that it is alone" 2 "^alone for 5 s: nothing comes from the others"
run netns_on 2 "$mesh_node" status --to 10.77.0.1:7411 --key "$tmp/key"
check_contains "a client on a machine without an address reports it" "$err" \
    "10.77.0.1:7411: nothing can be sent there: Network is unreachable"
netns_on 2 ip address add 10.77.0.3/24 dev net0
says "a node reports when it has its address again" 2 "this machine has the address 10.77.0.3:7411 again"
becomes "with its address the node is a member again" 2 3
same "a node that lost its address answers with the same bits" 2

# Datagrams of one node do not reach the last one, so not every node can tell it so.
forget 2
netns_on 2 nft add rule inet loss in ip saddr 10.77.0.2 drop
says "who is left out learns which member it does not hear" 2 \
    "^refused by 10.77.0.1:7411: .* rank of a member without a path to this node is 1: .*; that member is 10.77.0.2:7411"
says "a node that is left out reports that others are there" 2 \
    "^alone for 5 s: [0-9]* datagrams have come from others, but no member .*: refused by 10.77.0.1:7411: .*; that member is 10.77.0.2:7411"
says "the member that does not take it in says so" 0 \
    "^10.77.0.3:7411 is not taken in: it and a member do not get what they send each other, or it takes over 450 ms there and back"
check_equal "once" "$(grep -c "^10.77.0.3:7411 is not taken in" "$tmp/node0")" 1
same "the others go on, with the same bits" 0
netns_loss 0
becomes "the node joins again when the path is restored" 0 3

# An address that may change: a node that listens at any address is found at the new one.
kill -TERM "$netns_pid"
wait "$netns_pid"
netns_start 2 "$mesh_node" serve -m $model -t 1 --listen 0.0.0.0:7411 --join 10.77.0.1:7411 --key "$tmp/key" 2>"$tmp/node2"
becomes "a node may listen at any address" 0 3
netns_on 2 ip address del 10.77.0.3/24 dev net0
netns_on 2 ip address add 10.77.0.33/24 dev net0
found() { status 0 2>/dev/null | grep -q "\"address\":\"$1:7411\""; }
check "a node at any address is a member with its new address" wait_until 40 found 10.77.0.33
same "the bits are the same" 0
netns_on 2 ip address add 10.77.0.34/24 dev net0
netns_on 2 ip route replace 10.77.0.0/24 dev net0 scope link src 10.77.0.34
check "so is one whose machine sends from another address and keeps the one before" wait_until 40 found 10.77.0.34
same "the bits are still the same" 0

# A newcomer with IPv6 alone, at another cluster's members, which have IPv4 addresses.
local_of() { netns_on "$1" ip -6 -o address show dev net0 scope link | sed -n 's/.*inet6 \([^/]*\).*/\1/p'; } # HOST: its link-local address
kill -TERM "$netns_pid"
wait "$netns_pid"
netns_on 2 ip -4 address flush dev net0
mixed=("$mesh_node" serve -m "$model" -t 1 --name mixed --listen "[::]:7421" --key "$tmp/key")
netns_start 0 "${mixed[@]}" 2>"$tmp/node3"
netns_start 1 "${mixed[@]}" --join 10.77.0.1:7421 2>"$tmp/node4"
says "members may listen at any address of both kinds" 3 "^epoch [0-9]*: 2 members"
netns_start 2 "${mixed[@]}" --join "[$(local_of 0)%net0]:7421" 2>"$tmp/node2"
says "a newcomer with IPv6 alone learns that the members have IPv4" 2 \
    "^refused by .*: .*; that member is 10.77.0.[12]:7421, which has IPv4, and this node asks by IPv6: all nodes need addresses of one kind"
says "so does who looks at the members" 3 "\]:7421 is not taken in: it asks by IPv6, and 10.77.0.[12]:7421 has IPv4"

# Nodes whose datagrams are under way for long.
far=("$mesh_node" serve -m "$model" -t 1 --join 10.77.0.1:7411 --key "$tmp/key")
netns_start 1 "${far[@]}" --listen 10.77.0.2:7431 --lab delay=600ms 2>"$tmp/node2"
says "a node whose answers come too late does not say that nobody answers" 2 \
    "^alone for 5 s: [0-9]* datagrams have come from others, .* or take over 450 ms there and back"
kill -TERM "$netns_pid"
wait "$netns_pid"
netns_start 1 "${far[@]}" --listen 10.77.0.2:7432 --lab delay=300ms 2>"$tmp/node2"
round_trip_us() {
    netns_on 0 "$mesh_node" status --to 10.77.0.1:7411 --key "$tmp/key" | sed -nE 's/.* 10\.77\.0\.2:7432 .* round trip ([0-9]+) us$/\1/p'
}
is_far() { [ "$(round_trip_us)" -ge 300000 ]; }
check "one that is 300 ms away is taken in, and status says how long its round trip takes" wait_until 40 is_far

# The loopback, which reaches no other machine: --listen forgotten, or a name for which /etc/hosts gives it, as Debian's gives 127.0.1.1.
check_exit "a node that would join another machine from the loopback is refused" 2 \
    "--listen 127.0.0.1:7411: this is the loopback, by which 10.77.0.1:7411 is not reached: give the address of this machine" \
    netns_on 1 timeout -k 5 20 "$mesh_node" serve -m $model --join 10.77.0.1:7411 --key "$tmp/key"
printf '[cluster]\nmodel = %s\nkey = %s\n[node a]\naddress = 127.0.1.1:7411\n[node b]\naddress = 10.77.0.1:7411\n' \
    $model "$tmp/key" >"$tmp/c.conf"
check_exit "a node whose own name resolves to the loopback is refused" 3 "this node's own address is 127.0.1.1:7411 here, the loopback" \
    netns_on 1 timeout -k 5 20 "$mesh_node" serve -c "$tmp/c.conf" --node a
finish
