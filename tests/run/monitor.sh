#!/bin/bash
# The monitor on its own terminal (tmux), watching a mesh that does not exist (made-mesh): screens, keys, sizes, settings, a connection that
# is lost and returns. tests/run/monitor-mesh.sh has a real mesh.
# shellcheck source=tests/run/lib.sh
. tests/run/lib.sh
monitor=$BIN/mesh-monitor
made_mesh=$BIN/made-mesh
[ -x "$monitor" ] || skip_all "mesh-monitor is not built"
[ -x "$made_mesh" ] || skip_all "made-mesh is not built"

export LC_ALL=C.UTF-8 XDG_CONFIG_HOME=$tmp/config TERM=xterm-256color
unset NO_COLOR COLUMNS LINES
port=$(free_port)
start_mesh() {
    background "$made_mesh" "127.0.0.1:$port" 4
    mesh=$background_pid
}

# ---- without a mesh ----

check_exit "an unknown option is named" 2 "did you mean --readonly" "$monitor" --readnly
check_exit "a key that is not there is named" 4 "$tmp/none" "$monitor" -b --key "$tmp/none"
check_exit "an address that is none is named" 2 "--to 'nowhere'" "$monitor" -b --to nowhere
check_exit "in batch mode a missing mesh ends the monitor, with the address" 4 "127.0.0.1:$port" \
    timeout -k 5 30 "$monitor" -b -n 1 --to "127.0.0.1:$port"

if [ -e /dev/full ]; then
    for option in --help --version; do
        check_exit "$option on a full disk is an error" 4 "stdout: cannot write" sh -c "exec '$monitor' $option >/dev/full"
    done
fi

# ---- in batch ----

start_mesh
batch() { timeout -k 5 60 "$monitor" --to "127.0.0.1:$port" "$@"; }
check "JSON is printed, one object per interval" batch --json -n 3 -d 0.3
check_equal "batch mode prints as many JSON objects as requested" "$(wc -l <"$out")" 3
check_equal "each begins with the schema's version" "$(grep -c '^{"schema_version":1,' "$out")" 3
check "text is printed where there is no terminal" batch -n 1 -d 0.3
check_equal "text in batch mode has a line for each node" "$(grep -c '10\.0\.0\.[1-4]:7411  ' "$out")" 4
check_equal "text in batch mode has no colours" "$(grep -c $'\033' "$out")" 0
check "characters beyond ASCII need a locale that has them" env LC_ALL=C "$monitor" --to "127.0.0.1:$port" -b -n 1 -d 0.3
check_equal "without such a locale output is ASCII" "$(LC_ALL=C grep -c '[^ -~]' "$out")" 0

many_port=$(free_port)
background "$made_mesh" "127.0.0.1:$many_port" 64
many=$background_pid
check "a mesh of 64 nodes is watched" timeout -k 5 60 "$monitor" --to "127.0.0.1:$many_port" --json -n 2 -d 1
kill "$many"
check_equal "all of its nodes have reported" "$(tail -n 1 "$out" | grep -o '"state":"up"' | wc -l)" 64

# ---- on a terminal ----

# shellcheck source=tests/tools/screen
. tests/tools/screen
screen_needed "the screens are there, and keys work"

mkdir -p "$tmp/folder"
screen_start 120 36 "$tmp/folder" \
    "$(realpath "$monitor") --to 127.0.0.1:$port -d 0.5; echo ended with \$?; sleep 60"
sees "the overview tells of all" "4 of 4 nodes compute"
sees "with a line for each" "10.0.0.4:7411"
shows_colour() { tm capture-pane -e -p -t mon | grep -qE $'\033\\[([0-9;]*;)?'"$1"'[0-9;]*m'; }
check "the screen uses 256 colours" wait_until 5 shows_colour '[34]8;5'
keys 2
sees "2 shows the links" "p99 of tile latency"
keys m
sees "m shows another metric of them" "loss, over 10 s"
keys 1 j Enter
sees "Enter opens the selected node" "node 1  10.0.0.2:7411"
keys Escape
sees "Escape goes back" "tokens per second"
keys 4
sees "4 shows the steps" "longest stall"
keys 5
sees "5 shows requests" "generating"
keys 6
sees "6 shows events" "connected to 127.0.0.1:$port"
keys F1
sees "F1 shows the keys" "any key closes it"
keys x Space
sees "a space pauses" "PAUSED"
keys '[' '[' Space
sees "and goes on" "LIVE"
keys 1 F4 0.3: Enter
sees "F4 filters" "filter: 0.3:"
keys Escape / 0.3: Enter g n Enter
sees "n searches again" "node 2  10.0.0.3:7411"
keys Escape Escape s
sees "s saves a snapshot" "saved as mesh-monitor-"
check_equal "the saved snapshot is JSON" "$(cat "$tmp"/folder/mesh-monitor-*.json | head -c 20)" '{"schema_version":1,'
keys +
sees "+ makes intervals longer" "LIVE 1 s"

for size in 40x10 200x50 10x3 1x1 80x24; do
    screen_resize "${size%x*}" "${size#*x}"
    sleep 0.2
done
sees "after any size it is drawn as a whole" "mesh-monitor"
screen_resize 120 36

kill "$mesh"
sees "when the connection is lost it says so" "Connection lost"
sees "and keeps what was last known" "10.0.0.4:7411"
start_mesh
sees "it connects again" "LIVE"
keys q
sees "q ends it" "ended with 0"
check_contains "the chosen interval is saved in the settings" "$tmp/config/mesh-monitor/config" "interval_ms = 1000"

tm kill-server
screen_start 120 36 "$tmp/folder" "$(realpath "$monitor") --to 127.0.0.1:$port -C -M; echo ended with \$?; sleep 60"
sees "with -C and -M all is there" "4 of 4 nodes compute"
check_equal "-C leaves no colours" "$(shows_colour '([349]|10)[0-8]' && echo some)" ""
keys q
sees "q ends it without colours, too" "ended with 0"
check_contains "but next time there are colours again" "$tmp/config/mesh-monitor/config" "no_colour = no"
check_contains "and the mouse" "$tmp/config/mesh-monitor/config" "no_mouse = no"

# ---- stopped by the keyboard ----

tm kill-server
screen_start 120 36 "$tmp/folder" "exec bash --norc -i"
keys "PS1='ready: '; $(realpath "$monitor") --to 127.0.0.1:$port -d 0.5" Enter
sees "a shell with job control starts it" "4 of 4 nodes compute"
keys C-z
sees "Ctrl-Z gives the terminal back to the shell" "Stopped"
keys "fg; echo ended with \$?" Enter
sees "and it goes on in the foreground" "4 of 4 nodes compute"
keys q
sees "as if nothing had happened" "ended with 0"

# ---- a long interval ----

tm kill-server
screen_start 120 36 "$tmp/folder" "$(realpath "$monitor") --to 127.0.0.1:$port -d 60; sleep 60"
sees "however long the interval, the first one is over soon" "4 of 4 nodes compute"
sees "and then it is as long as was asked for" "LIVE 60 s"

# ---- fewer colours ----

with_terminal() { # SETTING...: of the monitor's environment
    tm kill-server
    screen_start 120 36 "$tmp/folder" "$* $(realpath "$monitor") --to 127.0.0.1:$port -d 0.5; sleep 60"
}
with_terminal TERM=linux
sees "a terminal with few colours shows all" "4 of 4 nodes compute"
check "in the first eight: the first line is white on blue" wait_until 5 shows_colour 44
check_equal "a terminal of 16 colours gets no others" "$(shows_colour '[34]8;5' && echo some)" ""
with_terminal NO_COLOR=1
sees "with NO_COLOR all is there" "4 of 4 nodes compute"
check_equal "NO_COLOR leaves no colours" "$(shows_colour '([349]|10)[0-8]' && echo some)" ""
with_terminal TERM=dumb
sees "a terminal whose cursor cannot be placed is refused, in words" "TERM=dumb cannot place its cursor: set TERM"

# ---- a recording ----

tm kill-server
if ! "$mesh_node" run -m node/models/stories-q8_0.gguf --local 2 -t 1 -p "Once upon a time" -n 60 --ignore-eos --seed 1 \
    --lab pace=100MB/s,loss=2%,seed=2 --record "$tmp/run.db" >/dev/null 2>"$tmp/said"; then
    skip "a recording is played" "$(tail -n 1 "$tmp/said")"
    finish
fi
check "a recording in batch gives an object for each of its intervals" "$monitor" --trace "$tmp/run.db" --json -d 0.5
check_equal "a recording in batch has both nodes, whose traces are side by side" \
    "$(tail -n 1 "$out" | grep -o '"is_fresh":true,"peers"' | wc -l)" 2
tokens=$(sed 's/,"findings":.*//' "$out" | # events name ranks, too
    sed 's/.*"rank":0,"address"//; s/"rank":1,"address".*//; s/.*"generated_tokens":\([0-9]*\).*/\1/' | paste -sd+)
check_equal "the recorded intervals have all tokens of the answer" $((tokens)) 60
# From the last report of each node: the sums over all links.
sums=$(for trace in "$tmp/run.db" "$tmp/run.1.db"; do
    "$BIN/mesh-replay" query "$trace" "SELECT sum(lost), sum(naks_sent), sum(resent), sum(duplicates_sent) FROM telemetry_link
        WHERE report >= (SELECT max(report) FROM telemetry_node)" | tail -n 1
done | awk '{ for (i = 1; i <= 4; i++) sum[i] += $i } END { print sum[1], sum[2], sum[3], sum[4] }')
check_equal "the loss and repair that \`run\` prints are those that its nodes reported" "$sums" \
    "$(sed -n 's/.*; lost \([0-9]*\), NAKs sent \([0-9]*\), resent \([0-9]*\), copies sent \([0-9]*\).*/\1 \2 \3 \4/p' "$tmp/said")"
check_exit "a trace that is not there is named" 4 "$tmp/none.db" "$monitor" --trace "$tmp/none.db" -b
echo "a text and no trace" >"$tmp/text.db"
check_exit "a file that is no trace is refused" 3 "$tmp/text.db" "$monitor" --trace "$tmp/text.db" -b
check_exit "a recording and a living mesh exclude one another" 2 "leave one out" "$monitor" --trace "$tmp/run.db" --to 127.0.0.1:1 -b
check_exit "a recording has no security" 2 "leave one out" "$monitor" --trace "$tmp/run.db" --security none -b
check_exit "a recording has no cluster's name" 2 "leave one out" "$monitor" --trace "$tmp/run.db" --name bay -b
check_exit "a key that would not be used is refused" 2 "--security none and --key" "$monitor" --security none --key "$tmp/none" -b
check_exit "only a recording has a speed" 2 "--speed" "$monitor" --speed 2 -b

screen_start 120 36 "$tmp/folder" "$(realpath "$monitor") --trace $tmp/run.db --speed 0.05 -d 0.5; echo ended with \$?; sleep 60"
sees "a recording is played at the speed that was asked for" "▶ ×0.05"
keys ')'
sees "a parenthesis makes it faster" "▶ ×0.1"
keys Space
sees "a space stops it" "PAUSED"
keys B
sees "B goes to its beginning" "0.0 of"
keys . . . 4
sees "a full stop goes on by a token" "token 3 of 60"
sees "and shows its step" " node "
keys ,
sees "a comma goes back by one" "token 2 of 60"
keys ']' ']' '[' 1
sees "brackets go through its time" "PAUSED"
keys ')' ')' ')' ')' ')' ')' Space
sees "at its end it says so" "END OF RECORDING"
keys q
sees "and q ends it, as ever" "ended with 0"
finish
