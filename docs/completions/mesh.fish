# Completion of all programs for fish. Commands, options and their words are those that --help prints, so this file knows only long lists.
function __mesh_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l program $words[1]
    set -l name (string replace -r '.*/' '' $program)
    set -l option $words[-1]
    set -l types 'f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k'
    set -l kernels 'scalar avx2 avxvnni avx512 neon neon_dot'
    set -l command
    set -l choices

    if contains $name mesh-node mesh-replay
        if test (count $words) -eq 1
            $program --help 2>/dev/null </dev/null | sed -nE 's/^  (-*[a-z]+)  *([a-z].*)/\1\t\2/p' | grep -v '^mesh'
            return
        end
        set command $words[2]
    end
    set -l help ($program $command --help 2>/dev/null </dev/null)
    switch $option
        case --type
            set choices $types
        case --kernel
            set choices $kernels
        case --named
            set choices (printf '%s\n' $help | sed '1,/^named queries:/d' | awk '/^  / { print $1 }')
        case -Q --direction
            set choices 'inout in out'
        case --export
            set choices 'wireshark protocol fields filter'
        case '--*'
            set choices (printf '%s\n' $help | sed -nE "s/^ .* $option ([a-z0-9_]+(\|[a-z0-9_]+)+) .*/\1/p")
    end
    if test "$command" = bench -a -z "$choices"; and not string match -q -- '-*' $word
        set choices (printf '%s\n' $help | sed -n 's/.*PART: //p')
    end
    if test -n "$choices"
        string split -n ' ' -- (string replace -a '|' ' ' -- $choices)
    else if string match -q -- '-*' $word
        printf '%s\n' $help | sed -nE 's/^ *(-., )?(--[a-z][a-z0-9-]+)( [^ ]+)*(  +(.*))?$/\2\t\5/p'
    else
        __fish_complete_path $word
    end
end
for program in mesh-node mesh-monitor mesh-dissect mesh-replay
    complete -c $program -f -a '(__mesh_complete)'
end
