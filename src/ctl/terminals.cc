#include "ctl/terminals.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

// Gives `fd` the number `number`, and closes it under its own.
bool move_to(int fd, int number) {
  if (fd < 0) return false;
  if (fd == number) return true;
  const bool moved = dup2(fd, number) == number;
  close(fd);
  return moved;
}

}  // namespace

void Terminals::remember() {
  for (int i = 0; i < kCount; i++) {
    Terminal& it = terminal_[i];
    it.is_one = tcgetattr(i, &it.settings) == 0;
    it.has_size = it.is_one && ioctl(i, TIOCGWINSZ, &it.size) == 0;
  }
}

bool Terminals::make_terminal(int number) {
  const Terminal& it = terminal_[number];
  UniqueFd& master = output_[number];
  master.reset(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  int its = 0;
  int locked = 0;
  if (!master.valid() || ioctl(master.get(), TIOCSPTLCK, &locked) != 0 ||
      ioctl(master.get(), TIOCGPTN, &its) != 0)
    return false;
  char path[32];
  snprintf(path, sizeof path, "/dev/pts/%d", its);
  if (!move_to(open(path, O_RDWR | O_NOCTTY), number)) return false;
  // Where a setting cannot be, the answers differ: then the image will not fit, and that is remembered.
  tcsetattr(number, TCSANOW, &it.settings);
  if (it.has_size) ioctl(number, TIOCSWINSZ, &it.size);
  return true;
}

bool Terminals::make_pipe() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  output_[kOutputs - 1].reset(ends[0]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  for (int i = STDOUT_FILENO; i < kCount; i++) {
    if (!terminal_[i].is_one && dup2(ends[1], i) != i) return false;
  }
  close(ends[1]);
  return true;
}

bool Terminals::make_again() {
  // None of what follows takes a number below 3 by itself.
  for (int i = 0; i < kCount; i++) {
    if (!move_to(open("/dev/null", O_RDWR), i)) return false;
  }
  for (int i = 0; i < kCount; i++) {
    if (terminal_[i].is_one && !make_terminal(i)) return false;
  }
  return (terminal_[STDOUT_FILENO].is_one && terminal_[STDERR_FILENO].is_one) || make_pipe();
}

}  // namespace moonlet::ctl
