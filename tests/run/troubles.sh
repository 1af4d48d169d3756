#!/bin/bash
# Trouble of a network that nodes know of reaches those who run them: the log, status, /health, /metrics, events. And a cluster goes on
# where a path carries small datagrams and drops large ones.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes

page() { # I PATH: by HTTP
    # shellcheck disable=SC2016 # another shell's words
    netns_on "$1" timeout 10 bash -c \
        'exec 3<>/dev/tcp/127.0.0.1/9411 && printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3 && cat <&3' - "$2" 2>/dev/null
}
is_troubled() { status "$1" 2>/dev/null | grep -q "\"trouble\":\"$2\""; } # I KIND
is_well() { ! is_troubled "$@"; }
# shown SENTENCE I KIND CODE TEXT: a trouble that is there is in status, /health has that code, and /metrics count it
shown() {
    if ! wait_until 40 is_troubled "$2" "$3"; then not_ok "$1: status" "$(status "$2" 2>&1)"; else ok "$1: status"; fi
    if [ ${#metrics[@]} = 0 ]; then
        skip "$1: /health and /metrics" "mesh-node was built without libmicrohttpd"
        return
    fi
    page "$2" /health >"$tmp/page"
    if head -n 1 "$tmp/page" | grep -q " $4 " && grep -q "\"troubles\":\[.*$5" "$tmp/page"; then
        ok "$1: /health"
    else
        not_ok "$1: /health" "$(cat "$tmp/page")"
    fi
    page "$2" /metrics >"$tmp/page"
    if grep -q "^mesh_troubles{trouble=\"$3\"} [1-9]" "$tmp/page"; then
        ok "$1: /metrics"
    else
        not_ok "$1: /metrics" "$(grep trouble "$tmp/page")"
    fi
}
over() { # SENTENCE I KIND
    if ! wait_until 40 is_well "$2" "$3"; then
        not_ok "$1" "$(status "$2" 2>&1)"
    elif [ ${#metrics[@]} -gt 0 ] && ! page "$2" /metrics | grep -q "^mesh_troubles{trouble=\"$3\"} 0"; then
        not_ok "$1" "$(page "$2" /metrics | grep trouble)"
    else
        ok "$1"
    fi
}
serve() { # I ADDRESS OPTIONS
    local i=$1 address=$2
    shift 2
    netns_start "$i" "$mesh_node" serve -m $model -t 1 --listen "$address" --key "$tmp/key" ${metrics[@]+"${metrics[@]}"} "$@" \
        2>>"$tmp/node$i"
}

expected=$(digest 20)
netns_hosts 4
metrics=(--metrics 127.0.0.1:9411)
run netns_on 3 timeout 20 "$mesh_node" serve -m $model --listen 127.0.0.1:7411 --metrics 192.0.2.1:1 # which is nobody's
if grep -q "built without libmicrohttpd" "$err"; then metrics=(); fi
serve 0 10.77.0.1:7411
serve 1 10.77.0.2:7411 --join 10.77.0.1:7411
wait_until 20 has 0 2
serve 2 10.77.0.3:7411 --join 10.77.0.1:7411
becomes "three hosts form a cluster" 0 3
status 0 >"$tmp/status"
check_contains "all is well" "$tmp/status" '"troubles":[]'

# A path MTU black hole: members hear one another and cannot compute together. A busy machine may lose a member for another reason first,
# and then nothing large is sent; so several questions are asked. The coordinator, which is told, or the sender may be the one that knows.
narrow="large datagrams do not pass between [^ ]*\( node\)\? and 10.77.0.3:7411"
tells() { for teller in 0 1; do grep -q "^$narrow" "$tmp/node$teller" && return; done; }
netns_on 2 nft add rule inet loss in meta l4proto udp meta length '>' 1000 drop
same "where large datagrams are dropped the others go on, with the same bits" 0
for _ in 1 2 3 4 5 6 7 8; do
    tells && has 0 2 && break # left out for 15 s, and again when somebody asks
    has 0 3 && ask 0 20 >/dev/null 2>&1
    sleep 1
done
if tells; then ok "a black hole is named"; else not_ok "a black hole is named" "$(cat "$tmp"/node[01])"; fi
becomes "one of the two is left out" 0 2
says "the one without them says so, or is told so" 2 \
    "^large datagrams do not pass between this node and 10.77.0.[12]:7411, and small ones do: .*MTU\\|^refused by .* without a path to"
shown "of a black hole" "$teller" black_hole 200 "$narrow"
same "which disturbs nobody" 1
netns_on "$teller" timeout 5 "$mesh_node" status --to 10.77.0.$((teller + 1)):7411 --key "$tmp/key" --telemetry 1 \
    >"$tmp/telemetry" 2>/dev/null
check_contains "there is an event of it" "$tmp/telemetry" '"what":"trouble"'
netns_loss 0
becomes "and comes back after a while" 0 3
same "it computes again, with the same bits" 2
over "and that is over" "$teller" black_hole
says "which is said" "$teller" "^large datagrams pass to and from 10.77.0.3:7411 again"

# An interface that carries nothing large.
netns_on 2 ip link set net0 mtu 1000
says "an interface with too small an MTU is named" 2 "^the path to 10.77.0.1:7411 carries datagrams of 972 bytes, and 1200 are needed"
shown "of an interface" 2 mtu 200 "the path to 10.77.0.1:7411 carries datagrams of 972 bytes"
netns_on 2 ip link set net0 mtu 1500
over "until it has a larger one" 2 mtu

# A firewall of the own machine; an address that is gone.
netns_on 2 nft "add table inet wall; add chain inet wall out { type filter hook output priority 0; };
    add rule inet wall out oifname net0 udp dport 7411 drop"
shown "of a firewall" 2 unreachable 200 "nothing can be sent to 10.77.0.[12]:7411.*: a firewall of this machine forbids it"
netns_on 2 nft delete table inet wall
over "until it is gone" 2 unreachable
becomes "and the node is back" 2 3
netns_on 2 ip address del 10.77.0.3/24 dev net0
says "who has no address says so" 2 "^this machine no longer has the address 10.77.0.3:7411"
if [ ${#metrics[@]} -gt 0 ]; then
    page 2 /health >"$tmp/page"
    check_contains "and is not healthy" "$tmp/page" "503 "
    check_contains "since nothing reaches it" "$tmp/page" "this machine no longer has the address"
else
    skip "and is not healthy" "mesh-node was built without libmicrohttpd"
    skip "since nothing reaches it" "mesh-node was built without libmicrohttpd"
fi
netns_on 2 ip address add 10.77.0.3/24 dev net0
becomes "it is back with its address" 0 3

# The node of a cluster that was told of no others is alone when its cable is out.
netns_cable 0 down
says "the first one is alone" 0 "^alone for 5 s: nothing comes from the others"
shown "of being alone" 0 isolated 200 "alone for 5 s"
netns_cable 0 up
becomes "until its cable is in" 0 3
over "and alone no more" 0 isolated

# A cable that makes no good contact.
for _ in 1 2 3; do
    netns_cable 2 down
    wait_until 20 has 1 2
    netns_cable 2 up
    wait_until 60 has 1 3
done
says "who is lost again and again is named" 1 "^10.77.0.3:7411 is lost and comes back again and again, 3 times within 10 minutes"
shown "of a bad cable" 1 flapping 200 "10.77.0.3:7411 is lost and comes back again and again"

# Two machines with one address.
netns_on 3 ip address del 10.77.0.4/24 dev net0
netns_on 3 ip address add 10.77.0.3/24 dev net0
serve 3 10.77.0.3:7411 --join 10.77.0.1:7411
says "two machines with one address are told apart" 1 "^two machines have the address 10.77.0.3:7411"
shown "of two machines" 1 duplicate_address 200 "two machines have the address 10.77.0.3:7411"
finish
