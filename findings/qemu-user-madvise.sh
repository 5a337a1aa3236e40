#!/bin/sh
# Under qemu-user madvise succeeds with any advice, and the one that wipes memory on fork does nothing.
#
# Versions: Debian 12: qemu-user-static 1:7.2+dfsg-7+deb12u18+b3, luajit
#   2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 (runs on x86-64).
# Guess: MADV_WIPEONFORK is passed on to the kernel, or refused with EINVAL as by a kernel that lacks it.
# Seen: the emulator answers 0, and the child of a fork still reads the memory. An advice that no kernel knows
#   gets 0 too. So a program that probes what the kernel can do finds a feature that is not there.
# Output: kernel: WIPEONFORK 0, child reads 0, unknown advice -1
#         qemu: WIPEONFORK 0, child reads 7, unknown advice 0
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

cat >advise.lua <<'L'
local ffi = require "ffi"
ffi.cdef [[
    void *mmap(void *, size_t, int, int, int, long); int madvise(void *, size_t, int);
    int fork(void); int waitpid(int, int *, int); void _exit(int);
]]
local C = ffi.C
local memory = ffi.cast("char *", C.mmap(nil, 4096, 3, 0x22, -1, 0)) -- read and write; private, anonymous
memory[0] = 7
local wipe = C.madvise(memory, 4096, 18)
local child = C.fork()
if child == 0 then C._exit(memory[0]) end
local status = ffi.new "int[1]"
C.waitpid(child, status, 0)
local unknown = C.madvise(memory, 4096, 9999)
print(("WIPEONFORK %d, child reads %d, unknown advice %d"):format(wipe, status[0] / 256, unknown))
L
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"
{
    printf 'kernel: '
    root/usr/bin/luajit advise.lua
    printf 'qemu: '
    root/usr/bin/qemu-x86_64-static root/usr/bin/luajit advise.lua
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
