#include "ctl/attempt.h"

#include "protocol/warm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

// A log is this line, the warm-up, and what was printed.
constexpr char kFirstLine[] = "tries %u, failed %u, bytes %zu\n";
constexpr size_t kMostBytes = 256 << 10;

// As many as there are images of one warm-up come at once, if there is a use for each.
constexpr uint32_t kAtOnce = 4;
constexpr time_t kFirstDelay = 10;  // seconds

}  // namespace

time_t delay_of(const Attempt& attempt) {
  // A failure is not tried again at once.
  const uint32_t tries = attempt.has_failed && attempt.tries <= kAtOnce ? kAtOnce + 1 : attempt.tries;
  if (tries <= kAtOnce) return 0;
  const uint32_t doubled = tries - kAtOnce - 1;
  constexpr uint32_t kMostDoubled = 14;
  const time_t delay = doubled < kMostDoubled ? kFirstDelay << doubled : time_t{protocol::kLongestDelay};
  return delay < protocol::kLongestDelay ? delay : time_t{protocol::kLongestDelay};
}

void read_attempt(int fd, Attempt& attempt) {
  struct stat status = {};
  char* const bytes = static_cast<char*>(malloc(kMostBytes + 1));
  const ssize_t got = bytes != nullptr && fstat(fd, &status) == 0 ? pread(fd, bytes, kMostBytes, 0) : -1;
  unsigned tries = 0;
  unsigned failed = 0;
  size_t size = 0;
  if (got > 0) {
    bytes[got] = '\0';
    const char* const first = strchr(bytes, '\n');
    const size_t behind = first != nullptr ? static_cast<size_t>(first + 1 - bytes) : 0;
    const size_t rest = static_cast<size_t>(got) - behind;
    if (first != nullptr && sscanf(bytes, kFirstLine, &tries, &failed, &size) == 3 && size < rest) {
      attempt.tries = tries;
      attempt.has_failed = failed != 0;
      attempt.ended = status.st_ctim;
      attempt.next = status.st_mtim;
      attempt.warm_up.add(first + 1, size);
      attempt.output.add(first + 1 + size + 1, rest - size - 1);
    }
  }
  free(bytes);
}

void write_attempt(int fd, const Attempt& attempt) {
  Text log;
  log.format(kFirstLine, attempt.tries, attempt.has_failed ? 1U : 0U, attempt.warm_up.size());
  log.add(attempt.warm_up);
  log.add("\n");
  log.add(attempt.output);
  const size_t size = log.size() < kMostBytes ? log.size() : kMostBytes;
  // Written over the old one: the disk may be full.
  const ssize_t written = pwrite(fd, log.bytes(), size, 0);
  // An end of the old one that stays does no harm.
  [[maybe_unused]] const int cut = written > 0 ? ftruncate(fd, written) : 0;
  timespec times[2] = {};
  clock_gettime(CLOCK_REALTIME, &times[0]);
  times[1] = times[0];
  times[1].tv_sec += delay_of(attempt);
  futimens(fd, times);
}

}  // namespace moonlet::ctl
