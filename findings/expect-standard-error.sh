#!/bin/sh
# A program that expect spawns holds expect's standard error open, as descriptor 4.
#
# Versions: Debian 12: expect and tcl-expect 5.45.4-2+b1, libtcl8.6 8.6.13+dfsg-2.
# Guess: the program has the new terminal as descriptors 0 to 2 and nothing else of expect's.
# Seen: descriptor 4 is whatever was expect's standard error. A daemon that is started in the terminal, and that
#   closes its first three descriptors as it should, keeps a pipe there open: `expect ... 2>&1 | cat` does not
#   end before the daemon does.
# Output: 0 -> terminal
#         1 -> terminal
#         2 -> terminal
#         4 -> error
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    expect=5.45.4-2+b1 \
    tcl-expect=5.45.4-2+b1 \
    libtcl8.6=8.6.13+dfsg-2 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu" TCL_LIBRARY="$work/root/usr/share/tcltk/tcl8.6"
# Other descriptors may come from whoever started this script.
cat >list.sh <<'S'
ls -l /proc/$$/fd |
    sed -n -e 's|.* \([0-9]\) -> /dev/pts/.*|\1 -> terminal|p' -e 's|.* \([0-9]\) -> .*/error$|\1 -> error|p'
S
for number in 3 4 5 6 7 8 9; do eval "exec $number>&-"; done
root/usr/bin/expect -c 'log_user 0; spawn sh list.sh; log_user 1; expect eof' 2>error </dev/null |
    tr -d '\r' >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
