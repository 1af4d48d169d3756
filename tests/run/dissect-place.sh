#!/bin/bash
# What one capture says of the place where datagrams were lost, against where nftables dropped them: in the sender's host, in the switch, in
# the receiver's host. A cooked capture tells by itself where it was taken; for one of an Ethernet interface --at says so here, since
# checksums do not: both hosts are on one machine. Without either the place is unknown.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
security+=(--security auth)

netns_hosts 2
nft "add table bridge lossy; add chain bridge lossy c { type filter hook forward priority 0; }; add counter bridge lossy n" 2>/dev/null ||
    skip_all "the kernel has no nftables on bridges"
netns_on 0 nft "add table inet lossy; add chain inet lossy c { type filter hook output priority 0; }; add counter inet lossy n"
netns_on 1 nft "add table inet lossy; add chain inet lossy c { type filter hook input priority 0; }; add counter inet lossy n"
# NFT PLACE COMMAND...: of the table at that place.
nft_at() {
    case $1 in
    sender) netns_on 0 nft "${@:2}" ;;
    receiver) netns_on 1 nft "${@:2}" ;;
    switch) nft "${@:2}" ;;
    esac
}
family() { if [ "$1" = switch ]; then echo bridge; else echo inet; fi; }
dropped() { nft_at "$1" list counter "$(family "$1")" lossy n | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }

start_two

# Capture at both hosts, each on its interface and on all, while about one datagram in 30 from host 0 to host 1 is dropped at a place.
lose_at() { # PLACE
    local place=$1 i interface pid captures=()
    for i in 0 1; do
        for interface in net0 any; do
            netns_start $i "$mesh_dissect" -i $interface -w "$tmp/$place.$interface$i" -B 16384 -Z root \
                udp src port 7411 and dst port 7411 2>"$tmp/capture"
            captures+=("$netns_pid")
            wait_until 10 grep -q "listening on" "$tmp/capture"
        done
    done
    nft_at "$place" "add rule $(family "$place") lossy c ip daddr 10.77.0.2 udp sport 7411 udp dport 7411 numgen random mod 100 < 3 \
        counter name n drop"
    ask 0 60 >"$tmp/answer" 2>&1 </dev/null
    nft_at "$place" "flush chain $(family "$place") lossy c"
    sleep 1
    for pid in "${captures[@]}"; do kill -INT "$pid"; done
    wait "${captures[@]}"
    check "datagrams were dropped: $place" test "$(dropped "$place")" -ge 5
}
# The place that the analysis gives for most losses on the way to host 1; on a busy machine one is lost, or told, elsewhere now and then.
# Numbers that are missing because the sender never sent them, such as probes too large for the path, are of the sender's host at any
# rate, so only tiles count, and what the receiver counts without a number.
place() { # FILE OPTIONS...
    "$mesh_dissect" -r "$tmp/$1" --analyze --json "${@:2}" >"$tmp/analysis"
    grep '"event":"lost".*"dst_address":"10.77.0.2' "$tmp/analysis" | grep -v '"early":true' | grep -v '"type":"[^T]' |
        sed -E 's/.*"place":"([^"]*)".*/\1/' | sort | uniq -c | sort -rn | sed -nE '1s/^ *[0-9]+ //p'
}
expect() { # PLACE HOST WHAT
    check_equal "dropped: $1, one cooked capture, taken at host $2: $3" "$(place "$1.any$2")" "$3"
    check_equal "dropped: $1, one capture of an interface, taken at host $2, as --at says: $3" \
        "$(place "$1.net0$2" --at "10.77.0.$(($2 + 1))")" "$3"
    check_equal "dropped: $1, the same without --at: unknown" "$(place "$1.net0$2")" "unknown"
}
for place in sender switch receiver; do lose_at $place; done
expect sender 0 "sender's host"
expect sender 1 "sender's host or wire"
expect switch 0 "wire or receiver's host"
expect switch 1 "sender's host or wire"
expect receiver 0 "wire or receiver's host"
expect receiver 1 "receiver's host"

# Of the files of one capture as of the whole.
"$mesh_dissect" -r "$tmp/receiver.net01" -w "$tmp/first" -c 200
"$mesh_dissect" -r "$tmp/receiver.net01" -Y 'frame.number > 200' -w "$tmp/second"
check_equal "two files of one capture tell what the whole tells" \
    "$("$mesh_dissect" -r "$tmp/first" -r "$tmp/second" --at 10.77.0.2 --analyze --json | grep -c "\"place\":\"receiver's host\"")" \
    "$("$mesh_dissect" -r "$tmp/receiver.net01" --at 10.77.0.2 --analyze --json | grep -c "\"place\":\"receiver's host\"")"
"$mesh_dissect" -r "$tmp/receiver.any1" --analyze >"$tmp/report"
check_contains "the report says what the place rests on" "$tmp/report" \
    "the capture was taken at 10.77.0.2: its frames tell which way they went"
check_contains "and what to look at" "$tmp/report" "in the receiver's host: they reached the host, not the node: check socket buffer"
finish
