# fish completion of ctsim, made by `ctsim completion fish`. What can come next is asked of ctsim itself.
function __ctsim_complete
    set -l current (commandline -ct)
    set -l words (commandline -opc) "$current"
    for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
        set -l parts (string split -m 1 \t -- $line)
        switch $parts[1]
            case :files
                __fish_complete_path (string replace -r '^-[^=]*=' '' -- "$current")
            case :dirs
                __fish_complete_directories (string replace -r '^-[^=]*=' '' -- "$current")
            case '*'
                echo $line
        end
    end
end
complete -c ctsim -f -a '(__ctsim_complete)'
