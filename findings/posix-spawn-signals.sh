#!/bin/sh
# glibc's system and popen leave two signals ignored in the program that they start.
#
# Versions: Debian 12: libc6 2.36-9+deb12u14, lua5.4 5.4.4-3+deb12u1, musl 1.2.3-1. gcc must be installed.
# Guess: os.execute and io.popen give a program the dispositions of signals that fork and exec give it: its
#   parent's.
# Seen: signals 32 and 33 are ignored. glibc keeps them for its threads. Both functions start the program by
#   posix_spawn, which ignores these two and does not set them back. All descendants inherit that, so SigIgn in
#   /proc/PID/status tells who was started by system or popen. musl's system leaves no trace.
# Output: fork    0000000000000000
#         execute 0000000180000000
#         popen   0000000180000000
#         musl    0000000000000000
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    lua5.4=5.4.4-3+deb12u1 \
    libreadline8=8.2-1.3 \
    libc6=2.36-9+deb12u14 \
    musl-dev=1.2.3-1 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

# Who started this script may have been started by system: set back all signals, also those that libc refuses.
cat >plain.c <<'C'
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    static const long standard[4];
    for (int number = 1; number <= 64; number++) syscall(SYS_rt_sigaction, number, standard, (void *)0, 8);
    return argc < 2 || execvp(argv[1], argv + 1);
}
C
cat >musl.c <<'C'
#include <stdlib.h>
int main(void) { return system("sed -n 's/^SigIgn:./musl    /p' /proc/self/status"); }
C
gcc -o plain plain.c
musl=root/usr/lib/x86_64-linux-musl
gcc -static -nostdlib -nostdinc -isystem root/usr/include/x86_64-linux-musl -o musl \
    "$musl/crt1.o" musl.c "$musl/libc.a"
lib=root/lib/x86_64-linux-gnu
cat >spawn.lua <<'L'
os.execute("sed -n 's/^SigIgn:./execute /p' /proc/self/status")
io.write(io.popen("sed -n 's/^SigIgn:./popen   /p' /proc/self/status"):read("a"))
L
{
    ./plain sed -n 's/^SigIgn:./fork    /p' /proc/self/status
    ./plain "$lib/ld-linux-x86-64.so.2" --library-path "$lib:root/usr/lib/x86_64-linux-gnu" \
        root/usr/bin/lua5.4 spawn.lua
    ./plain ./musl
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
