-- Package: lua-lpeg
-- Modules: lpeg re
-- Luas: 5.1 5.2 5.3 5.4 luajit
--
-- A grammar by LPeg and one by re.
local lpeg, re = require "lpeg", require "re"
local number = lpeg.R "09" ^ 1 / tonumber
local sum = lpeg.Cf(number * (lpeg.P "+" * number) ^ 0, function(a, b) return a + b end)
print(sum:match "1+20+300")
print(re.match("key = value", "{ %a+ } ' = ' { %a+ }"))
print(table.concat(re.compile "{| ({%a+} ' '*)* |}":match "a bc def", "-"))
print(pcall(re.compile, "{"))
