#!/bin/sh
# Of two packages of one busybox version, one runs the ls in PATH and the other its own.
#
# Versions: Debian 12: busybox and busybox-static 1:1.35.0-4+deb12u1+b1.
# Guess: the two differ in how they are linked and in some applets; both find a program in PATH, as any shell
#   does. At the latest exec, env, xargs and find -exec do, which are there to start a program.
# Seen: the static one prefers its applets everywhere, whatever PATH says, while its `which` still names the
#   file in PATH. A wrapper that comes first in PATH is passed over without a word; only a name with a slash
#   reaches it.
# Output: shared: sh wrapper, exec wrapper, env wrapper, xargs wrapper, find wrapper, slash wrapper, which wrapper
#         static: sh applet, exec applet, env applet, xargs applet, find applet, slash wrapper, which wrapper
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    busybox-static=1:1.35.0-4+deb12u1+b1 \
    busybox=1:1.35.0-4+deb12u1+b1 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

dpkg-deb -x busybox-static_*.deb static
dpkg-deb -x busybox_*.deb shared
mkdir listed
touch listed/applet
cat >try.sh <<'S'
cd listed
which=$(which ls)
[ "$which" = "$PATH/ls" ] && which=wrapper
echo "sh $(ls), exec $(exec ls), env $(env ls), xargs $(echo . | xargs ls)," \
    "find $(find . -type d -exec ls {} \;), slash $("$PATH/ls"), which $which"
S
for package in shared static; do
    mkdir "bin-$package"
    printf '#!/bin/sh\necho wrapper\n' >"bin-$package/ls"
    chmod +x "bin-$package/ls"
    for applet in env find which xargs; do ln -s "$work/$package/bin/busybox" "bin-$package/$applet"; done
    printf '%s: ' "$package"
    PATH="$work/bin-$package" "$package/bin/busybox" sh try.sh
done >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
