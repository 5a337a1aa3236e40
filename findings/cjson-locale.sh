#!/bin/sh
# lua-cjson looks at the locale once, when it is loaded. After a later setlocale it reads and writes wrong JSON.
#
# Versions: Debian 12: lua-cjson 2.1.0+dfsg-2.2, locales 2.36-9+deb12u14, luajit
#   2.1.0~beta3+git20220320+dfsg-4.1+deb12u1.
# Guess: JSON has one decimal point, and the module, which has code for locales, sees to it at each call. LuaJIT
#   itself does.
# Seen: loaded before os.setlocale to one with a decimal comma, it writes [1,5], an array of two, and refuses
#   [1.5]. Loaded after it, both are right. cjson.new looks again, for the whole process. So it matters who calls
#   setlocale first, and a process that was warmed up before its scripts do so has a broken module.
# Output: before: LuaJIT 1.5, encoded [1,5], decoded false
#         after: LuaJIT 1.5, encoded [1.5], decoded true
#         before, then new: LuaJIT 1.5, encoded [1.5], decoded true
set -eu
script=$(readlink -f "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download \
    luajit=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    libluajit-5.1-common=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
    lua-cjson=2.1.0+dfsg-2.2 \
    locales=2.36-9+deb12u14 || exit 2
for archive in *.deb; do dpkg-deb -x "$archive" root; done

export LOCPATH="$work" I18NPATH="$work/root/usr/share/i18n"
localedef -i de_DE -f UTF-8 "$work/de_DE.UTF-8" 2>/dev/null || [ -d de_DE.UTF-8 ]
cat >json.lua <<'L'
local json = arg[1] ~= "after" and require "cjson"
assert(os.setlocale "de_DE.UTF-8")
json = json or require "cjson"
if arg[1] == "before, then new" then json.new() end
local encoded, decoded = json.encode { 1.5 }, pcall(json.decode, "[1.5]")
print(("%s: LuaJIT %s, encoded %s, decoded %s"):format(arg[1], 1.5, encoded, decoded))
L
library=$work/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH="$library" LUA_CPATH="$library/lua/5.1/?.so"
{
    root/usr/bin/luajit json.lua before
    root/usr/bin/luajit json.lua after
    root/usr/bin/luajit json.lua 'before, then new'
} >seen
cat seen
sed -n 's/^# Output: //p; s/^#         //p' "$script" | diff - seen
