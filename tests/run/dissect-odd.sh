#!/bin/bash
# Imperfect captures: in several files, cut, out of order, with another mesh's key, or with the name of the output file.
# Runs beside others.
. tests/run/lib.sh
mesh_dissect=$BIN/mesh-dissect
[ -x "$mesh_dissect" ] || skip_all "mesh-dissect is not built (libpcap-dev is missing)"
export TZ=UTC
captures=docs/captures whole=docs/captures/port-host1.pcap

# ---- the input is not overwritten ----
cp $whole "$tmp/own.pcap"
cp $whole "$tmp/ring0"
check_exit "-w refuses to overwrite the capture that is read" 2 "is the input capture" \
    "$mesh_dissect" -r "$tmp/own.pcap" -w "$tmp/../${tmp##*/}/own.pcap"
ln -s own.pcap "$tmp/own-link"
check_exit "-w refuses it under another name, too" 2 "is the input capture" "$mesh_dissect" -r "$tmp/own.pcap" -w "$tmp/own-link"
check_exit "-w refuses it when it is read from stdin" 2 "is the input capture" \
    bash -c '"$0" -r - -w "$1" <"$1"' "$mesh_dissect" "$tmp/own.pcap"
check_exit "-w refuses it as one of the files of -C and -W" 2 "is the input capture" \
    "$mesh_dissect" -r "$tmp/ring0" -w "$tmp/ring" -C 1 -W 3
check_exit "--qlog refuses to overwrite the capture that is read" 2 "is the input capture" \
    "$mesh_dissect" -r "$tmp/own.pcap" --qlog "$tmp/own.pcap"
check_equal "the refusal is one line" "$(grep -c . "$err")" "1"
check_same "the refused capture stays as it is" "$tmp/own.pcap" $whole
check_same "a refused capture in a ring stays as it is" "$tmp/ring0" $whole

check_equal "-c counts the frames of all files together" "$("$mesh_dissect" -r $whole -r $whole -c 5 | wc -l)" "5"
check_equal "-c ends within the second file" "$("$mesh_dissect" -r tests/dissect/messages.pcap -r $whole -c 40 | wc -l)" "40"

# ---- a pipe, whatever its name, is read once ----
mkfifo "$tmp/pipe"
for options in "-Y lost" "-r $whole --analyze" "--qlog $tmp/pipe.sqlog"; do
    # shellcheck disable=SC2086 # options are words
    check_exit "a pipe is refused where the input is read twice: ${options%% *}" 2 " read" \
        timeout 20 "$mesh_dissect" -r "$tmp/pipe" $options
done
for options in "-Y lost" "-r $whole --analyze" "--qlog $tmp/none.sqlog"; do
    for file in "$tmp" /dev/null; do
        # shellcheck disable=SC2086 # options are words
        check_exit "what is no capture is called so, not a pipe: ${options%% *} -r ${file##*/}" 3 "$file: not a capture: " \
            "$mesh_dissect" -r "$file" $options
    done
done
check_equal "a pipe is read where once is enough" "$("$mesh_dissect" -r <(cat $whole) --count)" "447 datagrams"

if ! command -v python3 >/dev/null; then
    skip "captures are cut, put out of order, and split" "python3 is not installed"
    finish
fi

# made FILE OPERATION [NUMBER]: a changed copy of $whole, which is pcap in this machine's byte order with nanoseconds
cat >"$tmp/make.py" <<'PY'
import struct, sys
source, out, operation, *numbers = sys.argv[1:]
data = open(source, "rb").read()
head, frames, at = data[:24], [], 24
assert head[:4] == struct.pack("<I", 0xa1b23c4d)
while at < len(data):
    seconds, ns, captured, size = struct.unpack("<IIII", data[at:at + 16])
    frames.append([seconds * 10**9 + ns, size, data[at + 16:at + 16 + captured]])
    at += 16 + captured
if operation == "cut": # to so many bytes each
    frames = [[ts, size, frame[:int(numbers[0])]] for ts, size, frame in frames]
elif operation == "back": # the clock is set back by so many seconds in the middle
    frames = [[ts - (int(numbers[0]) * 10**9 if i > len(frames) // 2 else 0), size, frame] for i, (ts, size, frame) in enumerate(frames)]
elif operation == "years": # everything is so many years of 365 days later
    frames = [[ts + int(numbers[0]) * 365 * 86400 * 10**9, size, frame] for ts, size, frame in frames]
elif operation == "behind": # what the first host sends passes so many nanoseconds later, and what it receives as much earlier
    frames = [[ts + int(numbers[0]) * (1 if frame[26:30] == bytes([10, 77, 0, 1]) else -1), size, frame] for ts, size, frame in frames]
    frames.sort(key=lambda frame: frame[0])
elif operation == "swap": # each seventh frame with the next one: their order is another than that of their times
    for i in range(0, len(frames) - 1, 7):
        frames[i], frames[i + 1] = frames[i + 1], frames[i]
elif operation == "resend": # records say that they were sent before
    frames = [[ts, size, frame[:46] + bytes([frame[46] | 2]) + frame[47:] if frame[45] == 8 else frame] for ts, size, frame in frames]
elif operation == "sessions": # before all else, so many datagrams of as many clients' sessions
    ts, size, frame = next(one for one in frames if one[2][45] == 10)
    frames = [[ts, size, frame[:54] + struct.pack("<I", 2**31 + i) + frame[58:]] for i in range(int(numbers[0]))] + frames
elif operation == "epochs": # behind all else, a datagram of each of so many epochs
    ts, size, frame = next(one for one in frames if one[2][45] == 10)
    frames += [[frames[-1][0], size, frame[:54] + struct.pack("<I", 1000 + i) + frame[58:]] for i in range(int(numbers[0]))]
elif operation == "again": # ten seconds later all of it once more, by processes whose clocks are so many seconds ahead
    def later(frame):
        return frame[:74] + struct.pack("<Q", struct.unpack("<Q", frame[74:82])[0] + int(numbers[0]) * 10**9) + frame[82:]
    frames += [[ts + 10 * 10**9, size, later(frame)] for ts, size, frame in frames if len(frame) >= 82]
elif operation == "glue": # datagrams in a row from one to the other, of one size but for a shorter last one, become a frame
    glued, room = [], 0
    for ts, size, frame in frames:
        if glued and glued[-1][2][26:38] == frame[26:38] and size - 42 <= room:
            room = size - 42 if size - 42 == room else 0
            all_of_it = glued[-1][2] + frame[42:]
            glued[-1][1:] = [len(all_of_it), all_of_it[:16] + struct.pack(">H", len(all_of_it) - 14) + all_of_it[18:38] +
                             struct.pack(">H", len(all_of_it) - 34) + all_of_it[40:]]
        else:
            glued.append([ts, size, frame])
            room = size - 42
    frames = glued
elif operation == "twin": # and the same of another mesh, 3 ms later
    frames += [[ts + 3 * 10**6, size, frame[:28] + b"\x4e" + frame[29:32] + b"\x4e" + frame[33:]] for ts, size, frame in frames]
    frames.sort(key=lambda frame: frame[0])
elif operation == "from": # without so many at the beginning
    frames = frames[int(numbers[0]):]
elif operation == "thin": # without the k-th of each so many
    k, count = map(int, numbers)
    frames = [frame for i, frame in enumerate(frames) if i % count != k]
elif operation == "part": # the k-th of so many
    k, count = map(int, numbers)
    frames = frames[len(frames) * k // count:len(frames) * (k + 1) // count]
with open(out, "wb") as file:
    file.write(head)
    for ts, size, frame in frames:
        file.write(struct.pack("<IIII", ts // 10**9, ts % 10**9, len(frame), size) + frame)
PY
made() { python3 "$tmp/make.py" "${source_capture:-$whole}" "$tmp/$1" "${@:2}"; }
analyze() { "$mesh_dissect" "$@" --analyze; }
links() { analyze -r "$1" | grep '^ *2  *[01]>[01] '; }
sum() { analyze "$@" 2>/dev/null | sed -n '/datagrams in/,$p'; }

# ---- times after 2038, which need all 32 bits of pcap's seconds ----
made later years 20
first_time() { TZ=UTC0 "$mesh_dissect" -r "$1" -n -tttt -c 1 | cut -d ' ' -f 1; }
check_equal "a capture of a later decade has the times of that decade" "$(first_time "$tmp/later")" \
    "$(date -u -d "$(first_time $whole) + $((20 * 365)) days" +%F)"
"$mesh_dissect" -r "$tmp/later" -w "$tmp/later-copy" 2>/dev/null
check_same "it is written with the same times" "$tmp/later-copy" "$tmp/later"

# ---- the files of one capture ----
for k in 0 1 2; do
    made "ring$k" part $k 3
    source_capture=$captures/port-host0.pcap made "other$k" part $k 3
done
ring=(-r "$tmp/ring0" -r "$tmp/ring1" -r "$tmp/ring2")
check_equal "files of a ring say together what the whole capture says" "$(sum "${ring[@]}")" "$(sum -r $whole)"
check_equal "in any order" "$(sum -r "$tmp/ring2" -r "$tmp/ring0" -r "$tmp/ring1")" "$(sum -r $whole)"
check_equal "files of one ring are shown as files of one capture" \
    "$(analyze "${ring[@]}" | grep -c "^    another file of the capture in $tmp/ring0$")" "2"
check_equal "JSON shows files of one ring as one capture, too" \
    "$(analyze "${ring[@]}" --json | grep -c '"event":"capture".*"aligned":true,"series":')" "2"
both() { analyze "$@" | sed -n '/^ *epoch    link datagrams/,/^ *2   1>0/p'; }
check_equal "the rings of two hosts are joined, whatever their order" \
    "$(both -r "$tmp/other0" -r "$tmp/ring0" -r "$tmp/ring2" -r "$tmp/ring1" -r "$tmp/other2" -r "$tmp/other1")" \
    "$(both -r $captures/port-host0.pcap -r $whole)"

# ---- a switch between two hosts that were captured, too ----
hosts=(-r "$captures/port-host0.pcap" --at 10.77.0.1 -r "$whole" --at 10.77.0.2)
source_capture=$captures/port-host0.pcap made switch behind 1000
places() { analyze "$@" | sed -n 's/.* 0>1 epoch 2 \(#.*\) lost, \(place[^,]*\),.*/\1 \2/p'; }
for switch in "-r $tmp/switch --at -" "-r $tmp/switch"; do
    read -ra switch <<<"$switch"
    if [ ${#switch[@]} -eq 2 ]; then hosts=(-r "$captures/port-host0.pcap" -r "$whole"); fi
    check_equal "what a switch passed on and a host did not get is lost on the wire (${switch[*]:2})" \
        "$(places "${switch[@]}" "${hosts[@]}")" "$(places "${hosts[@]}")"
    check_equal "and so it is if the switch's capture comes last" "$(places "${hosts[@]}" "${switch[@]}")" "$(places "${hosts[@]}")"
    check_equal "nothing counts twice" "$(sum "${hosts[@]}" "${switch[@]}")" "$(sum "${hosts[@]}")"
done
source_capture=$captures/port-host0.pcap made near behind 200
check_equal "also if it is less than a microsecond away" \
    "$(places -r "$tmp/near" --at - -r $whole --at 10.77.0.2 -r $captures/port-host0.pcap --at 10.77.0.1)" \
    "$(places -r $captures/port-host0.pcap --at 10.77.0.1 -r $whole --at 10.77.0.2)"
check_equal "the report says whose capture counts" "$(analyze "${hosts[@]}" "${switch[@]}" | grep -A 1 "^$tmp/switch: " | tail -n 1)" \
    "    $whole shows that host, too, and its links are judged by that"

# ---- a file that ends in the middle ----
head -c 60000 $whole >"$tmp/short"
check_exit "datagrams before the end of a truncated file are joined, too" 3 "short: truncated" \
    "$mesh_dissect" -r $captures/port-host0.pcap -r "$tmp/short" --analyze
check_contains "the analysis of a truncated file is complete" "$out" "findings:"
check "losses seen in both captures are named in spite of truncation" test "$(grep -c 'place wire' "$out")" -ge 3

# ---- times that go back ----
made back back 3600
check_equal "a clock that is set back does not make a capture last for centuries" \
    "$(analyze -r "$tmp/back" | sed -n 's/^435 datagrams in \(36[0-9]*\)\..*/\1/p')" "3600"
check_contains "a clock that is set back is reported" <(analyze -r "$tmp/back") "note    1 datagram is clearly earlier than the one before"
made swap swap
check_equal "numbers whose frames are out of order are reordered, not late" \
    "$(analyze -r "$tmp/swap" --json | sed -n 's/.*"event":"summary".*"reordered":\([0-9]*\),"late":\([0-9]*\),.*/\1 \2/p')" \
    "$("$mesh_dissect" -r "$tmp/swap" -Y reordered --count | sed 's/ .*//') 0"

# ---- losses after the place of the capture, or beside it ----
check_equal "a datagram that is captured and lost later counts once as sent" \
    "$(analyze -r $captures/host-host1.pcap --json | sed -n 's/.*"event":"link",.*"lost":7,.*"loss":\([0-9.]*\),.*/\1/p' | cut -c 1-7)" \
    "$(awk 'BEGIN { print substr(7 / 212, 1, 7) }')"
made middle from 200
check_equal "in a capture that begins in the middle, no tile whose first sending it lacks is a spurious resend" \
    "$(analyze -r "$tmp/middle" | sed -n 's/.*; \([0-9]* resent, [0-9]*\) of them spurious;.*/\1/p')" "5 resent, 0"
made idle from 14
check_equal "in a capture that begins with the first tile of an idle epoch, nothing that came before counts as not captured" \
    "$(links "$tmp/idle" | awk '{ print $2, $4, $6 }')" "$(links $whole | awk '{ print $2, $4, 0 }')"
made thin thin 11 40
lost() { analyze -r $captures/port-host0.pcap -r "$1" | sed -n 's/.* 0>1 epoch 2 \(#.*\) lost, place wire.*/\1/p' | sort; }
check_equal "what is lost is told from what the receiver's capture lacks by what was asked for" "$(lost "$tmp/thin")" "$(lost $whole)"

# ---- frames that are cut ----
made cut60 cut 60
check_contains "datagrams cut before the header's end are reported" <(analyze -r "$tmp/cut60") \
    "no datagram of an epoch in the capture, and 447 of others, 447 of them cut short before their header ends"
made cut128 cut 128
check_equal "a cut tile is not taken for a spurious resend" \
    "$(analyze -r "$tmp/cut128" | sed -n 's/.*; \(7 resent, [0-9]*\) of them spurious;.*/\1/p')" "7 resent, 0"
made glued glue
check_equal "datagrams that the kernel put into one frame count as many" "$(links "$tmp/glued" | cut -c 1-50)" \
    "$(links $whole | cut -c 1-50)"
source_capture=$tmp/glued made cut400 cut 400
check_contains "where a frame of several datagrams is cut, the remedy is stated" <(analyze -r "$tmp/cut400") \
    "not the network: capture with a larger -B, and -s: frames that hold several datagrams were cut off after the first"
check_contains "the number of cut tiles is reported" <(analyze -r "$tmp/cut128") "note    240 tiles were cut short by the capture"

# ---- restarted processes: the same epoch, and numbers from 1 ----
for seconds in 10 -30000; do # without and with a machine that was started again, too
    made again again $seconds
    rows=$(analyze -r "$tmp/again" | grep '^ *2  *[01]>[01] ')
    check_equal "a restarted mesh has its own lines ($seconds s)" "$rows" "$(links $whole)"$'\n'"$(links $whole)"
    check_equal "all losses of a restarted mesh are named ($seconds s)" "$(analyze -r "$tmp/again" | grep -c ' lost, place')" \
        "$((2 * $(analyze -r $whole | grep -c ' lost, place')))"
    check_equal "no datagram of a restarted mesh is a duplicate or late ($seconds s)" \
        "$("$mesh_dissect" -r "$tmp/again" -Y 'duplicate || late || reordered' --count)" "0 datagrams"
done
check_contains "the restart of two links is reported" <(analyze -r "$tmp/again") "2 links begin again in an epoch of the same number"
"$mesh_dissect" -r "$tmp/again" -Y 'src == 1' -w "$tmp/one"
check_contains "the restart of one link is reported" <(analyze -r "$tmp/one") "1 link begins again in"
if command -v tshark >/dev/null; then
    "$mesh_dissect" --export wireshark >"$tmp/mesh.lua"
    fields() {
        tshark -2 -X "lua_script:$tmp/mesh.lua" -r "$1" -Y "$2" -T fields -e mesh.analysis.missing 2>/dev/null |
            awk '{ sum += $1 } END { print NR + 0, sum + 0 }'
    }
    check_equal "the plugin counts losses before and after a restart" \
        "$(fields "$tmp/again" "mesh.analysis.missing > 0" | cut -d' ' -f2)" "14"
    check_equal "the plugin finds no duplicate or late datagram after a restart" \
        "$(fields "$tmp/again" "mesh.analysis.duplicate or mesh.analysis.late")" "0 0"
else
    skip "the plugin counts losses before and after a restart" "tshark is not installed"
fi

# ---- two meshes at once, with epochs of the same number ----
made twin twin
steps() { sed -n 's/^\([0-9]*\) steps of one token: \(.*\)/\1 \2/p'; }
check_equal "steps of two meshes are kept apart" "$(analyze -r "$tmp/twin" | steps)" \
    "$(analyze -r $whole | steps | awk '{ $1 *= 2; print }')"
check_contains "the presence of two meshes is reported" <(analyze -r "$tmp/twin") "note    the capture has 2 meshes at once"
check_equal "restarted nodes are not reported as another mesh" "$(analyze -r "$tmp/again" | grep -c 'meshes at once')" "0"

# ---- many clients ----
made epochs epochs 600
analyze -r "$tmp/epochs" 2>"$err" >/dev/null
check_equal "that there are links beyond the limit is said when the first one comes, once" \
    "$(grep -c 'there are more than 512 links, each epoch has its own' "$err")" "1"
analyze -r $whole 2>"$err" >/dev/null
check_equal "and not where all have a place" "$(grep -c 'there are more than' "$err")" "0"
made sessions sessions 600
check_equal "links of the mesh have their place after hundreds of clients" "$(links "$tmp/sessions")" "$(links $whole)"
check_equal "of hundreds of client sessions the first ones are listed" "$(analyze -r "$tmp/sessions" |
    sed -n 's/^\([0-9]*\) datagrams of clients.*/\1/p')" "472"

# ---- records sent again, and keys of others ----
made resend resend
check_equal "a record sent again is not judged to be spurious" \
    "$("$mesh_dissect" -r "$tmp/resend" -Y 'record && resent' --count) $(
        analyze -r "$tmp/resend" | grep -c '; [0-9]* resent, 0 of them spurious'
    )" \
    "$("$mesh_dissect" -r $whole -Y record --count) 1"

# ---- a ladder of nothing ----
ladder() { "$mesh_dissect" "$@" --ladder; }
check_equal "a ladder of no datagrams says that there are none" "$(ladder -r "$tmp/cut60")" "no datagram of an epoch in the capture"
check_equal "a ladder without datagrams in the range says how many there are" "$(ladder -r $whole --steps 900)" \
    "none of 435 datagrams of epochs matches --steps, --seconds and -Y"
check_equal "a ladder whose filter lets nothing through says so" "$(ladder -r $whole -Y 'tile.step == 900')" \
    "none of 435 datagrams of epochs matches --steps, --seconds and -Y"
check_equal "a ladder without readable tiles says that steps are unknown" "$(ladder -r "$tmp/cut128" --steps 900)" \
    "435 datagrams of epochs, and no readable tile to tell their steps: give --key"

if [ -x "$mesh_node" ] && "$mesh_node" keygen -o "$tmp/key" >/dev/null 2>&1 && [ -s "$tmp/key" ]; then
    check_contains "a key that opens nothing is reported" <(analyze -r $whole --key "$tmp/key") "warning --key opens none of 4"
    LC_ALL=C sed -E 's/Dm\x01(.)\x04\x00/Dm\x01\1\x24\x00/g' $whole >"$tmp/aes"
    check_equal "in FIPS mode, where AES opens all the same, no more is said of what is sealed with it" \
        "$(LIBGCRYPT_FORCE_FIPS_MODE=1 analyze -r "$tmp/aes" --key "$tmp/key")" "$(analyze -r "$tmp/aes" --key "$tmp/key")"
    check_equal "without a key nothing is reported of keys" "$(analyze -r $whole | grep -c -e '--key')" "0"
else
    skip "a key that opens nothing is reported" "built without libsodium"
fi

# ---- VLAN tags, with which the usual expression finds nothing ----
vlans=tests/dissect/layers.pcap
check_equal "an expression that lets nothing through is reported as the reason" \
    "$(analyze -r $vlans udp port 7412 | grep -c "for frames with a VLAN tag write 'vlan and udp port 7411'")" "1"
check_equal "without an expression no VLAN is mentioned" "$(analyze -r $vlans | grep -c 'VLAN')" "0"

# ---- every frame twice, as in a capture on all interfaces of a forwarding host ----
if command -v mergecap >/dev/null; then
    mergecap -F nsecpcap -w "$tmp/twice" $whole $whole
    counts() { sum "$@" | sed -nE 's/.*; ([0-9]+ lost).*; ([0-9]+ resent, [0-9]+ of them spurious).*/\1, \2/p'; }
    check_equal "in a capture with every frame twice each loss and resend counts once" "$(counts -r "$tmp/twice")" "$(counts -r $whole)"
    check_contains "repeated frames are reported" <(analyze -r "$tmp/twice") \
        "of $((2 * $(analyze -r $whole | sed -n 's/^\([0-9]*\) datagrams in .*/\1/p'))) datagrams are in the capture twice"
else
    skip "in a capture with every frame twice each loss and resend counts once" "mergecap is not installed"
fi

# ---- one direction ----
check_equal "a rank without captured incoming datagrams is not reported as never waiting" \
    "$(analyze -r $whole src host 10.77.0.1 | grep -c -e computing -e 'longest waits')" "0"
check_equal "a capture of both directions shows how long a rank waits" "$(analyze -r $whole | grep -c -e computing -e 'longest waits')" "2"

# ---- live ----
if [ "$(id -u)" -ne 0 ] || [ -n "${SUDO_USER:-}" ]; then
    skip "files of -C in a folder without permission are refused at once" "this is not root, or root by sudo"
    finish
fi
mkdir -m 700 "$tmp/closed"
check_exit "files of -C in a folder without permission are refused at once" 4 \
    "no further file can be created there: Permission denied: give -Z root" \
    timeout 20 "$mesh_dissect" -i lo -c 1 -w "$tmp/closed/ring" -C 1 -W 3 udp port 1
finish
