#!/bin/sh
# socat's EXEC starts a program with SIGPIPE ignored and three of socat's own sockets.
#
# Versions: Debian 12: socat 1.7.4.4-2.
# Guess: as under inetd: descriptors 0 to 2, signals as socat itself was given them.
# Seen: SIGPIPE is ignored, although socat began with it at its default. A script that relies on dying when its
#   peer has gone gets EPIPE instead and must look. Three sockets that are not the program's are open besides.
# Output: socat: SIGPIPE ignored 0 -> program: SIGPIPE ignored 1, sockets above 2: 3
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    socat=1.7.4.4-2 \
    libwrap0=7.6.q-32 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

cat >program.sh <<'S'
ignored=$(sed -n 's/^SigIgn:.*\(.\)...$/\1/p' /proc/self/status)
sockets=$(ls -l /proc/$$/fd | grep -c '[0-9]\{2,\}:[0-9]\{2\} [3-9] -> socket:')
echo "program: SIGPIPE ignored $((ignored & 1)), sockets above 2: $sockets"
S
cat >outer.sh <<'S'
ignored=$(sed -n 's/^SigIgn:.*\(.\)...$/\1/p' /proc/self/status)
printf 'socat: SIGPIPE ignored %d -> ' "$((ignored & 1))"
LD_LIBRARY_PATH=$PWD/root/usr/lib/x86_64-linux-gnu root/usr/bin/socat -u EXEC:'sh program.sh' STDOUT
S
for number in 3 4 5 6 7 8 9; do eval "exec $number>&-"; done
env --default-signal=PIPE sh outer.sh </dev/null | tee seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
