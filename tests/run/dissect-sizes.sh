#!/bin/bash
# Between two hosts first datagrams of any size are dropped, then half of the large ones: the analysis says so of the second run alone, with
# the size, and sends nobody to a cable.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"

netns_hosts 2
nft "add table bridge loss; add chain bridge loss forward { type filter hook forward priority 0; }" 2>/dev/null ||
    skip_all "the kernel has no nftables on bridges"
nft "add rule bridge loss forward udp length > 60000 drop" 2>/dev/null || skip_all "the kernel cannot match lengths on bridges"
export MESH_KEYLOGFILE=$tmp/keys
start_two

# Ask under loss, with captures on both hosts: NAME RULE
lose() {
    local captures=() pid i
    for i in 0 1; do
        netns_start $i "$mesh_dissect" -i net0 -w "$tmp/$1$i.pcap" -B 16384 -Z root udp 2>"$tmp/capture$i"
        captures+=("$netns_pid")
        wait_until 10 grep -q "listening on" "$tmp/capture$i"
    done
    nft "flush chain bridge loss forward; add rule bridge loss forward $2 drop"
    ask 0 100 >"$tmp/answer" 2>&1 </dev/null
    nft "flush chain bridge loss forward"
    ask 0 20 >"$tmp/answer" 2>&1 </dev/null # what was lost last shows
    sleep 1
    for pid in "${captures[@]}"; do kill -INT "$pid"; done
    wait "${captures[@]}"
    "$mesh_dissect" -r "$tmp/$1"0.pcap -r "$tmp/$1"1.pcap --at 10.77.0.1 --at 10.77.0.2 --key "$tmp/keys" --analyze --json \
        udp and port 7411 >"$tmp/$1"
}
large=400 # bytes of payload; the length in a UDP header is 8 more
lose any "meta l4proto udp numgen random mod 1000 < 30"
lose big "udp length >= $((large + 8)) numgen random mod 1000 < 500"

lost() { grep -c '"event":"lost".*"place":"wire"' "$tmp/$1"; }
check "datagrams of any size were lost" test "$(lost any)" -ge 10
check_equal "which is not laid on their size" "$(grep -c -e 'only large' -e large_bytes "$tmp/any")" 0
check "large ones were lost" test "$(lost big)" -ge 10
check "and it is said" grep -q '"text":"rank.*: only large datagrams are lost on the way: ' "$tmp/big"
check_equal "with no size that was let through" \
    "$(sed -n 's/.*"large_bytes":\([0-9]*\),.*/\1/p' "$tmp/big" | awk -v least=$large '$1 < least')" ""
check_equal "and nobody is sent to a cable" "$(grep 'check cable' "$tmp/big")" ""
finish
