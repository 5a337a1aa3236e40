#include "ctl/top.h"

#include "base/kernel.h"
#include "base/unique_fd.h"
#include "ctl/answer.h"
#include "ctl/fail.h"
#include "ctl/scripts.h"
#include "ctl/table.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
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

// What a screen begins with, and which keys there are.
struct Window {
  int first = 0;  // line of the table
  int page = 1;   // lines that are shown
  int lines = 0;  // of the table
  Order order = Order::kAsStarted;

  void scroll(int by) {
    const int last = lines > page ? lines - page : 0;
    first = first + by < 0 ? 0 : first + by > last ? last : first + by;
  }
};

int count_lines(const char* text) {
  int count = 0;
  for (; *text != '\0'; text++) count += *text == '\n' ? 1 : 0;
  return count;
}

// What is typed, and what is left out: as much of that as there is room for.
Text line_of_keys(const Window& window, int columns) {
  Text shown;
  if (window.lines > window.page)
    shown.format("%d-%d of %d  ", window.first + 1, window.first + window.page, window.lines);
  constexpr const char* kKeys[] = {"q quit", "a age", "m memory", "s start", "arrows scroll"};
  for (const char* key : kKeys) {
    if (static_cast<int>(shown.size() + strlen(key)) > columns) break;
    shown.add(key);
    shown.add("  ");
  }
  while (shown.size() > 0 && shown.bytes()[shown.size() - 1] == ' ') shown.cut(shown.size() - 1);
  return shown;
}

// Shows as many lines as there are rows but one, and which keys there are, over what was there.
void show(const Text& table, Window& window, const Size& size, const Colours& its_colours) {
  Text screen;
  screen.add("\033[H");
  window.lines = count_lines(table.bytes());
  window.page = size.rows > 1 ? size.rows - 1 : 1;
  window.scroll(0);
  const char* line = table.bytes();
  for (int row = -window.first; *line != '\0' && row < window.page; row++) {
    const size_t length = strcspn(line, "\n");
    if (row >= 0) {
      screen.add(line, length);
      screen.add("\033[K\r\n");
    }
    line += length;
    if (*line != '\0') line++;
  }
  screen.add("\033[J");
  if (size.rows > 1) {
    screen.format("\033[%d;1H%s", size.rows, its_colours.label);
    screen.add(line_of_keys(window, size.columns));
    screen.add(its_colours.off);
  }
  if (!screen.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
}

int open_signals() {
  kernel::SignalSet ends = kernel::SignalSet::of(SIGINT);
  ends.add(SIGTERM);
  ends.add(SIGHUP);
  ends.add(SIGWINCH);
  kernel::change_mask(SIG_BLOCK, &ends, nullptr);
  const int signals = kernel::open_signalfd(ends);
  if (signals < 0) fail("signalfd: %s", strerror(errno));
  return signals;
}

// Whether a signal ends this program, as a shell tells of it. The terminal has another size after others.
bool take_signal(int signals, int& status) {
  signalfd_siginfo info = {};
  if (read(signals, &info, sizeof info) != sizeof info || info.ssi_signo == SIGWINCH) return false;
  status = 128 + static_cast<int>(info.ssi_signo);
  return true;
}

bool is_end(char key) {
  constexpr char kInterrupt = 'C' & 0x1f;
  constexpr char kEndOfFile = 'D' & 0x1f;
  return key == 'q' || key == 'Q' || key == kInterrupt || key == kEndOfFile;
}

// What a key does. Whoever types faster than this reads has several there at once.
bool take_keys(Window& window) {
  char keys[64];
  const ssize_t got = read(STDIN_FILENO, keys, sizeof keys);
  if (got <= 0) return false;
  constexpr char kEscape = '\033';
  for (ssize_t i = 0; i < got; i++) {
    char key = keys[i];
    if (key == kEscape && i + 2 < got && (keys[i + 1] == '[' || keys[i + 1] == 'O')) {
      // The names of the keys on a terminal: up, down, home and end; page up and page down with a tilde behind.
      constexpr char kMeaning[][2] = {{'A', 'k'}, {'B', 'j'}, {'H', 'g'}, {'F', 'G'}, {'5', 'b'}, {'6', ' '}};
      const char code = keys[i + 2];
      i += 2;
      if (i + 1 < got && keys[i + 1] == '~') i++;
      key = '\0';
      for (const auto& it : kMeaning) {
        if (it[0] == code) key = it[1];
      }
    }
    if (is_end(key)) return false;
    if (key == 'k') window.scroll(-1);
    if (key == 'j') window.scroll(1);
    if (key == 'b') window.scroll(-window.page);
    if (key == ' ') window.scroll(window.page);
    if (key == 'g') window.scroll(-window.lines);
    if (key == 'G') window.scroll(window.lines);
    if (key == 'a') window.order = Order::kByAge;
    if (key == 'm') window.order = Order::kByMemory;
    if (key == 's') window.order = Order::kAsStarted;
  }
  return true;
}

// Whether it is time for the next table; else `status` is that of this program.
bool wait_for_next(int signals, Window& window, int& status) {
  pollfd events[] = {{signals, POLLIN, 0}, {keyboard_changed ? STDIN_FILENO : -1, POLLIN, 0}};
  const int count = poll(events, 2, kBetweenTables);
  if (count <= 0) return true;
  status = EXIT_SUCCESS;
  if (events[0].revents != 0) return !take_signal(signals, status);
  return take_keys(window);
}

double seconds() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// How many launches there were in a second. A key brings a table before one is over: then as before.
class Rate {
 public:
  // Of the same moonletd, or of another one.
  double update(uint32_t launches, pid_t pid) {
    constexpr double kLeast = 0.9;  // seconds
    const double now = seconds();
    if (pid != pid_) {
      rate_ = -1;
    } else if (now - then_ >= kLeast) {
      rate_ = (launches - launches_) / (now - then_);
    } else {
      return rate_;
    }
    pid_ = pid;
    then_ = now;
    launches_ = launches;
    return rate_;
  }

 private:
  pid_t pid_ = -1;
  double then_ = 0;
  double rate_ = -1;
  uint32_t launches_ = 0;
};

}  // namespace

int watch(const protocol::SocketAddress& address) {
  Answer answer;
  protocol::Problem problem;
  Text table;
  const bool on_terminal = is_on_terminal();
  const Colours its_colours = colours();
  Window window;
  Rate rate;
  bool answered = ask(address, answer, problem);
  if (!answered) fail("%s", printable(problem).bytes());
  const UniqueFd signals(open_signals());
  if (on_terminal) take_terminal();
  int status = EXIT_SUCCESS;
  do {
    const Size size = size_of_terminal();
    table.cut(0);
    if (answered) {
      const double per_second = rate.update(answer.counts.launches, answer.pid);
      add_table(table, answer, address.un.sun_path,
                {its_colours, size.columns, true, window.order, per_second});
    } else {
      table.add(printable(problem));
      table.add("\n");
    }
    if (on_terminal) {
      show(table, window, size, its_colours);
    } else {
      table.add("\n");
      if (!table.write_to(STDOUT_FILENO)) fail("write: %s", strerror(errno));
    }
    if (!wait_for_next(signals.get(), window, status)) break;
    answered = ask(address, answer, problem);
  } while (answered || on_terminal);
  if (!answered && !on_terminal) fail("%s", printable(problem).bytes());
  return status;
}

}  // namespace moonlet::ctl
