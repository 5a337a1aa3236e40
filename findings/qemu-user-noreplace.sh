#!/bin/sh
# Under qemu-user a mapping with MAP_FIXED_NOREPLACE at a taken address succeeds somewhere else.
#
# Versions: Debian 12: qemu-user-static 1:7.2+dfsg-7+deb12u18+b3, luajit
#   2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 (runs on x86-64).
# Guess: EEXIST, as on Linux since 4.17; the flag is years older than this emulator.
# Seen: the flag is dropped, which leaves a plain hint, as on kernels before 4.17. The manual page tells
#   programs to compare the address for the sake of those kernels; who left that out because they are gone still
#   needs it here.
# Output: kernel: EEXIST
#         qemu: mapped elsewhere
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

cat >map.lua <<'L'
local ffi = require "ffi"
ffi.cdef "void *mmap(void *, size_t, int, int, int, long);"
local function map(address, flags) return ffi.C.mmap(address, 4096, 3, 0x22 + flags, -1, 0) end
local taken = map(nil, 0)
local second = map(taken, 0x100000)
if ffi.cast("intptr_t", second) == -1 then
    print(ffi.errno() == 17 and "EEXIST" or "another error")
else
    print(second == taken and "replaced" or "mapped elsewhere")
end
L
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"
{
    printf 'kernel: '
    root/usr/bin/luajit map.lua
    printf 'qemu: '
    root/usr/bin/qemu-x86_64-static root/usr/bin/luajit map.lua
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
