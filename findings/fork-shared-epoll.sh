#!/bin/sh
# A child of fork that tidies up its copy of a watch deafens its parent.
#
# Versions: Debian 12: lua-luv 1.44.2-0-1 (libuv1 1.44.2-1+deb12u1), lua-event 0.4.6-2+b1 (libevent-2.1-7
#   2.1.12-stable-8+deb12u1), lua-posix 33.4.0-3+b1, luajit 2.1.0~beta3+git20220320+dfsg-4.1+deb12u1.
# Guess: what a child stops or closes is its own copy. The parent goes on as it was.
# Seen: the epoll instance is shared. Both libraries take the descriptor out of it when a watch is stopped or
#   closed, and the parent's copy of the library believes that it still watches. A child that just ends does no
#   harm; a child that tidies up first does.
# Output: luv, child ends: event
#         luv, child stops: nothing
#         luaevent, child ends: event
#         luaevent, child closes: nothing
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    luajit=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-common=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    lua-posix=33.4.0-3+b1 \
    lua-luv=1.44.2-0-1 \
    libuv1=1.44.2-1+deb12u1 \
    lua-event=0.4.6-2+b1 \
    libevent-core-2.1-7=2.1.12-stable-8+deb12u1 \
    libevent-2.1-7=2.1.12-stable-8+deb12u1 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

cat >watch.lua <<'L'
local unistd, wait = require "posix.unistd", require "posix.sys.wait"
local library, verb = arg[1], arg[2]
local reader, writer = unistd.pipe()
local seen = "nothing"

-- The child does its part and is gone before there is anything to read.
local function fork_and_write(tidy)
    local child = unistd.fork()
    if child == 0 then
        if verb ~= "ends" then tidy() end
        unistd._exit(0)
    end
    wait.wait(child)
    unistd.write(writer, "x")
end

if library == "luv" then
    local uv = require "luv"
    local poll = uv.new_poll(reader)
    poll:start("r", function() seen = "event"; uv.stop() end)
    uv.run "nowait" -- The watch enters epoll when the loop first runs.
    fork_and_write(function() poll:stop() end)
    uv.new_timer():start(1000, 0, uv.stop)
    uv.run()
else
    local event = require "luaevent.core"
    local base = event.new()
    local watch = base:addevent(reader, event.EV_READ, function() seen = "event"; return event.LEAVE end)
    fork_and_write(function() watch:close() end)
    base:addevent(nil, event.EV_TIMEOUT, function() base:loopexit(0); return event.LEAVE end, 1)
    base:loop()
end
print(library .. ", child " .. verb .. ": " .. seen)
L
library=$work/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="$library" LUA_CPATH="$library/lua/5.1/?.so"
export LUA_PATH="$work/root/usr/share/lua/5.1/?.lua;$work/root/usr/share/lua/5.1/?/init.lua"
for arguments in 'luv ends' 'luv stops' 'luaevent ends' 'luaevent closes'; do
    # shellcheck disable=SC2086 # two words
    root/usr/bin/luajit watch.lua $arguments
done >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
