#include "kinds.h"

#include <csignal>

namespace moonlet::load {

namespace {

constexpr char kWrite[] = "io.write(arg[1], '\\n')";
constexpr char kWait[] = "io.write(arg[1], '\\n') io.stdout:flush() io.read() os.exit(tonumber(arg[1]) % 256)";

constexpr Kind kMixed[] = {
    {"returns", 330, kWrite, Deed::kNothing, 0, 0},
    {"os.exit(n)", 170, "io.write(arg[1], '\\n') os.exit(tonumber(arg[1]) % 256)", Deed::kNothing, kOfNumber,
     0},
    {"os.exit(n, true)", 50, "io.write(arg[1], '\\n') os.exit(tonumber(arg[1]) % 256, true)", Deed::kNothing,
     kOfNumber, 0},
    {"error", 100, "error(setmetatable({}, {__tostring = function() return arg[1] end}))", Deed::kNothing, 1, 0,
     0, Lines::kOne, "lua: "},
    {"much memory", 20,
     "local t = {} for i = 1, 50000 do t[i] = {i} end if #t == 50000 then io.write(arg[1], '\\n') end",
     Deed::kNothing, 0, 0},
    {"crashes", 60, "io.write(arg[1], '\\n') io.stdout:flush() require 'probe'.crash()", Deed::kNothing, 0,
     SIGSEGV},
    {"kills itself", 40,
     "local probe = require 'probe' io.write(arg[1], '\\n') io.stdout:flush() probe.kill(probe.pid(), 9)",
     Deed::kNothing, 0, SIGKILL},
    {"client killed", 60, kWait, Deed::kKill, 0, SIGKILL},
    {"SIGTERM", 40, kWait, Deed::kTerminate, 0, SIGTERM},
    {"SIGTERM, caught", 30,
     "local probe = require 'probe' probe.catch(15) io.write(arg[1], '\\n') io.stdout:flush() "
     "if probe.next_signal() == 15 then os.exit(tonumber(arg[1]) % 256) end",
     Deed::kTerminate, kOfNumber, 0},
    {"stops, is continued", 10,
     "local probe = require 'probe' probe.kill(probe.pid(), 19) io.write(arg[1], '\\n')", Deed::kNothing, 0, 0,
     1},
    {"1 MB of output", 15, "local line = arg[1] .. '\\n' io.write(line:rep(2 ^ 20 // #line))", Deed::kNothing,
     0, 0, 0, Lines::kMegabyte},
    {"exec", 25,
     "require 'probe'.exec('/bin/sh', '-c', 'echo $0; exit $1', arg[1], tostring(tonumber(arg[1]) % 256))",
     Deed::kNothing, kOfNumber, 0},
    {"os.execute", 15,
     "local _, _, n = os.execute('exit ' .. tonumber(arg[1]) % 256) io.write(arg[1], '\\n') os.exit(n)",
     Deed::kNothing, kOfNumber, 0},
    {"reader leaves", 15,
     "local line = arg[1] .. '\\n' io.write(line) io.stdout:flush() while true do io.write(line:rep(1000)) end",
     Deed::kCloseReader, 0, SIGPIPE, 0, Lines::kEndless},
    {"SIGKILL at any moment", 10, kWrite, Deed::kKillSometime, 0, SIGKILL},
    {"SIGTERM at any moment", 10, kWrite, Deed::kTerminateSometime, 0, SIGTERM},
};

constexpr Kind kCrowd[] = {
    {"in a crowd", 500, kWait, Deed::kEndInput, kOfNumber, 0},
    {"in a crowd, client killed", 150, kWait, Deed::kKill, 0, SIGKILL},
    {"in a crowd, SIGTERM", 150, kWait, Deed::kTerminate, 0, SIGTERM},
    // When the crowd is let go: most of these wait for their turn then.
    {"in a crowd, SIGKILL at any moment", 100, kWait, Deed::kKillSometime, 0, SIGKILL},
    {"in a crowd, SIGTERM at any moment", 100, kWait, Deed::kTerminateSometime, 0, SIGTERM},
};

}  // namespace

std::span<const Kind> mixed_kinds() { return kMixed; }
std::span<const Kind> crowd_kinds() { return kCrowd; }

std::string line_of(const Kind& kind, uint64_t number) { return kind.prefix + std::to_string(number) + "\n"; }

uint64_t lines_of(const Kind& kind, const std::string& line) {
  switch (kind.lines) {
    case Lines::kOne:
      return 1;
    case Lines::kMegabyte:
      return (1U << 20) / line.size();
    case Lines::kEndless:
      break;
  }
  return UINT64_MAX / line.size();
}

uint64_t Random::below(uint64_t bound) {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (z ^ (z >> 31)) % bound;
}

const Kind& draw(std::span<const Kind> kinds, Random& random) {
  uint64_t point = random.below(1000);
  size_t i = 0;
  while (i + 1 < kinds.size() && point >= static_cast<uint64_t>(kinds[i].weight)) {
    point -= static_cast<uint64_t>(kinds[i].weight);
    i++;
  }
  return kinds[i];
}

}  // namespace moonlet::load
