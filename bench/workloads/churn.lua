-- churn.lua AMOUNT: makes and drops strings and tables, keeping the last hundred.
local kept = {}
for i = 1, tonumber(arg[1]) do
  local words = {}
  for j = 1, 20 do words[j] = "word " .. i .. " " .. j end
  kept[i % 100] = {number = i, text = table.concat(words, ",")}
end
