// The process that makes an image: moonlet --freeze, with the warm-up of moonletd's command line. Whatever that
// does, it is done in a session of its own, under limits, and ends with it.
#pragma once

#include "base/kernel.h"
#include "base/unique_fd.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/types.h>

namespace moonlet::server {

struct Options;

class Maker {
 public:
  Maker() = default;
  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;
  ~Maker() { free(argv_); }

  /// To be called once. `image`: path of the image, which must live on, as `options`. `directory`: a descriptor
  /// of the one that moonlet is in. `mask`: of blocked signals, for the warm-up. False without memory.
  bool prepare(const Options& options, const char* image, int directory, const kernel::SignalSet& mask);

  /// Starts it. False, and logged, if that cannot be.
  bool start();

  /// Process number while it runs, else 0.
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Readable when it says something; -1: nothing is to be heard.
  [[nodiscard]] int output() const { return output_.get(); }

  /// Reads what it has said, for the log. Of one that says much the log gets the beginning and the end.
  void listen();

  /// Kills it, and all that it has started in its session's process group. It is to be reaped then.
  void kill();

  /// Kills it, and waits for its end.
  void end();

  /// Whether it has ended; then all that was left in its process group is killed, and `status` is as waitpid(2)
  /// has it.
  bool has_ended(int& status);

  /// Writes to the log what it has said, and returns true; if it has failed, and has said what the last one
  /// that failed has said, it writes nothing and returns false. Copies the line that tells most of that to
  /// `words`, of `size` bytes: "" if it has said nothing.
  bool report(bool has_failed, char* words, size_t size);

 private:
  [[noreturn]] void become(int output, pid_t keeper) const;

  char** argv_ = nullptr;
  int directory_ = -1;
  uint64_t megabytes_ = 0;
  kernel::SignalSet mask_;
  pid_t pid_ = 0;
  UniqueFd output_;
  size_t said_ = 0;            // bytes in text_
  unsigned parts_ = 0;         // it has said before, which are in the log
  unsigned most_parts_ = 0;    // of them
  uint32_t last_failure_ = 0;  // hash of what the last one said that failed
  static constexpr size_t kPart = 2048;
  char text_[4 * kPart];  // begins with what it has said
};

}  // namespace moonlet::server
