-- Package: lua-lpty
-- Modules: lpty
-- Luas: 5.1 5.2 luajit
--
-- A child in a terminal of its own.
local lpty = require "lpty"
local pty = lpty.new { no_local_echo = true }
print(pty:startproc("sh", "-c", "tty >/dev/null && echo in a terminal; exit 3"))
local got = ""
while true do
  local text = pty:read(5)
  if not text then break end
  got = got .. text
  if got:find "terminal" then break end
end
print((got:gsub("\r", "")))
while pty:hasproc() do end
print(pty:exitstatus())
