-- Package: lua-systemd
-- Modules: systemd.id128 systemd.daemon systemd.journal
-- Luas: 5.1 5.2 5.3 luajit
--
-- Ids, and that nobody listens to notifications.
local id128, daemon, journal = require "systemd.id128", require "systemd.daemon", require "systemd.journal"
print(tostring(id128.from_string "00000000000000000000000000000001"), id128.randomize() ~= id128.randomize())
print(daemon.notify(false, "READY=1"), daemon.listen_fds(), daemon.booted())
print(type(journal.print))
