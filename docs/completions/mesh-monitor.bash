# Completion of mesh-monitor for bash. Options are those that its own --help prints, so this file knows none.
_mesh_monitor()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options

    case $before in
        --trace) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
        --security) mapfile -t COMPREPLY < <(compgen -W 'seal auth none' -- "$word") && return ;;
        --to | --name | -d | --delay | -n | --iterations | --speed) return ;;
    esac
    if [[ $word == -* ]]; then
        options=$("${COMP_WORDS[0]}" --help 2>/dev/null </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u)
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _mesh_monitor mesh-monitor
