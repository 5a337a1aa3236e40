#!/bin/sh
# Under qemu-user /proc/self shows the emulated process and /proc/thread-self the emulator.
#
# Versions: Debian 12: qemu-user-static 1:7.2+dfsg-7+deb12u18+b3, luajit
#   2.1.0~beta3+git20220320+dfsg-4.1+deb12u1.
# Guess: where the emulator makes up a file of /proc/self, it does so for all its names.
# Seen: /proc/self/maps and /proc/PID/maps are made up. /proc/thread-self/maps and /proc/self/task/TID/maps are
#   the host's, with addresses that mean nothing to the guest. In /proc/self/stat, made up too, the state and
#   the process group are 0.
# Output: self/maps: luajit
#         PID/maps: luajit
#         thread-self/maps: qemu
#         self/task/TID/maps: qemu
#         self/stat: state 0, group 0
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    luajit=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-common=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    qemu-user-static=1:7.2+dfsg-7+deb12u18+b3 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

cat >maps.lua <<'L'
local ffi = require "ffi"
ffi.cdef "int getpid(void);"
local pid = ffi.C.getpid()
local function read(name)
    local file = assert(io.open("/proc/" .. name))
    local text = file:read "*a"
    file:close()
    return text
end
for _, name in ipairs { "self/maps", "PID/maps", "thread-self/maps", "self/task/TID/maps" } do
    local maps = read((name:gsub("[PT]ID", pid)))
    local shown = maps:find "qemu%-x86_64" and "qemu" or maps:find "bin/luajit" and "luajit" or "neither"
    print(name .. ": " .. shown)
end
print(("self/stat: state %s, group %s"):format(read("self/stat"):match "%) (%S+) %S+ (%S+)"))
L
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"
root/usr/bin/qemu-x86_64-static root/usr/bin/luajit maps.lua >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
