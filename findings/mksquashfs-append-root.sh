#!/bin/sh
# mksquashfs makes the root directory of an image writable by all when a file is appended to the image.
#
# Version: Debian 12: squashfs-tools 1:4.5.1-1.
# Guess: appending adds the file and leaves the image's root directory as it is. So says the manual page: the old root
#   directory stays the root, with the new names in it.
# Seen: whatever mode it had, it has 0777 afterwards. Programs that look at the directories above a file, as sshd does
#   with a key, then see one that others may write. Where a directory is appended, the root gets that one's mode.
#   -root-mode names it.
# Output: made: drwxr-x---
#         file appended: drwxrwxrwx
#         directory appended: drwx--x--x
#         file appended, -root-mode 750: drwxr-x---
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    squashfs-tools=1:4.5.1-1 \
    liblzo2-2=2.10-2 \
    liblz4-1=1.9.4-1 \
    libzstd1=1.5.4+dfsg2-5 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu"
mkdir tree more
echo word >tree/one
echo word >more/two
echo word >three
chmod 750 tree
chmod 711 more
squash() { root/usr/bin/mksquashfs "$@" -quiet -no-progress -all-root >/dev/null; }
show() { echo "$1: $(root/usr/bin/unsquashfs -lls "$2" | sed -n 's/^\(d[^ ]*\) .*squashfs-root$/\1/p')"; }
squash tree image
{
    show made image
    cp image with-file
    squash three with-file
    show "file appended" with-file
    cp image with-directory
    squash more with-directory
    show "directory appended" with-directory
    cp image with-mode
    squash three with-mode -root-mode 750
    show "file appended, -root-mode 750" with-mode
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
