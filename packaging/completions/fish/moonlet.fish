# fish's completion of moonlet, moonletctl, moonletd and moonlet-bench: installed under the name of each, it is that one's.
set -l program (string replace .fish '' -- (status basename))
set -l kind (string replace -r '(5\.[1-5]|jit)$' '' -- $program)
set -l own __moonlet_option
test $kind = moonlet; and set own '__moonlet_option own'

# Whether it is moonletctl run.
function __moonlet_runs
    set -l words (commandline -opc)
    test (count $words) -gt 1; and string match -qr '(^|/)moonletctl(5\.[1-5]|jit)?$' -- $words[1]; and test $words[2] = run
end

# Whether an option can stand here; with an argument, whether one of moonlet's own can, which come before lua's.
function __moonlet_option
    set -l words (commandline -opc)
    set -l i 2
    __moonlet_runs; and set i 3
    while test $i -le (count $words)
        switch $words[$i]
            case --help --version --status --top --reload --images --forget --trust '--*=*'
            case - -- '[^-]*' ''
                return 1
            case '--*' -e -l
                set -q argv[1]; and not string match -q -- '--*' $words[$i]; and return 1
                set i (math $i + 1)
            case '-*'
                set -q argv[1]; and return 1
            case '*'
                return 1
        end
        set i (math $i + 1)
    end
end

# The modules that -l finds, as far as one level below what is typed. No Lua runs for it: that would run LUA_INIT too.
function __moonlet_modules --argument-names program
    set -l lua (string match -rg '\(Lua ([0-9.]+)\)' -- (command $program --version 2>/dev/null); or echo 5.1)
    set -l typed (string replace -r '^-l' '' -- (commandline -ct) | string replace -a . /)
    string match -qr '[^A-Za-z0-9_/-]' -- $typed; and return
    set -l shared {/usr/local,/usr}/share/lua/$lua/'?' './?'
    set -l native /usr/local/lib/lua/$lua /usr/lib/*/lua/$lua /usr/lib/lua/$lua .
    set -l path
    for name in LUA_PATH LUA_CPATH
        set -l default $shared.lua $shared/init.lua
        test $name = LUA_CPATH; and set default $native/'?.so'
        set -l value ';;'
        set -q $name; and set value $$name
        set -l versioned {$name}_(string replace . _ $lua)
        set -q $versioned; and set value $$versioned
        set -a path (string split ';' -- (string replace ';;' ";$(string join ';' -- $default);" -- $value))
    end
    for template in (string match -r '.*[?].*' -- $path)
        set -l parts (string split -m 1 '?' -- $template)
        for file in $parts[1]$typed*$parts[2] $parts[1]$typed*/*$parts[2]
            test -f $file; or continue
            set -l name (string sub -s (math 1 + (string length -- $parts[1])) -e -(string length -- $parts[2]) -- $file)
            string replace -a / . -- $name
        end
    end | string match -rv '[^A-Za-z0-9_.-]|\.init$' | sort -u
end

test $kind = moonletctl; and set own 'not __moonlet_runs; and __moonlet_option'
complete -c $program -n $own -l help -d 'Show a short text'
complete -c $program -n $own -l version -d 'Show the version'
switch $kind
    case moonlet-bench
        complete -c $program -n __moonlet_option -l runs -x -d 'Launch each so many times'
        complete -c $program -n __moonlet_option -l warmup -x -d 'Launch each so many times before'
        complete -c $program -n __moonlet_option -l export-json -r -F -d 'Where to write the figures for programs'
        complete -c $program -n __moonlet_option -l lua -r -a '(__fish_complete_command)' -d 'The interpreter to compare with'
        complete -c $program -n __moonlet_option -l moonlet -r -a '(__fish_complete_command)' -d 'The client to measure'
        complete -c $program -n __moonlet_option -l image -r -F -d 'What moonlet thaws'
        complete -c $program -n __moonlet_option -l contenders -r -F -d 'Measure what a file lists'
        complete -c $program -n __moonlet_option -l csv -r -F -d 'Where to write a line for each launch'
        complete -c $program -n __moonlet_option -l before -x -d 'Launch this contender before each of the others'
        complete -c $program -n __moonlet_option -l concurrency -x -d 'Launches to keep in flight'
        complete -c $program -n __moonlet_option -l seconds -x -d 'How long for each contender'
        complete -c $program -n __moonlet_option -a '(__fish_complete_command)'
    case moonletd
        complete -c $program -n __moonlet_option -l socket -r -F -d 'Listen on this socket'
        complete -c $program -n __moonlet_option -l mode -x -a '0600 0660 0666' -d 'Permissions of the socket'
        complete -c $program -n __moonlet_option -l max -x -d 'Scripts at once'
        complete -c $program -n __moonlet_option -l warm-up-time -x -d 'Seconds that the warm-up may take'
        complete -c $program -n __moonlet_option -l warm-up-memory -x -d 'Megabytes that the warm-up may have'
        complete -c $program -n __moonlet_option -l compare-clients -x -a '0 1' -d 'Whether to decline clients that are confined'
        complete -c $program -n __moonlet_option -l image -r -F -d 'Where to have the image made'
        complete -c $program -n __moonlet_option -l trust -d 'Watch no file for changes'
        complete -c $program -n __moonlet_option -l ready-fd -x -d 'Where to write a newline when serving'
    case moonlet moonletctl
        complete -c $program -n $own -l socket -r -F -d 'Where moonletd listens'
        complete -c $program -n $own -l status -d 'Show how moonletd is'
        complete -c $program -n $own -a --status=json -d 'Show it for programs'
        complete -c $program -n $own -l top -d 'Show it each second'
        complete -c $program -n $own -l reload -d 'Have the warm-up run anew'
        complete -c $program -n $own -l images -d 'Show which images of MOONLET_WARM there are'
        complete -c $program -n $own -l forget -d 'Remove them'
        complete -c $program -n $own -l wrap -x -a '(__fish_complete_command)' -d 'Write a file that starts a program with its modules warm'
end
if test $kind = moonletctl
    complete -c $program -n 'test (count (commandline -opc)) = 1' -x -a run -d 'Run a script through moonletd'
    complete -c $program -n '__moonlet_runs; and __moonlet_option own' -l socket -r -F -d 'Where moonletd listens'
    complete -c $program -n '__moonlet_runs; and __moonlet_option own' -l argv0 -x -d 'The name of the interpreter'
    complete -c $program -n '__moonlet_runs; and __moonlet_option' -o i -d 'Enter interactive mode'
end
if test $kind = moonlet
    complete -c $program -n $own -l image -r -F -d 'The image to thaw'
    complete -c $program -n $own -l argv0 -x -d 'The name of the interpreter'
    complete -c $program -n $own -l freeze -r -F -d 'Freeze what the script loads into an image'
    complete -c $program -n $own -l trust -d 'Have the image ask after no file'
    complete -c $program -n $own -l ignore -r -F -a '(set -nx)' -d 'Nor after this variable or path'
    complete -c $program -n $own -l leave-out -x -a "(__moonlet_modules $program)" -d 'Make the image without this module'
    complete -c $program -n __moonlet_option -o i -d 'Enter interactive mode'
end
# lua's options; of one dash and whole, since lua takes no -vE
set -l of_lua __moonlet_option
test $kind = moonletctl; and set of_lua '__moonlet_runs; and __moonlet_option'
complete -c $program -n $of_lua -o e -x -d 'Execute a statement'
complete -c $program -n $of_lua -o l -x -a "(__moonlet_modules $program)" -d 'Require a module'
complete -c $program -n "$of_lua"'; and string match -qr "^-l." -- (commandline -ct)' -x -a "-l(__moonlet_modules $program)"
test $kind = moonlet-bench; or complete -c $program -n $of_lua -o v -d 'Show version information'
complete -c $program -n $of_lua -o E -d 'Ignore environment variables'
complete -c $program -n $of_lua -o W -d 'Turn warnings on'
