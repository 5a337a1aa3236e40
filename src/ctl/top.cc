#include "ctl/top.h"

#include "base/kernel.h"
#include "base/unique_fd.h"
#include "ctl/answer.h"
#include "ctl/fail.h"
#include "ctl/table.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr int kBetweenTables = 1000;  // milliseconds

termios keyboard_before;
bool keyboard_changed = false;

void print(const char* text) {
  // A terminal that is gone needs nothing any more.
  [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, text, strlen(text));
}

// However this program ends.
void restore_terminal() {
  print("\033[?25h\033[?1049l");  // the cursor, and what was there before
  if (keyboard_changed) tcsetattr(STDIN_FILENO, TCSAFLUSH, &keyboard_before);
}

// A screen of its own; keys come at once, are not shown, and send no signals.
void take_terminal() {
  if (atexit(restore_terminal) != 0) fail("not enough memory");
  if (tcgetattr(STDIN_FILENO, &keyboard_before) == 0) {
    termios keyboard = keyboard_before;
    keyboard.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
    keyboard_changed = tcsetattr(STDIN_FILENO, TCSAFLUSH, &keyboard) == 0;
  }
  print("\033[?1049h\033[?25l");
}

// Shows as many lines as there are rows, over those that were there.
void show(const Text& table, int rows) {
  Text screen;
  screen.add("\033[H");
  const char* line = table.bytes();
  for (int row = 1; *line != '\0'; row++) {
    const size_t length = strcspn(line, "\n");
    screen.add(line, length);
    screen.add("\033[K");
    line += length;
    if (*line == '\0' || row == rows) break;
    line++;
    if (*line != '\0') screen.add("\r\n");
  }
  screen.add("\033[J");
  if (!screen.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
}

int open_signals() {
  kernel::SignalSet ends = kernel::SignalSet::of(SIGINT);
  ends.add(SIGTERM);
  ends.add(SIGHUP);
  kernel::change_mask(SIG_BLOCK, &ends, nullptr);
  const int signals = kernel::open_signalfd(ends);
  if (signals < 0) fail("signalfd: %s", strerror(errno));
  return signals;
}

// A signal as a shell tells of it.
int status_of(int signals) {
  signalfd_siginfo info = {};
  if (read(signals, &info, sizeof info) != sizeof info) return EXIT_SUCCESS;
  return 128 + static_cast<int>(info.ssi_signo);
}

bool is_end(char key) {
  constexpr char kInterrupt = 'C' & 0x1f;
  constexpr char kEndOfFile = 'D' & 0x1f;
  return key == 'q' || key == 'Q' || key == kInterrupt || key == kEndOfFile;
}

// Whether it is time for the next table; else `status` is that of this program.
bool wait_for_next(int signals, int& status) {
  pollfd events[] = {{signals, POLLIN, 0}, {keyboard_changed ? STDIN_FILENO : -1, POLLIN, 0}};
  const int count = poll(events, 2, kBetweenTables);
  if (count <= 0) return true;
  if (events[0].revents != 0) {
    status = status_of(signals);
    return false;
  }
  char key = 0;
  if (read(STDIN_FILENO, &key, 1) == 1 && !is_end(key)) return true;
  status = EXIT_SUCCESS;
  return false;
}

}  // namespace

int watch(const protocol::SocketAddress& address) {
  Answer answer;
  protocol::Problem problem;
  Text table;
  const bool on_terminal = is_on_terminal();
  const Colours its_colours = colours();
  bool answered = ask(address, answer, problem);
  if (!answered) fail("%s", printable(problem).bytes());
  const UniqueFd signals(open_signals());
  if (on_terminal) take_terminal();
  int status = EXIT_SUCCESS;
  do {
    const Size size = size_of_terminal();
    table.cut(0);
    if (answered) {
      add_table(table, answer, address.un.sun_path, its_colours, size.columns, true);
    } else {
      table.add(printable(problem));
    }
    if (on_terminal) {
      show(table, size.rows);
    } else {
      table.add("\n");
      if (!table.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
    }
    if (!wait_for_next(signals.get(), status)) break;
    answered = ask(address, answer, problem);
  } while (answered || on_terminal);
  if (!answered && !on_terminal) fail("%s", printable(problem).bytes());
  return status;
}

}  // namespace moonlet::ctl
