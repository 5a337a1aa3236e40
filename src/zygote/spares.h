// Children that are forked ahead of the launches that they are for. A spare has done all that needs no request,
// and waits at its end of a socket pair to be handed a connection. One that waits when the zygote ends, however
// that may be, ends too.
#pragma once

#include "zygote/serve.h"

#include <stdint.h>

namespace moonlet::zygote {

// More than anybody has processors for.
constexpr int kMaxSpares = 1000;

class Spares {
 public:
  // Never destroyed: the zygote ends with its process.
  Spares() = default;
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;

  /// To be called first. How many shall wait, at most kMaxSpares.
  void begin(int wanted) {
    wanted_ = wanted;
    count_ = delay_ = 0;  // of a child: they were its zygote's
  }

  /// Milliseconds for which nothing else may happen until fork_one() is due, or -1 if no spare is missing. It
  /// is not due at once after a launch began, because the fork would compete with that for a processor.
  [[nodiscard]] int delay() const;

  /// A launch has ended: a missing spare is due now.
  void hurry();

  [[nodiscard]] uint32_t waiting() const { return static_cast<uint32_t>(count_); }

  /// Forks a spare. In it, returns the end of the pair to give to receive_launch(); in the zygote -1. A failed
  /// fork is logged, and tried again a second later.
  int fork_one();

  /// Hands `launch` to a spare, whose pid it returns; 0 if none waits. The connection stays open here too.
  pid_t hand_over(const Accepted& launch);

  /// Notes that `pid` has ended. True if it was a spare: it will be replaced, in a second.
  bool reaped(pid_t pid);

 private:
  struct Spare {
    pid_t pid;
    int channel;
  };

  void forget(int index);

  int wanted_ = 0;
  int count_ = 0;
  int delay_ = 0;
  Spare spare_[kMaxSpares] = {};
};

/// In a spare: waits on `channel` for its launch, and closes it. Ends the process if the zygote is gone.
Accepted receive_launch(int channel);

}  // namespace moonlet::zygote
