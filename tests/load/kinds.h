// The kinds of launches: what each script does, what is done to it, and how it must end.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace moonlet::load {

/// What happens to a launch once it has written its first line.
enum class Deed {
  kNothing,
  kEndInput,           ///< its input ends
  kKill,               ///< its client is killed, and the script must die of it
  kTerminate,          ///< SIGTERM to the client
  kCloseReader,        ///< nobody reads its output any more
  kKillSometime,       ///< SIGKILL to the client at any moment, also before the first line
  kTerminateSometime,  ///< the same with SIGTERM
};

/// How many lines the script writes, each its number, if nothing happens to it.
enum class Lines { kOne, kMegabyte, kEndless };

struct Kind {
  const char* name;
  int weight;          ///< how many of a thousand launches
  const char* script;  ///< gets the launch's number as its argument
  Deed deed;
  int status;     ///< exit status; kOfNumber: the launch's number modulo 256
  int signal;     ///< the end by this signal instead, if not 0
  int stops = 0;  ///< how often the client stops, and is continued
  Lines lines = Lines::kOne;
  const char* prefix = "";  ///< of the line
};

constexpr int kOfNumber = -1;

/// What launches are drawn from.
std::span<const Kind> mixed_kinds();

/// The same for a crowd: these write a line and wait for the end of their input.
std::span<const Kind> crowd_kinds();

/// The line that launch `number` must write.
std::string line_of(const Kind& kind, uint64_t number);

/// How many of them.
uint64_t lines_of(const Kind& kind, const std::string& line);

/// Random numbers that a seed repeats (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  /// Uniform enough below `bound`.
  uint64_t below(uint64_t bound);

 private:
  uint64_t state_;
};

/// One of `kinds`, by their weights.
const Kind& draw(std::span<const Kind> kinds, Random& random);

}  // namespace moonlet::load
