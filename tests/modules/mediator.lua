-- Package: lua-mediator
-- Modules: mediator
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- Who has subscribed is told.
local mediator = require "mediator"()
mediator:subscribe({ "a", "b" }, function(what) print("b", what) end)
mediator:subscribe({ "a" }, function(what) print("a", what) end, { priority = 1 })
mediator:publish({ "a", "b" }, "news")
