#!/bin/sh
# unsquashfs calls an image corrupted when it is to follow a relative link in it.
#
# Version: Debian 12: squashfs-tools 1:4.5.1-1.
# Guess: -cat of a link shows its target, and -follow extracts the target too, as the manual page says.
# Seen: any relative link, however plain, is taken for a loop of directories. Extraction without -follow, and
#   -cat of the target, are fine: nothing is wrong with the image.
# Output: -cat target: word
#         -cat link: File System corrupted: directory loop detected, status 2
#         -follow link: File System corrupted: directory loop detected, target missing
#         all: word
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
mkdir tree
echo word >tree/target
ln -s target tree/link
root/usr/bin/mksquashfs tree image -quiet -no-progress >/dev/null
unsquashfs() { root/usr/bin/unsquashfs -quiet -no-progress "$@"; }
{
    echo "-cat target: $(unsquashfs -cat image target)"
    status=0
    unsquashfs -cat image link >text 2>&1 || status=$?
    echo "-cat link: $(head -n 1 text), status $status"
    unsquashfs -follow -dest followed image link >text 2>&1 || :
    echo "-follow link: $(head -n 1 text), target $([ -e followed/target ] && echo there || echo missing)"
    unsquashfs -dest all image >/dev/null
    echo "all: $(cat all/link)"
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
