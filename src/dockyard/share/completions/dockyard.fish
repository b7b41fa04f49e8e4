# Completion for fish: the programs themselves return what may follow.
function __dockyard
    set -l words (commandline -opc) (commandline -ct)
    $words[1] --complete $words[2..-1] 2>/dev/null
end
for program in d d-run d-build d-cowscan d-map
    complete -c $program -a '(__dockyard)'
end
