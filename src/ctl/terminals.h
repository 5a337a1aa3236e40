// The standard descriptors of a launch, for who does something in its place and shall get the same answers
// about them.
#pragma once

#include "base/unique_fd.h"

#include <sys/ioctl.h>
#include <termios.h>

namespace moonlet::ctl {

class Terminals {
 public:
  static constexpr int kCount = 3;

  /// Looks which of the descriptors 0 to 2 are terminals, how large, and how they are set.
  void remember();

  /// Makes descriptors 0 to 2 anew: a terminal, of nobody, is one again, of that size and so set. Else 0 reads
  /// nothing, and 1 and 2 are a pipe. All that is written to them comes out of output(). False and errno if
  /// that cannot be.
  bool make_again();

  /// Where to read what is written to them: kOutputs descriptors, close-on-exec and nonblocking. Those that own
  /// none are of none.
  static constexpr int kOutputs = kCount + 1;
  [[nodiscard]] UniqueFd* output() { return output_; }

 private:
  struct Terminal {
    bool is_one = false;
    bool has_size = false;
    termios settings = {};
    winsize size = {};
  };

  bool make_terminal(int number);
  bool make_pipe();

  Terminal terminal_[kCount];
  UniqueFd output_[kOutputs];  // the last one is the pipe
};

}  // namespace moonlet::ctl
