#!/bin/bash
# Three nodes on hosts of their own, joined by shaped cables: datagrams are dropped, a cable is pulled; no bit changes.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes

tokens=200
if [ -n "$SAN" ]; then tokens=60; fi

netns_hosts 3
netns_loss 0
for i in 0 1 2; do
    joins=()
    if [ $i -gt 0 ]; then joins=(--join 10.77.0.1:7411); fi
    netns_start $i "$mesh_node" serve -m $model -t 1 --listen "10.77.0.$((i + 1)):7411" ${joins[@]+"${joins[@]}"} "${security[@]}" \
        2>>"$tmp/node$i"
done
becomes "three hosts form a cluster" 0 3
expected=$(digest $tokens)

for loss in 0 100 500; do
    netns_loss $loss
    run ask 1 $tokens
    check_equal "of 10000 datagrams $loss are dropped: no bit changes" "$(grep '^digest ' "$out")" "$expected"
done
dropped=$(netns_drops)
if [[ $dropped =~ ^nftables\ [1-9] ]]; then ok "datagrams were dropped"; else not_ok "datagrams were dropped" "$dropped"; fi
netns_loss 0
becomes "all three are there" 1 3

# A wire that is slower than what is computed: what has no room in the interface's queue waits, and is not lost.
netns_rate 10mbit 20kb
words=$(printf 'lamp %.0s' {1..150})
lost() { status 1 | sed -n 's/.*"exchange":{[^}]*"lost":\([0-9]*\).*/\1/p'; }
long_prompt() {
    run netns_on 1 timeout -k 5 60 "$mesh_node" ask --to 10.77.0.2:7411 "${security[@]}" -p "$words" -n 20 --ignore-eos --temp 0
}
# With the first ones the nodes learn how long datagrams wait in the queues now, and may take one another for dead.
long_prompt
check_equal "a prompt goes over a wire that has become slow" "$code" 0
for _ in 1 2 3 4; do
    becomes "all three are there, or again" 1 3
    before=$(lost) first=$(epoch 1)
    long_prompt
    check_equal "another goes over it" "$code" 0
    after=$(lost)
    if [ "$(epoch 1)" = "$first" ] && [ $((after - before)) -le 20 ]; then break; fi
done
if [ "$(epoch 1)" != "$first" ]; then
    skip "without filling its queues" "members were lost beside it, on a machine that is too busy"
elif [ $((after - before)) -le 20 ]; then
    ok "without filling its queues"
else
    not_ok "without filling its queues" "$((after - before)) datagrams were lost"
fi
netns_rate 1gbit 200kb

# The two that hear one another go on; the third does so by itself, and joins them when it is back.
long=$((10 * tokens))
if [ -n "$SAN" ]; then long=$tokens; fi
expected=$(digest $long)
ask 1 $long >"$tmp/answer" 2>"$tmp/figures" </dev/null &
asking=$!
wait_until 20 test -s "$tmp/answer"
netns_cable 2 down
sleep 2
netns_cable 2 up
wait $asking
check_equal "a cable that is pulled for two seconds changes no bit" "$(grep '^digest ' "$tmp/answer")" "$expected"
becomes "the third host comes back" 1 3

# Less than any datagram of the protocol may need; small ones pass.
kill -TERM "$netns_pid"
wait "$netns_pid"
netns_on 2 ip link set net0 mtu 1000
netns_start 2 "$mesh_node" serve -m $model -t 1 --listen 10.77.0.3:7411 --join 10.77.0.1:7411 "${security[@]}" 2>"$tmp/narrow"
check "a host whose interface carries too little says so" wait_until 20 grep -q \
    "the path to 10.77.0.1:7411 carries datagrams of 972 bytes, and 1200 are needed: raise the MTU" "$tmp/narrow"
finish
