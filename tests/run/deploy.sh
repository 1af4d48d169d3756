#!/bin/bash
# The systemd units that `make install` makes are valid and give a node few privileges, and the example cluster file can be read.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build is not installed"
[ -x "$mesh_node" ] || skip_all "mesh-node is not built"

# systemd-analyze checks that the units' program exists, so the prefix itself is a folder of this test.
prefix=$tmp/mesh
check "make install succeeds" env -u MAKEFLAGS -u MAKELEVEL -u BIN -u BUILD -u SAN -u UNITDIR \
    make --no-print-directory install DESTDIR= PREFIX="$prefix" BIN="$BIN"
units=$prefix/lib/systemd/system

for unit in mesh-node.service mesh-node@.service; do
    check "$unit is installed" test -s "$units/$unit"
    check_equal "nothing in $unit is left to be filled in" "$(grep -c '@[A-Z]*@' "$units/$unit")" 0
    check_contains "$unit starts the program that was installed" "$units/$unit" "ExecStart=$prefix/bin/mesh-node serve "
    for call in setpriority sched_setscheduler sched_setattr; do # denied with @resources, allowed after that
        check_equal "$unit lets threads that are in no hurry step back by $call" \
            "$(sed -n '/^SystemCallFilter=~.*@resources/,$p' "$units/$unit" | grep -c "^SystemCallFilter=[^~]*\b$call\b")" 1
    done
    check_equal "$unit lets a node read how much memory there is" "$(grep -cE '^ProcSubset=|^InaccessiblePaths=.*/proc' "$units/$unit")" 0
done
check_contains "mesh-node.service starts the node with the name of the machine" "$units/mesh-node.service" " --node %l "
check_contains "mesh-node@NAME.service starts the node NAME" "$units/mesh-node@.service" " --node %i "

# Every option on the units' command lines is an option of their command.
knows_options() { # COMMAND UNIT...
    local option
    "$mesh_node" "$1" --help >"$tmp/help"
    (cd "$units" && grep -hE '^(ExecStart|Environment)=' "${@:2}") | grep -oE -e '--[a-z-]+' | sort -u >"$tmp/options"
    while read -r option; do
        check_contains "$1 knows $option" "$tmp/help" "$option "
    done <"$tmp/options"
}
knows_options serve mesh-node.service mesh-node@.service

# The HTTP API is no part of a build without its libraries.
all=(mesh-node.service mesh-node@attic.service)
run "$mesh_node" api --help
if grep -q "built without" "$err"; then
    check_equal "a build without the HTTP API installs no unit of it" "$(ls "$units")" $'mesh-node.service\nmesh-node@.service'
else
    all+=(mesh-api.service)
    check_contains "mesh-api.service starts the program that was installed" "$units/mesh-api.service" "ExecStart=$prefix/bin/mesh-node api "
    check_equal "nothing in mesh-api.service is left to be filled in" "$(grep -c '@[A-Z]*@' "$units/mesh-api.service")" 0
    knows_options api mesh-api.service
    check_equal "mesh-api.service gives the program every credential that it names, and no other" \
        "$(grep -oE '%d/[a-z.]+' "$units/mesh-api.service" | sed 's/%d.//' | sort)" \
        "$(sed -nE 's/^LoadCredential=([^:]*):.*/\1/p' "$units/mesh-api.service" | sort)"
    said=$(sed -nE 's/.* DRAIN_S = ([0-9]+).*/\1/p' node/api_command.c)
    check "systemd waits until answers are complete" [ "$(sed -n 's/^TimeoutStopSec=//p' "$units/mesh-api.service")" -gt "$said" ]
fi

# The limit of systemd is later than the node's own: up to 30 s for running requests, up to 65 to leave.
stop=$(sed -n 's/^TimeoutStopSec=//p' "$units/mesh-node.service")
if [ "$stop" -gt 95 ]; then ok "systemd waits until a node has left"; else not_ok "systemd waits until a node has left" "$stop s"; fi

check_equal "systemd waits without limit for a node that fetches a model" \
    "$(sed -n 's/^TimeoutStartSec=//p' "$units/mesh-node.service")" infinity

said=$(tr '\n' ' ' <docs/OPERATIONS.md |
    sed -nE 's/.*systemd restarts the unit after ([0-9]+) s, but not after exit codes ([0-9]+) and ([0-9]+)\..*/on-failure \1 \2 \3/p')
check_equal "systemd restarts a node when the documents say so" \
    "$(sed -nE 's/^(Restart|RestartSec|RestartPreventExitStatus)=//p' "$units/mesh-node.service" | paste -sd ' ')" "$said"

for node in attic cellar shed; do
    check_exit "node $node of the example is told what is missing, its key or the model" 4 "/" \
        "$mesh_node" serve -c "$prefix/share/mesh-node/cluster.conf" --node $node --key "$tmp/none"
done
model=node/models/stories-q8_0.gguf
sed -E 's/^# ([a-z-]+ = )/\1/; s/^ctx = .*/ctx = 512/' "$prefix/share/mesh-node/cluster.conf" >"$tmp/cluster.conf"
check "what the example has as a comment can be used as it is" "$mesh_node" plan -c "$tmp/cluster.conf" -m $model
check_equal "the example has such a setting" "$(grep -c '^share = ' "$tmp/cluster.conf")" 1
check_equal "the hints for sysctl are settings and comments" \
    "$(grep -cvE '^(#.*|net\.[a-z_.]+ = [0-9]+)$' "$prefix/share/mesh-node/sysctl.conf")" 0

version=$(systemd-analyze --version 2>/dev/null | awk 'NR == 1 { print $2 + 0 }')
if [ "${version:-0}" -ge 252 ]; then
    cp "$units/mesh-node@.service" "$units/mesh-node@attic.service"
    check "systemd-analyze finds nothing wrong with the units" \
        systemd-analyze verify --man=no "${all[@]/#/$units/}"
    check_equal "systemd-analyze prints no warning" "$(cat "$err")" ""
    for unit in "${all[@]}"; do
        check "a process of $unit is exposed to no more than 1.2 of 10" \
            systemd-analyze security --no-pager --offline=true --threshold=12 "$units/$unit"
    done
    rm "$units/mesh-node@attic.service"
else
    skip "systemd-analyze finds nothing wrong with the units" "needs systemd-analyze, version 252 or later"
fi

check "make uninstall succeeds" env -u MAKEFLAGS -u MAKELEVEL -u BIN -u BUILD -u SAN -u UNITDIR \
    make --no-print-directory uninstall DESTDIR= PREFIX="$prefix" BIN="$BIN"
check_equal "make uninstall leaves no file" "$(find "$prefix" -not -type d)" ""
finish
