#!/bin/sh
# mini-httpd puts what a CGI program says on standard error into the header of its response.
#
# Versions: Debian 12: mini-httpd 1.30-3, busybox-static 1:1.35.0-4+deb12u1+b1 (the client, and a server to
#   compare).
# Guess: standard error goes to the server's own or to its log, as with busybox httpd and lighttpd.
# Seen: standard error is the pipe of standard output. A warning before the header becomes a line of it, here
#   one without a colon. So a Lua script whose module warns works under one small server and is garbled under
#   another.
# Output: busybox: HTTP/1.1 200 OK|Content-Type: text/plain||body|
#         mini-httpd: HTTP/1.0 200 OK|a warning|Content-Type: text/plain||body|
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    mini-httpd=1.30-3 \
    busybox-static=1:1.35.0-4+deb12u1+b1 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

mkdir -p www/cgi-bin
cat >www/cgi-bin/warns <<'S'
#!/bin/sh
echo 'a warning' >&2
printf 'Content-Type: text/plain\r\n\r\nbody\n'
S
chmod +x www/cgi-bin/warns
request() { printf 'GET /cgi-bin/warns HTTP/1.0\r\n\r\n'; }
busybox=root/bin/busybox

user=$(id -un)
port=20000
server=
trap 'if [ -n "$server" ]; then kill "$server" || :; fi; rm -rf "$work"' EXIT
# A taken port ends the server; a free one makes it answer.
until [ -s answer ]; do
    if [ -z "$server" ] || ! kill -0 "$server" 2>/dev/null; then
        port=$((port + 1))
        [ "$port" -lt 20100 ] || exit 2
        root/usr/sbin/mini_httpd -D -h 127.0.0.1 -p "$port" -d www -c 'cgi-bin/*' -u "$user" 2>/dev/null &
        server=$!
    fi
    request | "$busybox" nc 127.0.0.1 "$port" >answer 2>/dev/null || :
done
{
    printf 'busybox: '
    request | "$busybox" httpd -i -h www 2>/dev/null | tr -d '\r' | tr '\n' '|'
    printf '\nmini-httpd: '
    tr -d '\r' <answer | tr '\n' '|'
    echo
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
