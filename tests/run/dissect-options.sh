#!/bin/bash
# mesh-dissect takes tcpdump's options with tcpdump's meaning: each option is tested here, those of live captures where the test may
# capture.
. tests/run/lib.sh
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
export TZ=UTC
tab=$'\t' numbers=tests/dissect/numbers.pcap messages=tests/dissect/messages.pcap

# row N OPTIONS...: line N of the output for numbers.pcap
row() {
    local number=$1
    shift
    "$mesh_dissect" -r $numbers "$@" 2>&1 | sed -n "${number}p"
}
count() { "$mesh_dissect" "$@" --count 2>/dev/null; }
# front SENTENCE TEXT OPTIONS...: the second line begins with TEXT
front() {
    local sentence=$1 text=$2
    shift 2
    check_equal "$sentence" "$(row 2 "$@" | head -c ${#text})" "$text"
}
front "a line begins with the time" "22:13:20.001000000 IP 10.0.0.1.7411 > 10.0.0.2.7411: "
front "-t leaves it out" "IP 10.0.0.1.7411 > " -t
front "-tt is in seconds" "1700000000.001000000 IP" -tt
front "-ttt is since the line before" " 00:00:00.001000000 IP" -ttt
front "-tttt has the date" "2023-11-14 22:13:20.001000000 IP" -tttt
front "-ttttt is since the first line" " 00:00:00.001000000 IP" -ttttt
check_exit "-Q is for live captures" 2 "-Q: with -r: a file does not tell in from out" "$mesh_dissect" -r $numbers -Q in
check_exit "a cluster's name without a key is refused" 2 "--name: without --key" "$mesh_dissect" -r $numbers --name bay
check_exit "a ladder is not drawn beside the report" 2 "--ladder: with --analyze" "$mesh_dissect" -r $numbers --analyze --ladder
check_exit "a count is no JSON" 2 "--count: with --json" "$mesh_dissect" -r $numbers --count --json
for option in "--export protocol" -D -d; do
    # shellcheck disable=SC2086 # options are words
    check_exit "what has no JSON is not asked for as such: $option" 2 "--json: with --export, -D or -d" "$mesh_dissect" $option --json
done
for letter in x X A; do
    check_exit "JSON has no bytes for -$letter" 2 "--json: with -x, -X or -A" "$mesh_dissect" -r $numbers --json -$letter
done
check_exit "-t given more than five times is refused" 2 "-t: given 6 times" "$mesh_dissect" -r $numbers -tttttt
front "-# numbers lines" "    2  22:13:20" -#
front "-e tells the link's addresses" "22:13:20.001000000 02:00:00:00:00:01 > 02:00:00:00:00:02, length 106: IP" -e
check_equal "-q is short" "$(row 1 -qt)" "IP 10.0.0.1.7411 > 10.0.0.2.7411: 0>1 PING epoch 1 #1 have 2.0 sent_ns 5001, length 64"
check_equal "-v tells every field" "$(row 4 -v)" "         0  magic          27972"
check_equal "-vv tells every field with its meaning" "$(row 4 -vv | grep -c '27972  (.*)$')" "1"
check_equal "-n, also twice, changes nothing" "$(row 1 -nn)" "$(row 1)"
check_equal "letters are bundled, the last one with its value" "$(row 2 -nnXs0 -tc1)" "$(row 2 -X)"
check_equal "-x dumps the datagram" "$(row 2 -x)" "${tab}0x0000:  446d 010a 0000 0000 0100 0000 0100 0000"
check_equal "-X with characters" "$(row 2 -X)" "${tab}0x0000:  446d 010a 0000 0000 0100 0000 0100 0000  Dm.............."
check_equal "-xx the frame" "$(row 2 -xx)" "${tab}0x0000:  0200 0000 0002 0200 0000 0001 0800 4500"
check_equal "-XX with characters" "$(row 2 -XX)" "${tab}0x0000:  0200 0000 0002 0200 0000 0001 0800 4500  ..............E."
check_equal "-A characters alone" "$(row 2 -A | head -c 4)" "Dm.."
check_equal "-c ends after that many datagrams" "$("$mesh_dissect" -r $numbers -c 3 | wc -l)" "3"
check_exit "-c 0 is refused" 2 "--packets: 0" "$mesh_dissect" -r $numbers -c 0
check_equal "--count only counts" "$("$mesh_dissect" -r $numbers -c 3 --count)" "3 datagrams"
check_equal "-d shows the filter" "$("$mesh_dissect" -r $numbers -d ip | head -n 1)" "(000) ldh      [12]"
check_equal "-dd as C" "$("$mesh_dissect" -r $numbers -dd ip | head -n 1)" "{ 0x28, 0, 0, 0x0000000c },"
check_equal "-ddd as numbers" "$("$mesh_dissect" -r $numbers -ddd ip | head -n 2 | tr '\n' ' ')" "4 40 0 0 12 "
check_equal "-d shows the filter that takes everything" "$("$mesh_dissect" -r $numbers -d)" "(000) ret      #262144"
printf '# of the mesh\nudp and # and only\nsrc host 10.0.0.1\n' >"$tmp/filter"
from=$(count -r $numbers src host 10.0.0.1)
check_equal "-F reads the filter from a file, with comments" "$(count -r $numbers -F "$tmp/filter")" "$from"
check_equal "-F - reads the filter from stdin" "$(count -r $numbers -F - <"$tmp/filter")" "$from"
check_exit "an unreadable filter file is an error, not a filter that lets everything through" 4 "$tmp: cannot be read" \
    "$mesh_dissect" -r $numbers -F "$tmp"
head -c 9000 /dev/zero | tr '\0' ' ' >"$tmp/long"
check_exit "a filter file that is too long is refused" 2 "longer than" "$mesh_dissect" -r $numbers -F "$tmp/long"
check_equal "-w - writes to stdout, which -r - reads" "$("$mesh_dissect" -r $messages -w - | "$mesh_dissect" -r - --count)" \
    "$(count -r $messages)"
check_equal "-w alone prints nothing" "$("$mesh_dissect" -r $messages -w "$tmp/copy")" ""
check_equal "--print prints, too" "$("$mesh_dissect" -r $messages -w "$tmp/copy" --print)" "$("$mesh_dissect" -r $messages)"
if [ -e /dev/full ]; then
    check_exit "a full disk is reported, also when nothing is left to write at the end" 4 "/dev/full: cannot be written: No space" \
        "$mesh_dissect" -r $messages -w /dev/full
fi

# Several files, from nearly 2 MB.
tail -c +25 $messages >"$tmp/part"
while [ "$(stat -c %s "$tmp/part")" -lt 1500000 ]; do cat "$tmp/part" "$tmp/part" >"$tmp/more" && mv "$tmp/more" "$tmp/part"; done
{ head -c 24 $messages && cat "$tmp/part"; } >"$tmp/large"
names() { (cd "$tmp" && printf '%s ' "$1"*); }
"$mesh_dissect" -r "$tmp/large" -w "$tmp/row" -C 1
check_equal "-C begins another file after a million bytes" "$(names row)" "row row1 "
check_equal "the files of -C together hold everything" \
    "$(cat "$tmp/row" <(tail -c +25 "$tmp/row1") | cmp - "$tmp/large" && echo same)" "same"
"$mesh_dissect" -r "$tmp/large" -w "$tmp/ring" -C 1 -W 12
check_exit "-W alone is refused" 2 "-W: without -C or -G" "$mesh_dissect" -r "$tmp/large" -w "$tmp/ring" -W 3
check_equal "-W pads the numbers" "$(names ring)" "ring00 ring01 "
"$mesh_dissect" -r "$tmp/large" -w "$tmp/turn" -C 1 -W 1
check_equal "-W overwrites the oldest file" "$(names turn)" "turn0 "
{ cat docs/captures/port-host0.pcap && tail -c +25 docs/captures/slow-host0.pcap; } >"$tmp/later" # the second begins 5 s after the first
"$mesh_dissect" -r "$tmp/later" -w "$tmp/at-%M.%S" -G 2
check_equal "-G begins another file after that many seconds, and strftime expands its name" "$(names at-)" "at-14.54 at-14.59 "
"$mesh_dissect" -r "$tmp/later" -w "$tmp/one" -G 2 -W 1
check_same "-W with -G ends after that many files" "$tmp/one" docs/captures/port-host0.pcap
"$mesh_dissect" -r "$tmp/later" -w "$tmp/both-%S-" -G 2 -C 1
check_equal "with -G and -C, numbers begin anew with each interval" "$(names both-)" "both-54- both-59- "

"$mesh_dissect" -D >"$tmp/list"
lo=$(sed -n 's/^\([0-9]*\)\.lo .*/\1/p' "$tmp/list")
check_equal "-D numbers interfaces and tells their state" "$(grep -c '^[0-9]*\.lo \[Up, Running, Loopback\]$' "$tmp/list")" "1"
for number in 0 9999; do
    check_exit "an interface number that is not in that list is refused: $number" 4 "$number: there is no such interface" \
        "$mesh_dissect" -i $number -c 1
done

# ---- live ----
start() { # OPTIONS...: a capture of $port; its id in $live, its output in $tmp/text and $tmp/told
    rm -f "$tmp/told" # what the one before has said
    "$mesh_dissect" "$@" udp port "$port" >"$tmp/text" 2>"$tmp/told" </dev/null &
    live=$!
    background_pids+=("$live")
    wait_until 5 grep -q "listening on" "$tmp/told"
}
stop() { # SIGNAL
    kill "-$1" "$live"
    wait "$live"
}
user() { stat -c %u "/proc/$live"; } # whom it is run by
say() { head -c 100 /dev/zero >"/dev/udp/127.0.0.1/$port"; }
held() { "$mesh_dissect" -r "$1" -xx 2>/dev/null | grep -c UDP; }
has() { [ "$(held "$1")" -eq "$2" ]; }
port=$(free_port)
chmod 755 "$tmp"
if ! start -i "${lo:-lo}" -w "$tmp/live" -U --print -l -B 4096 -p -Q in -s 60 --immediate-mode; then
    skip "live captures take the options of live captures" "no permission to capture here: $(tail -n 1 "$tmp/told")"
    finish
fi
check_contains "-i takes a number of -D" "$tmp/told" "listening on lo, "
say
check "--print and -l show a datagram at once" wait_until 5 grep -q "UDP.*length 100" "$tmp/text"
check "-U writes it at once" wait_until 5 has "$tmp/live" 1
if [ "$(id -u)" -eq 0 ]; then
    check_equal "privileges are dropped after opening" "$(user)" "$(id -u "${SUDO_USER:-nobody}")"
fi
stop INT
check_equal "-Q in shows a datagram of the loopback once" "$(held "$tmp/live")" "1"
check_equal "-s keeps that many bytes" "$("$mesh_dissect" -r "$tmp/live" -xx | grep -c '0x00[3-9]0')" "1"
check_equal "counts are printed in tcpdump's words" "$(grep -c -e '^1 packet captured$' -e '^[0-9]* packets* received by filter$' \
    -e '^0 packets dropped by kernel$' "$tmp/told")" "3"
echo "root:x:0:0::/:/bin/sh" >"$tmp/passwd"
echo "passwd: files" >"$tmp/nsswitch"
cat >"$tmp/nameless" <<END
#!/bin/bash
mount --bind "$tmp/passwd" /etc/passwd && if [ -e /etc/nsswitch.conf ]; then mount --bind "$tmp/nsswitch" /etc/nsswitch.conf; fi &&
    exec env -u SUDO_USER "\$@"
END
if [ "$(id -u)" -eq 0 ] && unshare -m bash "$tmp/nameless" true 2>/dev/null; then
    printf '#!/bin/bash\nexec unshare -m bash "%s" "%s" "$@"\n' "$tmp/nameless" "$mesh_dissect" >"$tmp/nameless-dissect"
    chmod 755 "$tmp/nameless-dissect"
    mesh_dissect=$tmp/nameless-dissect start -i lo
    check_equal "privileges are dropped where no user has a name but root" "$(user)" "65534"
    stop INT
else
    skip "privileges are dropped where no user has a name but root" "needs root and mount namespaces"
fi
start -i lo -w "$tmp/quiet" -Z root
say
kill -USR1 "$live"
wait_until 5 grep -q "^1 packet captured" "$tmp/told"
check "without -U a datagram stays in the buffer" has "$tmp/quiet" 0
kill -USR2 "$live"
check "SIGUSR2 writes the buffer" wait_until 5 has "$tmp/quiet" 1
check_equal "-Z root stays root" "$(user)" "$(id -u)"
stop HUP
check_equal "SIGHUP ends a capture well" "$?" "0"
start -i lo -w "$tmp/stopped" -U -Z root
kill -STOP "$live"
for ((i = 0; i < 60; i++)); do say; done
kill -CONT "$live"
check "with -U a stopped capture buffers what arrives" wait_until 5 has "$tmp/stopped" 60
stop INT
check_equal "a stopped capture drops nothing" "$(grep 'dropped by kernel' "$tmp/told")" "0 packets dropped by kernel"
tokens=60
if [ -n "$SAN" ]; then tokens=10; fi
if [ -x "$mesh_node" ]; then
    "$mesh_dissect" -i lo -w "$tmp/mesh" -B 16384 -Z root udp 2>"$tmp/told" </dev/null &
    live=$!
    background_pids+=("$live")
    wait_until 5 grep -q "listening on" "$tmp/told"
    "$mesh_node" run -m node/models/stories-q8_0.gguf --local 3 -t 1 -p "Once upon a time" --ignore-eos --temp 0 -n $tokens \
        --security auth >/dev/null 2>"$tmp/run" </dev/null
    stop INT
    check_contains "the kernel drops nothing while three nodes that generate are captured" "$tmp/told" "0 packets dropped by kernel"
    "$mesh_dissect" -r "$tmp/mesh" --analyze --json | grep '"event":"summary"' >"$tmp/summary"
    check_equal "a capture of three generating nodes has no gaps" "$(grep -c '"not_captured":0,' "$tmp/summary")" "1"
    check "a capture of three generating nodes has thousands of datagrams" \
        test "$(sed -n 's/.*"datagrams":\([0-9]*\),.*/\1/p' "$tmp/summary")" -gt $((tokens * 80))
else
    skip "the kernel drops nothing while three nodes that generate are captured" "mesh-node is not built"
fi
check_exit "-Z names a user that is there" 2 "no such user" "$mesh_dissect" -i lo -Z nobody-at-all -c 1
# ---- what is not read to its end ----
mkfifo "$tmp/slow"
# interrupted OPTIONS...: a capture is read until the text fills the pipe; then a signal comes, and then the pipe is read
interrupted() {
    local pid reader
    exec 8<>"$tmp/slow"
    "$mesh_dissect" -r docs/captures/port-host1.pcap "$@" >"$tmp/slow" 2>"$err" 8>&- &
    pid=$!
    wait_until 10 sh -c "grep -q '^SigCgt:.*[2367abef]$' /proc/$pid/status && grep -q '^State:.*S' /proc/$pid/status"
    sleep 0.2
    kill -INT "$pid"
    cat <"$tmp/slow" >"$out" 8>&- &
    reader=$!
    exec 8>&-
    code=0
    wait "$pid" || code=$?
    wait "$reader"
}
interrupted --json
check_equal "a signal before the end of a file is an error" "$code $(cat "$err")" \
    "4 mesh-dissect: docs/captures/port-host1.pcap: interrupted by a signal: the rest was not read: start again"
check_equal "what was printed until then are whole lines" "$(grep -vc '^{.*}$' "$out") $(tail -c 1 "$out")" "0 "
interrupted --import "$tmp/interrupted.db" --print -v
check_equal "no trace of a part remains" "$code $(ls "$tmp"/interrupted.db* 2>/dev/null)" "4 "
# refused COMMAND...: a pipe is full when the first text comes; then a signal comes, and then the pipe is read
refused() {
    local pid reader
    exec 8<>"$tmp/slow"
    dd if=/dev/zero of="$tmp/slow" bs=4096 oflag=nonblock 2>/dev/null || true
    "$@" >"$tmp/slow" 2>"$err" 8>&- &
    pid=$!
    wait_until 10 sh -c "grep -q '^SigCgt:.*[2367abef]$' /proc/$pid/status && grep -q '^State:.*S' /proc/$pid/status"
    sleep 0.2
    kill -INT "$pid"
    sleep 0.2
    tr -d '\0' <"$tmp/slow" >"$out" 8>&- &
    reader=$!
    exec 8>&-
    code=0
    wait "$pid" || code=$?
    wait "$reader"
}
refused "$mesh_dissect" -l --count -r docs/captures/port-host0.pcap -r docs/captures/port-host1.pcap
check_equal "a signal between two files is an error" "$code $(cat "$out" "$err")" \
    "4 466 datagrams
mesh-dissect: docs/captures/port-host1.pcap: interrupted by a signal: it was not read: start again"
mkfifo "$tmp/frames"
exec 9<>"$tmp/frames"
head -c 20000 docs/captures/port-host1.pcap >&9
refused "$mesh_dissect" -l -n -r "$tmp/frames"
"$mesh_dissect" -r docs/captures/port-host1.pcap -c 1 >"$tmp/first" 2>/dev/null
check_equal "a signal does not cut a line of what a pipe brought" "$code $(cat "$out" "$err")" "0 $(cat "$tmp/first")"
exec 9>&-
if unshare -rm true 2>/dev/null; then
    mkdir "$tmp/small"
    what="a capture that is too large for the disk leaves no trace"
    unshare -rm sh -c "mount -t tmpfs -o size=600k none '$tmp/small' || exit 77
        '$mesh_dissect' -r docs/captures/port-host1.pcap --import '$tmp/small/trace.db'; echo \$? \$(ls '$tmp/small')" \
        >"$out" 2>"$err" || echo skip >"$out"
    if grep -q skip "$out"; then
        skip "$what" "no small file system can be mounted here"
    else
        check_equal "$what" "$(cat "$out")" "4"
        check_contains "and the error says why" "$err" "writing: the disk is full"
    fi
else
    skip "a capture that is too large for the disk leaves no trace" "no small file system can be mounted here (unshare -rm)"
fi
finish
