#!/bin/sh
# LuaJIT ends the process, through every pcall, when the kernel refuses to make memory executable.
#
# Versions: Debian 12: luajit 2.1.0~beta3+git20220320+dfsg-4.1+deb12u1. Needs Linux 6.3 for PR_SET_MDWE.
# Guess: a loop that cannot be compiled goes on in the interpreter. At worst there is an error that pcall
#   catches.
# Seen: the first hot loop ends the process with status 1 and a PANIC, also inside pcall: it is the panic
#   function that is called. With PR_SET_MDWE, which a service has from systemd's MemoryDenyWriteExecute, a
#   script runs until something in it becomes hot.
# Output: 10 rounds: true, status 0
#         10000 rounds: PANIC: unprotected error in call to Lua API (runtime code generation failed, restricted kernel?), status 1
#         10000 rounds with -joff: true, status 0
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    luajit=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-common=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

cat >hot.lua <<'L'
local ffi = require "ffi"
ffi.cdef "int prctl(int, ...);"
local none = ffi.cast("long", 0)
if ffi.C.prctl(65, ffi.cast("long", 1), none, none, none) ~= 0 then os.exit(2) end
io.write(tostring(pcall(function()
    local sum = 0
    for i = 1, tonumber(arg[1]) do sum = sum + i end
end)))
L
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"
run() {
    label=$1
    shift
    status=0
    root/usr/bin/luajit "$@" >text 2>&1 || status=$?
    [ "$status" -ne 2 ] || exit 2
    echo "$label: $(cat text), status $status"
}
{
    run '10 rounds' hot.lua 10
    run '10000 rounds' hot.lua 10000
    run '10000 rounds with -joff' -joff hot.lua 10000
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
