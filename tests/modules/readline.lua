-- Package: lua-readline
-- Modules: readline
-- Luas: 5.1 5.2 5.3 5.4 luajit
-- Terminal: yes
--
-- Its settings and its history.
local readline = require "readline"
readline.set_options { histfile = "history", keeplines = 10 }
print(pcall(readline.set_readline_name, "tool"))
print(readline.handler_calls == nil, type(readline.readline))
readline.add_history "one"
print(readline.save_history())
