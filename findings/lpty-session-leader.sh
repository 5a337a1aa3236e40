#!/bin/sh
# A script that leads its session, as what systemd, s6 or setsid(1) start does, dies of SIGHUP when it closes a terminal of
# lua-lpty's.
#
# Versions: Debian 12: lua-lpty 1.0.1-2, lua5.1 5.1.5-9.
# Guess: whoever opens a pseudoterminal for a child goes on when that is gone: it is the child's terminal.
# Seen: lpty.new opens both ends in the script's own process, the child's without O_NOCTTY. In a session that has no terminal
#   yet its leader gets this one. When the object is closed, or collected as garbage, the kernel hangs up the terminal of
#   that session, and its leader is sent SIGHUP: 129 for a shell. What it had written to a pipe and not flushed is lost.
#   The same script, started by a shell or in a pipeline, ends well.
# Output: in a session: hello, status 0
#         as its leader: nothing, status 129
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    lua5.1=5.1.5-9 liblua5.1-0=5.1.5-9 lua-lpty=1.0.1-2 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

cat >run.lua <<'L'
local terminal = require("lpty").new()
terminal:startproc("/bin/echo", "hello")
print((terminal:read(5):gsub("%s", "")))
while terminal:hasproc() do end
terminal = nil
collectgarbage()
collectgarbage()
L
libraries=$work/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="$libraries" LUA_CPATH="$libraries/lua/5.1/?.so"
try() { # WORDS COMMAND...
    words=$1 status=0
    shift
    timeout 60 "$@" root/usr/bin/lua5.1 run.lua >out 2>err </dev/null || status=$?
    said=$(cat out)
    echo "$words: ${said:-nothing}, status $status"
}
{
    try "in a session" env
    try "as its leader" setsid --wait
} >seen 2>/dev/null
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
