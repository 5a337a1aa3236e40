-- Package: lua-orbit
-- Modules: orbit
-- Luas: 5.1 luajit
--
-- HTML by functions.
local orbit = require "orbit"
local app = orbit.new()
local function page() return html { body { p "text" } } end
orbit.htmlify(page)
print(page(), type(app.dispatch_get))
