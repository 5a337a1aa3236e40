-- Package: lua-lgi
-- Modules: lgi
-- Luas: 5.1 5.2 5.3 luajit
--
-- A loop with a timeout, a file, a variant.
local lgi = require "lgi"
local GLib, Gio = lgi.GLib, lgi.Gio
local loop, left = GLib.MainLoop(), 2
GLib.timeout_add(GLib.PRIORITY_DEFAULT, 20, function()
  left = left - 1
  print("timeout", left)
  if left == 0 then loop:quit() end
  return left > 0
end)
loop:run()
local variant = GLib.Variant("a{sv}", { x = GLib.Variant("i", 3) })
print(variant:print(true))
print(GLib.file_set_contents("f", "text"))
print((Gio.File.new_for_path("f"):load_contents()))
print(Gio.File.new_for_path("/nonexistent"):load_contents())
