#!/bin/bash
# The runner of tests notices mistakes in shell tests: bash gives up the function where a line cannot be carried out, goes on with the next
# line of the test, and ends it with 0.
# Runs beside others.
. tests/run/lib.sh

# verdict LINE...: what the runner says of a test with these lines between two checks that pass: passed, failed, skipped
verdict() {
    local program=$tmp/made.sh
    printf '%s\n' '. tests/run/lib.sh' 'ok "the first"' "$@" 'ok "the last"' finish >"$program"
    sed -i '1i #!/bin/bash' "$program"
    chmod +x "$program"
    mkdir -p "$tmp/results"
    TEST_TIMEOUT=20 tests/tools/run-tests --one "$program" "$tmp/results" >"$tmp/said"
    read -r passed failed skipped <"$tmp/results/made.count"
    echo "$passed passed, $failed failed, $skipped skipped"
}

check_equal "a test without a mistake passes" "$(verdict 'check "a command" true')" "3 passed, 0 failed, 0 skipped"
# shellcheck disable=SC2016 # for the made test
{
    check_equal "a mistake in arithmetic fails the test" "$(verdict 'x=1.5; y=$((x + 1))')" "2 passed, 1 failed, 0 skipped"
    check_equal "a mistake in a function's arithmetic fails the test" \
        "$(verdict 'f() { echo $((1 2)); ok "the second"; }' f)" "2 passed, 1 failed, 0 skipped"
    check_equal "a comparison of what is no number fails the test" "$(verdict '[ "" -gt 3 ] || ok "the second"')" \
        "3 passed, 1 failed, 0 skipped"
    check_equal "a mistake in the arithmetic of a checked function, whose messages are kept, fails the test" \
        "$(verdict 'f() { echo $((1 2)); }' 'check "a function" f')" "2 passed, 1 failed, 0 skipped"
    check_equal "functions may check while they are checked" \
        "$(verdict 'f() { run true; }' 'check "a function" f')" "3 passed, 0 failed, 0 skipped"
    check_equal "a background program that is killed is no mistake" \
        "$(verdict 'background sleep 60' 'kill -9 $background_pid; wait $background_pid')" "2 passed, 0 failed, 0 skipped"
    check_equal "a run in vain is repeated, and its failures do not count" \
        "$(verdict 'begin_again_if true' '[ $TEST_ATTEMPT -eq 3 ] || not_ok "the second"')" "3 passed, 0 failed, 0 skipped"
    check_equal "what fails in the third run, too, has failed" \
        "$(verdict 'begin_again_if true' 'not_ok "the second"')" "3 passed, 1 failed, 0 skipped"
    check_equal "a run that was not in vain is not repeated" \
        "$(verdict 'begin_again_if false' '[ $TEST_ATTEMPT -eq 2 ] || not_ok "the second"')" "3 passed, 1 failed, 0 skipped"
    check_equal "a program that is missing fails the test" "$(verdict 'mesh-none --version || :')" "2 passed, 1 failed, 0 skipped"
}
RANDOM=7
free_port >"$tmp/first"
RANDOM=7
free_port >"$tmp/second"
check_equal "no port is given twice" "$(comm -12 "$tmp/first" "$tmp/second")" ""
verdict 'x=1.5; y=$((x + 1))' >/dev/null
check_contains "the line is named" "$tmp/said" "a line that bash could not carry out: $tmp/made.sh: line 4: "
finish
