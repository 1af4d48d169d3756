#!/bin/bash
# The protocol core does no I/O: its objects call nothing but mem*, strlen, assert's abort path and one another.
# Runs beside others.
. tests/run/lib.sh
[ -z "$SAN" ] || skip_all "a sanitizer build calls its runtime"

core=()
for object in "$BUILD"/libmesh/*.o; do
    case $(basename "$object" .o) in
    udp* | client | addr | lab | heap | sim* | *_text) ;; # drivers, the simulator and what only they use, text for people
    recorder*) ;;                                         # a thread
    trace*) ;;                                            # the trace store: files, and what went on before
    rerun*) ;;                                            # calls of a tape given again
    seal* | key*) ;;                                      # between core and socket: keys, and datagrams sealed and opened
    *) [ -e "libmesh/$(basename "$object" .o).c" ] && core+=("$object") ;;
    esac
done
[ ${#core[@]} -gt 0 ] || skip_all "libmesh has no objects yet"

nm --defined-only --format=posix "${core[@]}" | awk 'NF > 1 { print $1 }' | sort -u >"$tmp/defined"
allowed='^(mem[a-z]*|__mem[a-z]*_chk|strlen|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$'
for object in "${core[@]}"; do
    foreign=$(nm --undefined-only --format=posix "$object" | awk '{ print $1 }' | grep -vE "$allowed" | sort -u |
        comm -23 - "$tmp/defined")
    check_equal "libmesh/$(basename "$object" .o).c calls nothing outside the core" "$foreign" ""
done
finish
