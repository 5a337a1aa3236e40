#!/bin/sh
# A program under catatonit, an init for containers, cannot be stopped from the keyboard.
#
# Versions: Debian 12: catatonit 0.1.7-1+b2, tini 0.19.0-1+b3.
# Guess: an init blocks signals for itself to wait for them, and restores the mask in its child, as tini does.
# Seen: the child keeps SIGTSTP, SIGTTIN and SIGTTOU blocked. SIGTSTP stays pending for ever, in all its
#   descendants that do not unblock it: neither Ctrl-Z nor kill -TSTP stops them.
# Output: tini      SigBlk: 0000000000000000, state after SIGTSTP: T
#         catatonit SigBlk: 0000000000380000, state after SIGTSTP: S
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    catatonit=0.1.7-1+b2 \
    tini=0.19.0-1+b3 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

# Stop a sleeping child, wait until the signal is pending or has stopped it, tell its state.
cat >child.sh <<'S'
mask=$(sed -n 's/^SigBlk:.//p' /proc/self/status)
sleep 60 &
until grep -q '^State:.S' "/proc/$!/status" && [ "$(cat "/proc/$!/comm")" = sleep ]; do :; done
kill -TSTP "$!"
until grep -Eq '^State:.T|^ShdPnd:.*80000$' "/proc/$!/status"; do :; done
state=$(sed -n 's/^State:.\(.\).*/\1/p' "/proc/$!/status")
kill -KILL "$!"
printf '%-9s SigBlk: %s, state after SIGTSTP: %s\n' "$1" "$mask" "$state"
S
{
    root/usr/bin/tini -s -- timeout --foreground 20 sh child.sh tini
    root/usr/bin/catatonit -- timeout --foreground 20 sh child.sh catatonit
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
