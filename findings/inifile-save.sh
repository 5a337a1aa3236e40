#!/bin/sh
# lua-inifile's save leaves the writing of the file to the garbage collector: who reads it at once finds it empty.
#
# Versions: Debian 12: lua-inifile 1.0-3, luajit 2.1.0~beta3+git20220320+dfsg-4.1+deb12u1.
# Guess: when save has returned, the file has its content, or save has raised an error.
# Seen: save opens the file, writes to it and drops it. The text lies in the stream's buffer until the file is
#   collected, or until the state is closed. parse after save returns no sections and no error. A script that ends by
#   os.exit without closing the state leaves whatever fits in the buffer to the C library's exit, and one that
#   is killed leaves an empty file.
# Output: at once: nil, 0 bytes
#         after a collection: value, 17 bytes
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    luajit=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-common=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    lua-inifile=1.0-3 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

cat >save.lua <<'L'
local inifile = require "inifile"
local function see(when)
    local part = inifile.parse("x.ini").part
    local file = io.open("x.ini")
    print(("%s: %s, %d bytes"):format(when, part and part.key, file:seek("end")))
    file:close()
end
inifile.save("x.ini", { part = { key = "value" } })
see "at once"
collectgarbage()
see "after a collection"
L
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu" LUA_PATH="$work/root/usr/share/lua/5.1/?.lua"
root/usr/bin/luajit save.lua >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
