#!/bin/sh
# busybox httpd answers nothing at all when a CGI program says nothing, not even a status line.
#
# Version: Debian 12: busybox-static 1:1.35.0-4+deb12u1+b1.
# Guess: status 500 or 502, as from lighttpd, for a program that ends, or dies of a signal, without a word.
# Seen: the connection is closed without one byte. A client takes it for a broken connection and may send the
#   request again, and so start the program again. A program that says a single newline gets status 200.
# Output: silent: 0 bytes
#         killed: 0 bytes
#         newline: HTTP/1.1 200 OK
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    busybox-static=1:1.35.0-4+deb12u1+b1 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

mkdir -p www/cgi-bin
printf '#!/bin/sh\n' >www/cgi-bin/silent
# shellcheck disable=SC2016 # the program's own shell expands it
printf '#!/bin/sh\nkill -KILL $$\n' >www/cgi-bin/killed
printf '#!/bin/sh\necho\n' >www/cgi-bin/newline
chmod +x www/cgi-bin/*
# With -i the server takes one connection from its standard input.
get() { printf 'GET /cgi-bin/%s HTTP/1.0\r\n\r\n' "$1" | root/bin/busybox httpd -i -h www; }
{
    for name in silent killed; do
        get "$name" >answer
        echo "$name: $(wc -c <answer) bytes"
    done
    echo "newline: $(get newline | tr -d '\r' | head -n 1)"
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
