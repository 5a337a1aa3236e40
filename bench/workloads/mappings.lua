-- How many mappings a process has.
local count = 0
for _ in io.lines("/proc/self/maps") do count = count + 1 end
print(count)
