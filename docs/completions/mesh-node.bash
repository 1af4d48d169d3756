# Completion of mesh-node for bash. Options are those that its own --help prints, so this file knows none.
_mesh_node()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local types='f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k'

    case $before in
        --type) mapfile -t COMPREPLY < <(compgen -W "$types" -- "$word") && return ;;
        --cipher) mapfile -t COMPREPLY < <(compgen -W 'auto chacha20' -- "$word") && return ;;
        --security) mapfile -t COMPREPLY < <(compgen -W 'seal auth none' -- "$word") && return ;;
        --kv-type) mapfile -t COMPREPLY < <(compgen -W 'f16 f32 q8_0' -- "$word") && return ;;
        --kernel) mapfile -t COMPREPLY < <(compgen -W 'scalar avx2 avxvnni avx512 neon neon_dot' -- "$word") && return ;;
        -m | --model) mapfile -t COMPREPLY < <(compgen -f -X '!*.gguf' -- "$word"; compgen -d -- "$word") && return ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'run serve ask status synth stories train quantize inspect plan bench keygen --help --version' -- "$word")
    elif [[ $word != -* && ${COMP_WORDS[1]} == bench ]]; then
        local parts
        parts=$("${COMP_WORDS[0]}" bench --help 2>/dev/null </dev/null | sed -n 's/.*PART: //p' | tr '|' ' ')
        mapfile -t COMPREPLY < <(compgen -W "$parts" -- "$word")
    elif [[ $word == -* ]]; then
        local options
        options=$("${COMP_WORDS[0]}" "${COMP_WORDS[1]}" --help 2>/dev/null </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _mesh_node mesh-node
