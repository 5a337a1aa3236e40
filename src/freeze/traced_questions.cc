#include "freeze/traced_questions.h"

#include "freeze/files.h"
#include "freeze/traced_calls.h"
#include "freeze/world.h"
#include "image/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

namespace {

using image::Asked;
using image::FileStatus;
using image::Follow;

constexpr size_t kPath = 4096;  // PATH_MAX: longer ones the kernel refuses

struct Path {
  char text[2 * kPath + 2];
};

// Puts what /proc tells of the process in front of the relative path at the end of `path`.
bool put_in_front(Tracee* tracee, const char* of, char* relative, Path* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/%s", static_cast<int>(tracee->pid), of);
  char directory[kPath];
  const ssize_t length = readlink(link, directory, sizeof directory);
  if (length <= 0 || length == static_cast<ssize_t>(sizeof directory) || directory[0] != '/') return false;
  const size_t rest = strlen(relative) + 1;
  memmove(path->text + length + 1, relative, rest);
  memcpy(path->text, directory, static_cast<size_t>(length));
  path->text[length] = '/';
  return true;
}

// Reads a path as the call has it, and makes it one that leads to the same from this process' directory. false:
// it is none.
bool read_path(Log* log, Tracee* tracee, const CallMade& made, const Call& call, Path* path) {
  char* text = path->text + kPath + 1;
  if (!read_text(tracee->pid, made.argument[call.path], text, kPath) || *text == '\0') return false;
  const int directory =
      call.directory == kNoArgument ? AT_FDCWD : static_cast<int>(made.argument[call.directory]);
  char of[32] = "cwd";
  if (*text == '/' || (directory == AT_FDCWD && !tracee->has_moved)) {
    memmove(path->text, text, strlen(text) + 1);
    return true;
  }
  if (directory != AT_FDCWD) snprintf(of, sizeof of, "fd/%d", directory);
  if (put_in_front(tracee, of, text, path)) return true;
  if (directory == AT_FDCWD) log->add_problem(Matter::kHidden, text);
  return false;  // the descriptor is none, and the call fails
}

// Whether the descriptor is one that the warm-up was started with, as this process has it still; or one that
// neither has.
bool is_inherited(const Tracee* tracee, int fd) {
  FileStatus mine, its;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", static_cast<int>(tracee->pid), fd);
  const int own = image::look(fd, "", Follow::kYes, &mine);
  if (image::look(AT_FDCWD, path, Follow::kYes, &its) == 0)
    return own == 0 && image::identity(mine) == image::identity(its);
  // It is not open, or nothing can be known of it: a question more does no harm.
  *strrchr(path, '/') = '\0';
  return own == EBADF || image::look(AT_FDCWD, path, Follow::kYes, &its) != 0;
}

void ask_connection(Log* log, const Tracee* tracee, unsigned long address) {
  sockaddr_un name = {};
  read_memory(tracee->pid, address, &name, sizeof name - 1);
  char words[32];
  switch (name.sun_family) {
    case AF_UNIX: {
      // Services that might be there (nscd's), and are not: a question like another one.
      FileStatus status;
      if (name.sun_path[0] == '/' && image::look(AT_FDCWD, name.sun_path, Follow::kYes, &status) != 0)
        return ask_path(log, Asks::kStat, name.sun_path, 0, tracee->process);
      return log->add_problem(Matter::kConnection,
                              name.sun_path[0] != '\0' ? name.sun_path : name.sun_path + 1);
    }
    case AF_UNSPEC:
      return;
    case AF_INET:
    case AF_INET6:
      return log->add_problem(Matter::kConnection, "the network");
    default:
      snprintf(words, sizeof words, "address family %d", name.sun_family);
      log->add_problem(Matter::kConnection, words);
  }
}

void ask_path_as(Log* log, Tracee* tracee, const CallMade& made, const Call& call, unsigned long flags) {
  Path path;
  if (!read_path(log, tracee, made, call, &path)) return;
  if (call.asks == Asks::kOpenHow) {
    uint64_t how = 0;  // the first member of struct open_how
    read_memory(tracee->pid, flags, &how, sizeof how);
    return ask_path(log, Asks::kOpen, path.text, static_cast<unsigned long>(how), tracee->process);
  }
  ask_path(log, call.asks, path.text, flags, tracee->process);
  if (call.asks != Asks::kEnter) return;
  // Names relative to it are recorded by where that is now.
  if (path.text[0] != '/') ask_fact(log, Asks::kWhere);
  tracee->has_moved = true;
}

void ask_terminal(Log* log, const Tracee* tracee, int fd, unsigned request) {
  // A filter lets no other request come here.
  if (request != TCGETS && request != kTerminalSettings2 && request != TIOCGWINSZ) return;
#if defined(__GLIBC__)
  const uint32_t details = request == TIOCGWINSZ ? image::kWindowSize : 0U;
#else
  const uint32_t details = 0;  // that is how musl's isatty(3) asks; those who call ioctl(2) are seen there
#endif
  if (fd >= 0 && is_inherited(tracee, fd))
    ask_world(log, Asked::kTerminal, static_cast<uint32_t>(fd) | details);
}

}  // namespace

void ask_as(Log* log, Tracee* tracee, const CallMade& made) {
  const TracedCall* table = kTracedCalls;
  while (table < kTracedCalls + kTracedCallCount && table->number != made.number) table++;
  if (table == kTracedCalls + kTracedCallCount) return;
  const Call& call = table->call;
  const unsigned long first = call.path == kNoArgument ? 0 : made.argument[call.path];
  const unsigned long second = call.flags == kNoArgument ? 0 : made.argument[call.flags];
  switch (call.asks) {
    case Asks::kMove:
      tracee->has_moved = true;
      return;
    case Asks::kWhere:
      if (!tracee->has_moved) ask_fact(log, Asks::kWhere);
      return;
    case Asks::kTerminal:
      return ask_terminal(log, tracee, static_cast<int>(first), static_cast<unsigned>(second));
    case Asks::kSetLimit:
      if (second == 0) ask_fact(log, Asks::kLimit, first);
      return;
    case Asks::kHost:
    case Asks::kUser:
    case Asks::kProcessors:
    case Asks::kLimit:
      return ask_fact(log, call.asks, first);
    case Asks::kConnection:
      return ask_connection(log, tracee, second);
    case Asks::kInput:
      if (first == 0 && is_inherited(tracee, 0)) log->add_problem(Matter::kStandardInput, "standard input");
      return;
    case Asks::kRandomNumbers:
      // glibc's malloc draws one word, GRND_NONBLOCK, to recognize what it has freed.
      if (first != sizeof(long) || second != 1) log->add_problem(Matter::kRandom, kGetrandom);
      return;
    case Asks::kHidden:
      return log->add_problem(Matter::kHidden, "io_uring, a file by its handle, or in another root");
    default:
      return ask_path_as(log, tracee, made, call, second);
  }
}

void has_executed(Log* log, Tracee* tracee) {
  tracee->has_executed = true;
  char link[64];
  char program[kPath];
  snprintf(link, sizeof link, "/proc/%d/exe", static_cast<int>(tracee->pid));
  const ssize_t length = readlink(link, program, sizeof program - 1);
  program[length < 0 ? 0 : length] = '\0';
  log->add_problem(Matter::kChildProcess, program);
  ask_environment(log);
}

}  // namespace moonlet::freeze::questions
