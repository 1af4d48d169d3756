# Completion of mesh-dissect for bash. Options are those that its own --help prints, so this file knows none.
_mesh_dissect()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

    case $before in
        --export) mapfile -t COMPREPLY < <(compgen -W 'wireshark protocol fields filter' -- "$word") && return ;;
        -Q | --direction) mapfile -t COMPREPLY < <(compgen -W 'inout in out' -- "$word") && return ;;
        -i | --interface) mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" -D 2>/dev/null | sed -E 's/^[0-9]+\.([^ ]+).*/\1/')" -- "$word") && return ;;
    esac
    if [[ $word == -* ]]; then
        local options
        options=$("${COMP_WORDS[0]}" --help 2>/dev/null </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _mesh_dissect mesh-dissect
