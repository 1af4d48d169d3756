#!/bin/bash
# Several captures, of which nothing proves where they were taken: that of a switch beside that of a host, and two of one host at a time.
# shellcheck source=tests/tools/netns-nodes
. tests/tools/netns-nodes
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
security+=(--security auth)

netns_hosts 2
netns_on 1 nft "add table inet lossy; add chain inet lossy c { type filter hook input priority 0; }; add counter inet lossy n"
start_two

captures=()
of_datagrams=(-B 16384 -Z root udp src port 7411 and dst port 7411)
capture() { # NAME HOST INTERFACE
    netns_start "$2" "$mesh_dissect" -i "$3" -w "$tmp/$1" "${of_datagrams[@]}" 2>"$tmp/capture.$1"
    captures+=("$netns_pid")
}
capture host0 0 net0
capture host1 1 net0
capture any1 1 any
"$mesh_dissect" -i port1 -w "$tmp/switch" "${of_datagrams[@]}" 2>"$tmp/capture.switch" </dev/null &
captures+=($!)
background_pids+=($!)
for name in host0 host1 any1 switch; do wait_until 10 grep -q "listening on" "$tmp/capture.$name"; done
netns_on 1 nft "add rule inet lossy c ip daddr 10.77.0.2 udp sport 7411 udp dport 7411 numgen random mod 100 < 3 counter name n drop"
ask 0 60 >"$tmp/answer" 2>&1 </dev/null
netns_on 1 nft "flush chain inet lossy c"
sleep 1
for pid in "${captures[@]}"; do kill -INT "$pid"; done
wait "${captures[@]}"
dropped=$(netns_on 1 nft list counter inet lossy n | sed -n 's/.*packets \([0-9]*\).*/\1/p')
check "the receiver's host dropped datagrams" test "$dropped" -ge 5

analyze() { "$mesh_dissect" --analyze --json "$@" >"$tmp/analysis"; }
# The place of most losses on the way to host 1; see dissect-place.sh.
place() {
    analyze "$@"
    grep '"event":"lost".*"dst_address":"10.77.0.2' "$tmp/analysis" | grep -v '"early":true' | grep -v '"type":"[^T]' |
        sed -E 's/.*"place":"([^"]*)".*/\1/' | sort | uniq -c | sort -rn | sed -nE '1s/^ *[0-9]+ //p'
}
cd "$tmp" || exit 1
mesh_dissect=$(cd "$OLDPWD" && realpath "$mesh_dissect")

# ---- a switch ----
check_equal "what a switch passed on may have been lost behind it" "$(place -r host0 -r switch)" "wire or receiver's host"
check_equal "so may what the other capture has, if nothing proves that it is the other host's" "$(place -r host0 -r host1)" \
    "wire or receiver's host"
"$mesh_dissect" -r host0 -r host1 --analyze >report
check_contains "the report says what to do" report "say with --at for each capture at which host it was taken"
check_contains "and what it assumes" report "host1: at 10.77.0.2 or on the way to it"
check_equal "it is the other host's if --at says so" "$(place -r host0 -r host1 --at 10.77.0.1 --at 10.77.0.2)" "receiver's host"
check_equal "or the frames, which tell which way they went" "$(place -r host0 -r any1)" "receiver's host"
check_equal "and no host's if --at says that" "$(place -r host0 -r switch --at 10.77.0.1 --at -)" "wire or receiver's host"

# ---- one host twice ----
datagrams() { sed -n 's/.*"event":"summary","datagrams":\([0-9]*\),.*"duplicate":\([0-9]*\),.*/\1 datagrams \2 duplicate/p' analysis; }
analyze -r host1 --at 10.77.0.2
whole=$(datagrams)
count=$("$mesh_dissect" -r host1 --count | sed 's/[^0-9].*//')
"$mesh_dissect" -r host1 -c $((count / 2 + 200)) -w first
"$mesh_dissect" -r host1 -Y "frame.number > $((count / 2))" -w second
analyze -r first -r second --at 10.77.0.2
check_equal "what two files of one host have in common counts once" "$(datagrams)" "$whole"
analyze -r host1 -r any1
# One of the two captures began and ended a moment before the other.
check "and so does what two interfaces of one host show" awk -v "one=$whole" -v "two=$(datagrams)" 'BEGIN {
    split(one, a, " "); split(two, b, " "); exit !(b[1] >= a[1] && b[1] < 1.1 * a[1] && b[3] == 0) }'
check_equal "two captures of one host are not taken for those of two" \
    "$(sed -n 's/.*"host":"\([0-9.]*\)".*/\1/p' analysis | sort | uniq -c | tr -s ' ')" " 2 10.77.0.2"
"$mesh_dissect" -r host1 -r any1 --analyze >report
check_contains "the report says so" report "at the place of host1; what is in both counts once"
check_equal "a third one beside them is compared with them" \
    "$("$mesh_dissect" -r host0 -r host1 -r any1 --analyze | grep -c "its clock minus that of host0")" "1"
finish
