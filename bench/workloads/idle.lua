-- idle.lua SECONDS MODULE...: loads the modules, churns garbage for some seconds of processor time, says that it is
-- ready, and sits idle until its standard input ends.
for i = 2, #arg do require(arg[i]) end
local seconds, begun = tonumber(arg[1]), os.clock()
local kept, i = {}, 0
while os.clock() - begun < seconds do
  i = i + 1
  local words = {}
  for j = 1, 20 do words[j] = "word " .. i .. " " .. j end
  kept[i % 100] = {number = i, text = table.concat(words, ",")}
end
io.write("ready\n")
io.flush()
io.read("a")
