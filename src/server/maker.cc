#include "server/maker.h"

#include "base/hash.h"
#include "child/log.h"
#include "server/options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

constexpr unsigned kMostParts = 32;  // of the output, in the log: 64 KB

}  // namespace

bool Maker::prepare(const Options& options, const char* image, int directory, const kernel::SignalSet& mask) {
  static char name[] = "moonletd";  // what errors of the warm-up begin with
  static char freeze[] = "--freeze";
  static char trust[] = "--trust";
  directory_ = directory;
  mask_ = mask;
  megabytes_ = static_cast<uint64_t>(options.warm_up_megabytes);
  argv_ = static_cast<char**>(calloc(static_cast<size_t>(options.argc) + 4, sizeof *argv_));
  if (argv_ == nullptr) return false;
  char** at = argv_;
  *at++ = name;
  *at++ = freeze;
  *at++ = const_cast<char*>(image);
  if (options.trust) *at++ = trust;
  for (int i = 1; i < options.argc; i++) *at++ = options.argv[i];
  return true;
}

void Maker::become(int output, pid_t keeper) const {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // of its own only: what it has started is another's child
  if (getppid() != keeper) _exit(EXIT_FAILURE);
  dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  // Not RLIMIT_AS: an image's place is drawn in a mapping of all that there is, without memory.
  const kernel::Limit limit = {megabytes_ << 20, megabytes_ << 20};
  if (megabytes_ != 0) kernel::limit(RLIMIT_DATA, &limit, nullptr);
  kernel::change_mask(SIG_SETMASK, &mask_, nullptr);
  syscall(SYS_execveat, directory_, "moonlet", argv_, environ, 0);
  log_to(STDERR_FILENO);
  log_line("exec moonlet, beside moonletd: %m");
  _exit(EXIT_FAILURE);
}

bool Maker::start() {
  int ends[2];
  said_ = 0;
  // One that has failed with much to say is in the log already.
  most_parts_ = last_failure_ != 0 && parts_ != 0 ? 0 : kMostParts;
  parts_ = 0;
  if (pipe2(ends, O_CLOEXEC) == 0) {
    output_.reset(ends[0]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    const pid_t keeper = getpid();
    pid_ = fork();
    if (pid_ == 0) become(ends[1], keeper);
    const int error = errno;
    close(ends[1]);
    errno = error;
    if (pid_ > 0) return true;
  }
  log_line("start the warm-up: %m");
  pid_ = 0;
  return false;
}

void Maker::listen() {
  ssize_t got = 0;
  // As much as a pipe holds: it may say more all the time.
  for (unsigned i = 0; i < kMostParts; i++) {
    got = read(output_.get(), text_ + said_, sizeof text_ - said_);
    if (got <= 0) break;
    said_ += static_cast<size_t>(got);
    if (said_ < sizeof text_) continue;
    // What an error says is followed by what was still in a buffer of its own.
    if (parts_ < most_parts_) log_text(text_, kPart);
    if (parts_ == most_parts_) log_line("too much output: its end follows");
    if (parts_ <= most_parts_) parts_++;
    said_ -= kPart;
    memmove(text_, text_ + kPart, said_);
  }
  if (got == 0) output_.reset();
}

void Maker::kill() {
  ::kill(pid_, SIGKILL);  // it may not have made its group yet
  ::kill(-pid_, SIGKILL);
}

void Maker::end() {
  kill();
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

bool Maker::has_ended(int& status) {
  siginfo_t info = {};
  // It keeps its number until it is reaped.
  if (pid_ == 0 || waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0)
    return false;
  kill();
  waitpid(pid_, &status, 0);
  pid_ = 0;
  listen();
  output_.reset();
  return true;
}

bool Maker::report(bool has_failed, char* words, size_t size) {
  const uint32_t hash_of_text = hash(kHashBasis, text_, said_);
  const bool is_known = has_failed && hash_of_text == last_failure_ && parts_ == 0;
  last_failure_ = has_failed ? hash_of_text : 0;
  if (!is_known) log_text(text_, said_);
  // An error begins with the name of a program; what it is about comes first, the traceback later.
  const char* best = text_;
  const char* const end = text_ + said_;
  for (const char* line = text_; line < end;) {
    if (strncmp(line, "moonlet", 7) == 0) {
      best = line;
      break;
    }
    const void* const newline = memchr(line, '\n', static_cast<size_t>(end - line));
    line = newline != nullptr ? static_cast<const char*>(newline) + 1 : end;
  }
  size_t length = 0;
  while (best + length < end && best[length] != '\n' && length < size - 1) length++;
  memcpy(words, best, length);
  words[length] = '\0';
  return !is_known;
}

}  // namespace moonlet::server
