-- Package: lua-argparse
-- Modules: argparse
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A command line, and the help that names the script.
local parser = require "argparse"("tool", "Does things.")
parser:argument "input"
parser:option("-n --number", "A number.", "3"):convert(tonumber)
parser:flag "-v --verbose"
local args = parser:parse { "file", "-n", "4", "-v" }
print(args.input, args.number, args.verbose)
print(parser:get_help())
print(parser:pparse { "-x" })
