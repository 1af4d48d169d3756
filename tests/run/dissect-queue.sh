#!/bin/bash
# Datagrams that wait in their own host, behind a shaper, are captured only as they leave it: the analysis still says that they waited
# there, and not that the host is slow or its share too large.
# shellcheck source=tests/tools/netns
. tests/tools/netns
netns_enter "$@"
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
end() {
    netns_end
    clean_up
}
trap end EXIT
"$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1
if ! [ -s "$tmp/key" ]; then skip_all "built without libsodium: nodes on several hosts need a key"; fi

netns_hosts 2
for i in 0 1; do
    joins=()
    if [ $i -gt 0 ]; then joins=(--join 10.77.0.1:7411); fi
    netns_start $i "$mesh_node" serve -m node/models/stories-q8_0.gguf -t 1 --share 1 --listen "10.77.0.$((i + 1)):7411" \
        ${joins[@]+"${joins[@]}"} --key "$tmp/key" --security auth 2>>"$tmp/node$i"
done
has() {
    netns_on 0 "$mesh_node" status --json --to 10.77.0.1:7411 --key "$tmp/key" --security auth 2>/dev/null | grep -q "\"nodes\":$1,"
}
if wait_until 20 has 2; then ok "two hosts form a cluster"; else not_ok "two hosts form a cluster" "$(tail -n 5 "$tmp"/node*)"; fi

captures=()
for i in 0 1; do
    netns_start $i "$mesh_dissect" -i net0 -w "$tmp/host$i.pcap" -Z root udp port 7411 2>"$tmp/capture$i"
    captures+=("$netns_pid")
    wait_until 10 grep -q "listening on" "$tmp/capture$i"
done
# So slow that the queue outweighs what a busy processor adds to the waiting of either.
netns_on 1 tc qdisc change dev net0 root tbf rate 1mbit burst 2kb limit 200kb
netns_on 0 timeout -k 5 60 "$mesh_node" ask --to 10.77.0.1:7411 --key "$tmp/key" --security auth -p "Once upon a time" --ignore-eos \
    --temp 0.7 --seed 4 -n 20 >"$tmp/answer" 2>&1 </dev/null
sleep 0.5
for pid in "${captures[@]}"; do kill -INT "$pid"; done
wait "${captures[@]}"

"$mesh_dissect" -r "$tmp/host0.pcap" -r "$tmp/host1.pcap" --analyze | sed -n '/^findings:/,$p' >"$tmp/findings"
host1=$("$mesh_dissect" -r "$tmp/host1.pcap" --json src host 10.77.0.2 and src port 7411 and dst port 7411 |
    sed -nE 's/.*"src":([0-9]+),.*"epoch":([1-9][0-9]*),.*/\1/p' | tail -n 1)
check_contains "the other waits for the rank of the shaped host" "$tmp/findings" "the others wait for rank $host1:"
check_contains "because its datagrams wait there" "$tmp/findings" "its datagrams wait in its own host (10.77.0.2) before they leave"
check_contains "and says where to look" "$tmp/findings" "(tc -s qdisc, ethtool), not at the share"
finish
