# Completion of mesh-node for bash. Options are those that its own --help prints, and so are their words: this file knows only long lists.
_mesh_node()
{
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local words types='f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k'

    if [[ $word == '=' ]]; then # --option=WORD is three words
        word=''
    elif [[ $before == '=' ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
        --type) mapfile -t COMPREPLY < <(compgen -W "$types" -- "$word") && return ;;
        --kernel) mapfile -t COMPREPLY < <(compgen -W 'scalar avx2 avxvnni avx512 neon neon_dot' -- "$word") && return ;;
        -m | --model) mapfile -t COMPREPLY < <(compgen -f -X '!*.gguf' -- "$word"; compgen -d -- "$word") && return ;;
        --*)
            words=$("$program" "$command" --help 2>/dev/null </dev/null | sed -nE "s/^ .* $before ([a-z0-9_]+(\|[a-z0-9_]+)+) .*/\1/p")
            [ -z "$words" ] || { mapfile -t COMPREPLY < <(compgen -W "${words//|/ }" -- "$word") && return; }
            ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'run serve ask api status synth stories train quantize inspect plan bench keygen --help --version' -- "$word")
    elif [[ $word != -* && $command == bench ]]; then
        words=$("$program" bench --help 2>/dev/null </dev/null | sed -n 's/.*PART: //p' | tr '|' ' ')
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    elif [[ $word == -* ]]; then
        words=$("$program" "$command" --help 2>/dev/null </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _mesh_node mesh-node
