#include "zygote/launches.h"

#include "protocol/protocol.h"
#include "zygote/log.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// Room to begin with, and how much is given back when a crowd has left.
constexpr int kUsual = 16;
constexpr int kCrowd = 256;

// Where descriptors are short and no launch is there to end, others have them, and say nothing when they close
// one.
constexpr unsigned kPauseMilliseconds = 1000;

// Seconds that no change of the clock reaches, and that go on while the machine sleeps.
uint32_t now() {
  timespec time = {};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return static_cast<uint32_t>(time.tv_sec);
}

}  // namespace

void Launches::begin(int listener, int signals, int changes, int max) {
  listener_ = listener;
  changes_ = changes;
  count_ = 0;  // of a child: they were its zygote's
  paused_ = false;
  counts = {};
  counts.max = static_cast<uint32_t>(max);
  counts.started = now();
  if (!reserve(kUsual)) fail("not enough memory");
  polled_[kSignals] = {signals, POLLIN, 0};
}

bool Launches::reserve(int count) {
  const auto wanted = static_cast<size_t>(count);
  void* polled = realloc(polled_, (wanted + kFirst + 1) * sizeof *polled_);
  if (polled == nullptr) return false;
  polled_ = static_cast<pollfd*>(polled);
  void* launch = realloc(launch_, wanted * sizeof *launch_);
  if (launch == nullptr) return false;
  launch_ = static_cast<Launch*>(launch);
  capacity_ = count;
  return true;
}

bool Launches::wait(int timeout) {
  const bool room = has_room();
  if (paused_ && static_cast<unsigned>(timeout) > kPauseMilliseconds) timeout = kPauseMilliseconds;
  polled_[kListener] = {paused_ ? -1 : listener_, POLLIN, 0};
  for (int i = 0; i < count_; i++) {
    if (launch_[i].pid == 0) polled_[kFirst + i].events = room ? POLLIN : 0;
  }
  pollfd& changes = polled_[kFirst + count_];
  changes = {changes_, POLLIN, 0};
  // EINTR (a stop and continue of the zygote) and ENOMEM: nothing has happened, another turn mends it.
  const int events = poll(polled_, static_cast<nfds_t>(count_) + kFirst + 1, timeout);
  if (events < 0) {
    for (int i = 0; i <= count_ + kFirst; i++) polled_[i].revents = 0;
  }
  has_change_ = changes.revents != 0;
  if (events == 0) paused_ = false;
  return events != 0;
}

int Launches::next_event(int index) const {
  while (++index < count_) {
    const short events = polled_[kFirst + index].revents;
    if ((events & POLLHUP) != 0 || (events != 0 && has_room())) return index;
  }
  return -1;
}

bool Launches::client_left(int index) const { return (polled_[kFirst + index].revents & POLLHUP) != 0; }

int Launches::connection(int index) const {
  const int fd = polled_[kFirst + index].fd;
  return fd < 0 ? ~fd : fd;
}

int Launches::find(pid_t pid) const {
  for (int i = 0; i < count_; i++) {
    if (launch_[i].pid == pid) return i;
  }
  return -1;
}

bool Launches::add(int connection, const ucred& peer) {
  if (count_ == capacity_ && !reserve(2 * capacity_)) return false;
  polled_[kFirst + count_] = {connection, POLLIN, 0};
  launch_[count_++] = {0, peer, 0};
  return true;
}

bool Launches::save(int file) const {
  bool saved = true;
  for (int i = 0; i < count_; i++) {
    fcntl(connection(i), F_SETFD, 0);
    const int fd = polled_[kFirst + i].fd;
    saved = saved && write(file, &fd, sizeof fd) == sizeof fd &&
            write(file, &launch_[i], sizeof(Launch)) == sizeof(Launch);
  }
  return saved;
}

void Launches::restore(int file, int count, size_t launch_bytes) {
  const size_t known = launch_bytes < sizeof(Launch) ? launch_bytes : sizeof(Launch);
  for (; count > 0; count--) {
    int fd = -1;
    Launch launch = {};
    // One that nobody knows of would wait for ever; the end of this process hangs up on it.
    if (read(file, &fd, sizeof fd) != sizeof fd || read(file, &launch, known) != static_cast<ssize_t>(known) ||
        !add(fd < 0 ? ~fd : fd, launch.peer))
      fail("take over launches: %m");
    lseek(file, static_cast<off_t>(launch_bytes - known), SEEK_CUR);
    const int index = count_ - 1;
    fcntl(connection(index), F_SETFD, FD_CLOEXEC);
    launch_[index] = launch;
    if (launch.pid > 0) polled_[kFirst + index].events = 0;
    if (launch.pid > 0) counts.running++;
    if (fd < 0) ignore_client(index);
  }
}

void Launches::forked(int index) {
  if (launch_[index].pid < 0) {
    counts.declined++;
    forget(index);
    return;
  }
  polled_[kFirst + index].events = 0;  // POLLHUP comes unasked
  launch_[index].started = now();
  counts.running++;
  counts.launches++;
}

void Launches::ignore_client(int index) { polled_[kFirst + index].fd = ~connection(index); }

void Launches::end(int index, int status) {
  counts.running--;
  if (status != 0) {
    const bool declined = WIFEXITED(status) && WEXITSTATUS(status) == protocol::kOwnFailure;  // become.cc
    (declined ? counts.declined : counts.failed)++;
  }
  paused_ = false;
  drop(index);
}

bool Launches::drop_idle() {
  if (!has_room()) return false;
  for (int i = 0; i < count_; i++) {
    if (launch_[i].pid != 0) continue;
    log_line("dropped pid %d, which sent nothing: descriptors are short", launch_[i].peer.pid);
    drop(i);
    return true;
  }
  return false;
}

void Launches::drop(int index) {
  close(connection(index));
  forget(index);
}

void Launches::forget(int index) {
  // In their order, so that who has waited longest is next.
  count_--;
  const auto behind = static_cast<size_t>(count_ - index);
  memmove(launch_ + index, launch_ + index + 1, behind * sizeof *launch_);
  memmove(polled_ + kFirst + index, polled_ + kFirst + index + 1, behind * sizeof *polled_);
  if (count_ > 0 || capacity_ <= kCrowd) return;
  reserve(kUsual);
  capacity_ = kUsual;  // at least, also where one of the two could not be moved to a smaller place
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

void Launches::describe(int connection) {
  counts.connections = static_cast<uint32_t>(count_);
  [[maybe_unused]] ssize_t written = write(connection, &counts, sizeof counts);
  written = write(connection, launch_, static_cast<size_t>(count_) * sizeof *launch_);
}

}  // namespace moonlet::zygote
