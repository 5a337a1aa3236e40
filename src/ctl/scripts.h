// The scripts that run in an image: those that moonletd has forked, as it tells, and those that were thawed by
// moonlet itself, as /proc shows them.
#pragma once

#include "ctl/answer.h"
#include "protocol/running_script.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace moonlet::ctl {

struct Script {
  pid_t pid;
  pid_t client;  // 0: it is its own
  uid_t uid;
  uint32_t age;     // seconds
  bool is_current;  // it runs in the image that there is now, or in one that that has replaced. Of thawed ones
  protocol::RunningScript seen;
};

enum class Order { kAsStarted, kByAge, kByMemory };

/// Scripts that can be seen from here.
class Scripts {
 public:
  Scripts() = default;
  Scripts(const Scripts&) = delete;
  Scripts& operator=(const Scripts&) = delete;
  ~Scripts();

  /// Adds those that moonletd has forked.
  void add_forked(const Answer& answer);

  /// Adds those in whose memory the image of `answer` lies, or one that lay there before it, and which are no
  /// children of moonletd. Processes of the program moonlet alone are looked at; of others than this user's
  /// root alone sees any.
  void add_thawed(const Answer& answer);

  void sort(Order order);

  [[nodiscard]] const Script* begin() const { return script_; }
  [[nodiscard]] const Script* end() const { return script_ + count_; }
  [[nodiscard]] unsigned count() const { return static_cast<unsigned>(count_); }

 private:
  Script& add();

  Script* script_ = nullptr;
  size_t count_ = 0;
  size_t capacity_ = 0;
};

}  // namespace moonlet::ctl
