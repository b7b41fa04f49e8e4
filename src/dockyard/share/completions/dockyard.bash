# Completion for bash: the programs themselves return what may follow.
_dockyard() {
    local IFS=$'\n'
    mapfile -t COMPREPLY < <("$1" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _dockyard d d-run d-build d-cowscan d-map
