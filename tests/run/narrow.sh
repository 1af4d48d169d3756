#!/bin/bash
# Two nodes on hosts whose path carries less than their interfaces: the probes that find this out are lost by design. Receivers count them
# as lost, and it shows everywhere that no data was lost with them: in the sender's loss ratio, in status, and in what mesh-dissect makes of
# a capture of either host, and of both.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"

netns_hosts 2
nft "add table bridge narrow; add chain bridge narrow c { type filter hook forward priority 0; };
    add rule bridge narrow c ip length > 1400 drop" 2>/dev/null || skip_all "the kernel has no nftables on bridges"
captures=()
for i in 0 1; do
    netns_start $i "$mesh_dissect" -i net0 -w "$tmp/host$i.pcap" -B 16384 -Z root udp 2>"$tmp/capture$i"
    captures+=("$netns_pid")
    wait_until 10 grep -q "listening on" "$tmp/capture$i"
done
export MESH_KEYLOGFILE=$tmp/keys
start_two
ask 0 60 >"$tmp/answer" 2>&1 </dev/null

rank_of() { status 0 | grep -o "\"rank\":[0-9]*,\"address\":\"10.77.0.$(($1 + 1)):" | sed 's/[^:]*:\([0-9]*\),.*/\1/'; }
# figure FIELD RANK: of the link from the other rank, by that rank's last report
figure() {
    grep '"event":"link"' "$tmp/telemetry" | grep "\"node_rank\":$2," | tail -n 1 | sed -n "s/.*\"$1\":\([-0-9]*\).*/\1/p"
}
told() {
    netns_on 0 "$mesh_node" status --telemetry 1 --to 10.77.0.1:7411 "${security[@]}" >"$tmp/telemetry"
    for rank in 0 1; do
        more=$(($(figure lost $((1 - rank))) - $(figure probes_lost "$rank"))) # what came before the handshake ended is lost, too
        [ "$(figure probes_lost "$rank")" -ge 6 ] && [ "$more" -ge 0 ] && [ "$more" -le 3 ] || return 1
    done
}
# Three tries at once, and three 2 s later.
if wait_until 60 told; then
    ok "all that is counted as lost is known at the other end to be probes"
else
    not_ok "all that is counted as lost is known at the other end to be probes" "$(tail -n 4 "$tmp/telemetry")"
fi
check_equal "their senders see no loss of data" "$(figure loss_ppm 0) $(figure loss_ppm 1)" "0 0"
check_equal "status has their number" "$(status 0 | sed -n 's/.*"probes_lost":\([0-9]*\),.*/\1/p')" "$(figure probes_lost "$(rank_of 0)")"
sleep 1
for pid in "${captures[@]}"; do kill -INT "$pid"; done
wait "${captures[@]}"

sum() { sed -n "s/.*\"event\":\"summary\".*\"$1\":\([0-9]*\),.*/\1/p" "$tmp/analysis"; }
analyze() { "$mesh_dissect" "$@" --key "$tmp/keys" --analyze --json udp and port 7411 >"$tmp/analysis"; }
links() { # SRC: what is lost of what it sends, and how many of these are probes; without clients' sessions
    grep '"event":"link"' "$tmp/analysis" | grep -v '"epoch":[0-9]\{9\}' | grep "\"src\":$1," |
        sed 's/.*"lost":\([0-9]*\),"lost_probes":\([0-9]*\),.*/\1 \2/'
}
analyze -r "$tmp/host0.pcap" -r "$tmp/host1.pcap"
check_equal "with captures of both hosts, each loss is known to be a probe" \
    "$(grep '"event":"lost"' "$tmp/analysis" | grep -v '"early":true' | grep -vc '"type":"PROBE"')" 0
check "and counted as such" test "$(sum lost_probes)" -ge 12
check_equal "findings say what the path carries, each way" \
    "$(grep -c 'the path carries no datagram of 1452 bytes (its MTU is below 1480), and 1200 at least' "$tmp/analysis")" 2
check_equal "and tell nobody to look at cables" "$(grep -c 'check cable' "$tmp/analysis")" 0
for i in 0 1; do
    analyze -r "$tmp/host$i.pcap"
    check_equal "so does a capture of host $i alone, of what that host sends" \
        "$(links "$(rank_of $i)" | awk '{ print ($2 > 5), ($1 - $2 <= 3) }')" "1 1"
    check_equal "and of what it receives, it says that these may be probes" \
        "$(grep -c 'nobody asked for any of them: probes of' "$tmp/analysis")" 1
done
finish
