#!/bin/sh
# unsquashfs succeeds when a file that it was told to extract is not in the image.
#
# Version: Debian 12: squashfs-tools 1:4.5.1-1.
# Guess: a complaint and a status other than 0, as from tar and cpio -- and as from unsquashfs itself with -cat.
# Seen: not a word, status 0, and an empty directory. A firmware's build that takes one file out of an image,
#   and misspells it, notices nothing here. mksquashfs is strict in the same case.
# Output: extract: status 0, 0 files, 0 words
#         -cat: status 2
#         mksquashfs: status 1
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
echo word >tree/present
root/usr/bin/mksquashfs tree image -quiet -no-progress >/dev/null
status() {
    status=0
    "$@" >text 2>&1 || status=$?
    echo "status $status"
}
{
    echo "extract: $(status root/usr/bin/unsquashfs -quiet -no-progress -dest out image absent)," \
        "$(find out -type f | wc -l) files, $(wc -w <text) words"
    echo "-cat: $(status root/usr/bin/unsquashfs -quiet -no-progress -cat image absent)"
    echo "mksquashfs: $(status root/usr/bin/mksquashfs tree absent other -quiet -no-progress)"
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
