-- Package: lua-logging
-- Modules: logging logging.file logging.console
-- Luas: 5.1 5.2 luajit
--
-- To a file and to the console.
local logger = require "logging.file"("x.log", nil, "%level %message\n")
logger:info "one"
logger:error("two %d", 2)
io.write(io.open "x.log":read "*a")
local console = require "logging.console" "%level %message\n"
console:warn "three"
