#!/bin/bash
# Four nodes on separate hosts send their tiles to a multicast group: no bit changes, fewer datagrams are sent, and a host that the switch
# keeps the group from gets its own datagrams.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes

tokens=40
group=239.255.77.13:7413
shows() { status "$1" 2>/dev/null | grep -q "$2"; }
value() { status "$1" | sed -n "s/.*\"exchange\":{[^}]*\"$2\":\([0-9]*\).*/\1/p"; }

check_exit "an address that is no group is a usage error" 2 "no multicast group, or port 0" \
    "$mesh_node" serve -m $model --multicast 10.0.0.1:7413
check_exit "the group of --discover is a usage error for --multicast" 2 "give it another port" \
    "$mesh_node" serve -m $model --discover $group --multicast $group

check_exit "an IPv6 group that is not of one link is a usage error" 2 "no group of one link" \
    "$mesh_node" serve -m $model --multicast '[ff05::4d13]:7413'
check_exit "a group of another address family than the node's address is an error" 4 "not of the group's family" \
    "$mesh_node" serve -m $model --multicast '[ff02::4d13%lo]:7413'
check_exit "a group with the node's own port is an error" 4 "its port is in use" \
    "$mesh_node" serve -m $model --listen 0.0.0.0:7413 "${security[@]}" --multicast $group

netns_hosts 4
netns_loss 0
for i in 0 1 2 3; do
    joins=()
    if [ $i -gt 0 ]; then joins=(--join 10.77.0.1:7411); fi
    netns_start $i "$mesh_node" serve -m $model -t 1 --listen "10.77.0.$((i + 1)):7411" ${joins[@]+"${joins[@]}"} "${security[@]}" \
        --multicast $group 2>>"$tmp/node$i"
done
if ! wait_until 20 shows 0 '"nodes":4,'; then
    not_ok "four hosts form a cluster" "$(status 0 2>&1)" "$(tail -n 5 "$tmp"/node*)"
    finish
fi
if wait_until 10 shows 0 '"peers_by_group":3'; then ok "all hear the group"; else not_ok "all hear the group" "$(status 0)"; fi
expected=$(digest "$tokens")
run ask 1 "$tokens"
check_equal "no bit changes" "$(grep '^digest ' "$out")" "$expected"
sent=$(value 0 sent_to_group)
if [ "${sent:-0}" -gt $tokens ]; then ok "tiles are sent to the group"; else not_ok "tiles are sent to the group" "$(status 0)"; fi

# The switch stops passing groups on to host 2, like one that has forgotten their members.
ip link set switch type bridge mcast_snooping 0
bridge link set dev port2 mcast_flood off
run ask 1 "$tokens"
check_equal "no bit changes when the switch keeps the group from a host" "$(grep '^digest ' "$out")" "$expected"
if wait_until 10 shows 0 '"peers_by_group":2'; then
    ok "that host gets datagrams of its own"
else
    not_ok "that host gets datagrams of its own" "$(status 0)"
fi

# The figures that a node prints on leaving count a datagram to the group once, as status does.
sent=$(value 0 datagrams_sent)
kill -INT "${netns_started[0]}"
said() { sed -n 's/.*; sent \([0-9]*\) datagrams of.*/\1/p' "$tmp/node0" | grep .; }
wait_until 10 said
if [ "$(said || echo 0)" -ge "$sent" ] && [ "$(said)" -lt $((sent + tokens)) ]; then
    ok "a node that leaves has sent as many datagrams as its status says"
else
    not_ok "a node that leaves has sent as many datagrams as its status says" "status: $sent" "$(tail -n 3 "$tmp/node0")"
fi

# The same with link-local addresses of IPv6, where the kernel has it.
at() { echo "[fe80::77:$(($1 + 1))%net0]:7421"; }
for i in 0 1 3; do netns_on $i ip address add "fe80::77:$((i + 1))/64" dev net0 nodad 2>/dev/null; done
if ! netns_on 0 ip address show dev net0 | grep -q fe80::77:1; then
    skip "an IPv6 group works as well" "no IPv6 here"
    finish
fi
for i in 0 1 3; do
    joins=()
    if [ $i -gt 0 ]; then joins=(--join "$(at 0)"); fi
    netns_start $i "$mesh_node" serve -m $model -t 1 --listen "$(at $i)" ${joins[@]+"${joins[@]}"} "${security[@]}" \
        --multicast '[ff02::4d13%net0]:7423' 2>>"$tmp/node6-$i"
done
has6() { netns_on 0 "$mesh_node" status --json --to "$(at 0)" "${security[@]}" 2>/dev/null | grep -q '"peers_by_group":2'; }
if wait_until 20 has6; then ok "an IPv6 group works as well"; else not_ok "an IPv6 group works as well" "$(tail -n 5 "$tmp"/node6*)"; fi
run netns_on 1 timeout -k 5 60 "$mesh_node" ask --to "$(at 1)" "${security[@]}" "${question[@]}" -n "$tokens" --digest
check_equal "no bit changes with an IPv6 group" "$(grep '^digest ' "$out")" "$expected"
finish
