-- Package: lua-lgi
-- Modules: lgi
-- Luas: 5.1 5.2 5.3 luajit
--
-- A child, its output and its end, in a thread of Gio's and in its loop.
local lgi = require "lgi"
local GLib, Gio = lgi.GLib, lgi.Gio
local loop = GLib.MainLoop()
local child = Gio.Subprocess.new({ "sh", "-c", "echo from the child; exit 3" }, { "STDOUT_PIPE" })
child:communicate_async(nil, nil, function(_, result)
  local out = child:communicate_finish(result)
  print(out:get_data(), child:get_exit_status())
  loop:quit()
end)
loop:run()
print(GLib.get_user_name() ~= nil)
