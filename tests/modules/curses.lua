-- Package: lua-curses
-- Modules: curses
-- Luas: 5.1 5.2 5.3 luajit
-- Terminal: yes
--
-- A window of a terminal.
local curses = require "curses"
local screen = curses.initscr()
curses.cbreak()
curses.echo(false)
screen:clear()
screen:mvaddstr(2, 3, "warm")
screen:refresh()
local rows, columns = screen:getmaxyx()
curses.endwin()
print(rows, columns)
