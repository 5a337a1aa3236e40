#include "server/launches.h"

#include "base/clock.h"
#include "child/log.h"
#include "child/parts.h"
#include "child/report.h"
#include "protocol/protocol.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

// Room to begin with and when a crowd has left, and how many times as much a crowd gets: memory that is not
// written costs nothing. With glibc each small step would leave blocks that its tcache keeps, and realloc takes
// none from there.
constexpr int kUsual = 16;
constexpr int kMore = 32;

// Where descriptors are short and no launch is there to end, others have them, and say nothing when they close
// one.
constexpr int kPauseMilliseconds = 1000;

}  // namespace

void Launches::begin(int listener, int signals, int keeper, int max) {
  listener_ = listener;
  counts.max = static_cast<uint32_t>(max);
  counts.started = seconds_since_boot();
  counts.server = getpid();
  if (!reserve(kUsual)) fail("not enough memory");
  polled_[kSignals] = {signals, POLLIN, 0};
  polled_[kKeeper] = {keeper, POLLRDHUP, 0};
}

bool Launches::reserve(int count) {
  const auto wanted = static_cast<size_t>(count);
  void* polled = realloc(polled_, (wanted + kFirst) * sizeof *polled_);
  if (polled == nullptr) return false;
  polled_ = static_cast<pollfd*>(polled);
  void* launch = realloc(launch_, wanted * sizeof *launch_);
  if (launch == nullptr) return false;
  launch_ = static_cast<Launch*>(launch);
  if (kServesOtherUsers) {
    void* user = realloc(user_, wanted * sizeof *user_);
    if (user == nullptr) return false;
    user_ = static_cast<uid_t*>(user);
  }
  capacity_ = count;
  return true;
}

// Others than the server's own user may run as many as they leave free: half when they are alone, half of what
// is left when another has his half, and so on, so that a new one finds room.
bool Launches::has_room_for(uid_t user) const {
  if (!kServesOtherUsers || counts.max == 0 || user == geteuid()) return has_room();
  uint32_t taken = counts.running;
  for (uint32_t i = 0; i < counts.running; i++) {
    if (user_[i] == user) taken++;
  }
  return taken < counts.max;
}

void Launches::runs_for(uid_t user) {
  if (kServesOtherUsers) user_[counts.running] = user;
  counts.running++;
}

void Launches::ran_for(uid_t user) {
  counts.running--;
  if (!kServesOtherUsers) return;
  uid_t* at = user_;
  while (*at != user) at++;
  *at = user_[counts.running];
}

bool Launches::wait() {
  const int timeout = paused_ ? kPauseMilliseconds : -1;
  polled_[kListener] = {paused_ ? -1 : listener_, POLLIN, 0};
  bool room = false;
  for (int i = 0, last = -1; i < count_; i++) {
    if (launch_[i].pid != 0) continue;
    // Those of one user come one after another, and are many if he means it.
    if (last < 0 || launch_[i].peer.uid != launch_[last].peer.uid) room = has_room_for(launch_[i].peer.uid);
    last = i;
    polled_[kFirst + i].events = room ? POLLIN : 0;
  }
  // EINTR (a stop and continue of the server) and ENOMEM: nothing has happened, another turn mends it.
  const int events = poll(polled_, static_cast<nfds_t>(count_) + kFirst, timeout);
  if (events < 0) {
    for (int i = 0; i < count_ + kFirst; i++) polled_[i].revents = 0;
  }
  if (events == 0) paused_ = false;
  return events != 0;
}

int Launches::next_event(int index) const {
  while (++index < count_) {
    const short events = polled_[kFirst + index].revents;
    if ((events & POLLHUP) != 0 || (events != 0 && has_room_for(launch_[index].peer.uid))) return index;
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
  if (count_ == capacity_ && !reserve(kMore * capacity_)) return false;
  polled_[kFirst + count_] = {connection, POLLIN, 0};
  launch_[count_++] = {0, peer, 0};
  return true;
}

void Launches::forked(int index) {
  if (launch_[index].pid < 0) {
    forget(index);
    return;
  }
  polled_[kFirst + index].events = 0;  // POLLHUP comes unasked
  launch_[index].started = seconds_since_boot();
  runs_for(launch_[index].peer.uid);
  counts.launches++;
}

void Launches::ignore_client(int index) { polled_[kFirst + index].fd = ~connection(index); }

void Launches::end(int index, int status) {
  ran_for(launch_[index].peer.uid);
  if (status != 0) counts.failed++;
  if (WIFSIGNALED(status)) counts.killed++;
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
  hang_up(connection(index), launch_[index].peer.uid);
  forget(index);
}

void Launches::forget(int index) {
  // In their order, so that who has waited longest is next.
  count_--;
  const auto behind = static_cast<size_t>(count_ - index);
  memmove(launch_ + index, launch_ + index + 1, behind * sizeof *launch_);
  memmove(polled_ + kFirst + index, polled_ + kFirst + index + 1, behind * sizeof *polled_);
  if (count_ == 0 && capacity_ > kUsual) shrink();
}

void Launches::shrink() {
#if defined(__GLIBC__)
  // This malloc shrinks a block where it lies, which is high in its heap after a crowd, and keeps the heap that
  // high: 12 KB more. So all go, and the small ones get the room of what was theirs: it cannot be short.
  pollfd first[kFirst];
  memcpy(first, polled_, sizeof first);
  free(polled_);
  free(launch_);
  free(user_);
  polled_ = nullptr;
  launch_ = nullptr;
  user_ = nullptr;
  if (!reserve(kUsual)) fail("not enough memory");
  memcpy(polled_, first, sizeof first);
  malloc_trim(0);
#else
  reserve(kUsual);
  capacity_ = kUsual;  // at least, also where one of the two could not be moved to a smaller place
#endif
}

void Launches::describe(int connection) {
  counts.connections = static_cast<uint32_t>(count_);
  [[maybe_unused]] ssize_t written = write(connection, &counts, sizeof counts);
  written = write(connection, launch_, static_cast<size_t>(count_) * sizeof *launch_);
}

}  // namespace moonlet::server
