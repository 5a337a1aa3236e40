// Launches in flight: starts them, reads what it writes, does to it what its kind asks for, and compares its
// end with what it must be.
#pragma once

#include "kinds.h"
#include "moonletd.h"

#include <sys/types.h>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace moonlet::load {

/// How a launch gets its warm Lua.
enum class Way {
  kForked,  ///< moonletctl run: a child of the moonletd
  kThawed,  ///< moonlet: its own process
};

struct Launch {
  const Kind* kind = nullptr;
  Way way = Way::kForked;
  uint64_t number = 0;
  std::string line;
  pid_t pid = 0;
  int input = -1;         // our end; the script waits for its end
  int output = -1;        // our end; standard output and error of the script
  uint64_t written = 0;   // bytes of output
  bool garbled = false;   // one of them was not what it must be
  std::string beginning;  // of the output, to be shown then
  bool done = false;      // the deed
  int64_t when_us = -1;   // for a deed at any moment: then
  bool reaped = false;
  int status = 0;  // wait status
  int stops = 0;
};

struct Tally {
  uint64_t launches = 0, wrong = 0;
};

class Driver {
 public:
  /// Scripts are written to `directory`, what runs them is in `programs`.
  Driver(const std::string& programs, std::string directory);

  void start(const Kind& kind, Way way, uint64_t number, Moonletd& moonletd, Random& random);

  /// Waits for something to happen, and takes it. False after SIGINT, SIGTERM or SIGHUP, after the end of a
  /// process that was to live, and if nothing has happened for a minute.
  [[nodiscard]] bool step();

  /// From now on launches that have written their line wait, until release().
  void hold() { holding_ = true; }
  void release(Random& random);

  [[nodiscard]] size_t in_flight() const { return launches_.size(); }
  /// Of these, how many have begun to write.
  [[nodiscard]] int writing() const;
  /// The launches of a kind that have ended.
  [[nodiscard]] Tally tally(const Kind& kind, Way way) const;
  [[nodiscard]] uint64_t wrong() const;

  /// Kills the clients that are left, and lets go of their scripts.
  void end_all();

 private:
  void read_output(Launch& launch);
  void close_output(Launch& launch);
  void do_deed(Launch& launch);
  void do_due_deeds();
  bool reap();
  void finish(Launch& launch);

  std::string moonletctl_, moonlet_, directory_;
  std::map<const Kind*, std::string> scripts_;
  std::unordered_map<pid_t, std::unique_ptr<Launch>> launches_;
  std::vector<Launch*> sometime_;  // whose deed has its moment still to come
  std::map<std::pair<const Kind*, Way>, Tally> tallies_;
  std::vector<char> buffer_ = std::vector<char>(1 << 17);
  int events_ = -1, signals_ = -1;
  bool holding_ = false;
};

}  // namespace moonlet::load
