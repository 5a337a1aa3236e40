// What a warm-up may leave behind that a fork cannot copy, or that all children would share.
#pragma once

namespace moonlet::zygote {

/// Remembers the descriptors that are open when it is made: before the warm-up.
class WarmState {
 public:
  enum Start { kOnlyStandard };

  WarmState();

  /// For a warm-up that began with the standard descriptors alone.
  explicit WarmState(Start);

  /// After the warm-up. Threads: logs their names and exits with 1, because a fork would take only one
  /// along. Descriptors: logs each, with what it is open on, and keeps it in children (become.h).
  void check() const;
};

/// Marks what the warm-up has left open, and any other descriptor that has come since WarmState was made, to be
/// closed by an exec.
void close_in_next_image();

}  // namespace moonlet::zygote
