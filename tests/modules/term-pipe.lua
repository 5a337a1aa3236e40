-- Package: lua-term
-- Modules: term
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Where there is no terminal.
local term = require "term"
print(term.isatty(io.stdout), term.isatty(io.stdin))
