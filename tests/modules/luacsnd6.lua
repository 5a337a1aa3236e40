-- Package: lua-luacsnd6
-- Modules: luaCsnd6
-- Luas: 5.1 luajit
--
-- A sound that nobody hears.
require "luaCsnd6"
local csound = luaCsnd6.Csound()
csound:SetOption "-n"
csound:SetOption "-m0"
csound:CompileOrc "sr=44100\nksmps=32\nnchnls=1\n0dbfs=1\ninstr 1\na1 oscil 0.1, 440\nout a1\nendin"
csound:ReadScore "i1 0 0.1"
print(csound:Start())
local blocks = 0
while csound:PerformKsmps() == 0 and blocks < 100 do blocks = blocks + 1 end
print(blocks)
