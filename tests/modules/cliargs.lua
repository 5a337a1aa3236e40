-- Package: lua-cliargs
-- Modules: cliargs
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A command line.
local cli = require "cliargs"
cli:set_name "tool"
cli:argument("INPUT", "a file")
cli:option("-o, --output=FILE", "where", "out")
cli:flag("-q, --quiet", "says nothing")
local args = cli:parse { "-q", "--output=x", "in" }
print(args.INPUT, args.output, args.q)
print(cli.printer.generate_help())
