-- Package: lua-term
-- Modules: term term.colors term.cursor
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Terminal: yes
--
-- Colours and a cursor, in a terminal.
local term, colors = require "term", require "term.colors"
print(term.isatty(io.stdout), colors.red "red" .. colors.reset)
term.clear()
term.cursor["goto"](3, 2)
print "here"
