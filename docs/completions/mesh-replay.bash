# Completion of mesh-replay for bash. Commands, options and named queries are those that its own --help prints, so this file knows none.
_mesh_replay()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} words

    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$("$program" --help 2>/dev/null </dev/null | awk '/^  [a-z]+ +/ && $1 != "mesh-replay" { print $1 }')
    elif [ "$before" = --named ]; then
        words=$("$program" query --help 2>/dev/null </dev/null | awk 'found && /^  / { print $1 } /^named queries:/ { found = 1 }')
    elif [[ $word == -* ]]; then
        words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null </dev/null | grep -oE -e '--[a-z][a-z0-9-]+' | sort -u)
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o filenames -F _mesh_replay mesh-replay
