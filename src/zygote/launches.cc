#include "zygote/launches.h"

#include "zygote/log.h"

#include <stdlib.h>
#include <unistd.h>

namespace moonlet::zygote {

void Launches::begin(int listener, int signals, int max) {
  listener_ = listener;
  max_ = max;
  if (!reserve(16)) fail("not enough memory");
  polled_[kSignals] = {signals, POLLIN, 0};
}

bool Launches::reserve(int count) {
  const auto wanted = static_cast<size_t>(count);
  void* polled = realloc(polled_, (wanted + kFirst) * sizeof *polled_);
  if (polled == nullptr) return false;
  polled_ = static_cast<pollfd*>(polled);
  void* launch = realloc(launch_, wanted * sizeof *launch_);
  if (launch == nullptr) return false;
  launch_ = static_cast<Launch*>(launch);
  capacity_ = count;
  return true;
}

// Others than the zygote's own user may run as many as they leave free: half when they are alone, half of what
// is left when another has his half, and so on, so that a new one finds room.
bool Launches::has_room_for(uid_t user) const {
  if (max_ == 0 || user == geteuid()) return has_room();
  int taken = running_;
  for (int i = 0; i < count_; i++) {
    if (launch_[i].pid > 0 && launch_[i].peer.uid == user) taken++;
  }
  return taken < max_;
}

bool Launches::wait(int timeout) {
  polled_[kListener] = {has_room() && !paused_ ? listener_ : -1, POLLIN, 0};
  bool room = false;
  for (int i = 0, last = -1; i < count_; i++) {
    if (launch_[i].pid != 0) continue;
    // Those of one user come one after another, and are many if he means it.
    if (last < 0 || launch_[i].peer.uid != launch_[last].peer.uid) room = has_room_for(launch_[i].peer.uid);
    last = i;
    polled_[kFirst + i].events = room ? POLLIN : 0;
  }
  // EINTR (a stop and continue of the zygote) and ENOMEM: nothing has happened, another turn mends it.
  const int events = poll(polled_, static_cast<nfds_t>(count_) + kFirst, timeout);
  if (events < 0) {
    for (int i = 0; i < count_ + kFirst; i++) polled_[i].revents = 0;
  }
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
  if (count_ == capacity_ && !reserve(2 * capacity_)) return false;
  polled_[kFirst + count_] = {connection, POLLIN, 0};
  launch_[count_++] = {0, peer};
  return true;
}

void Launches::forked(int index) {
  if (launch_[index].pid < 0) {
    forget(index);
    return;
  }
  polled_[kFirst + index].events = 0;  // POLLHUP comes unasked
  running_++;
}

void Launches::ignore_client(int index) { polled_[kFirst + index].fd = ~connection(index); }

void Launches::end(int index) {
  running_--;
  paused_ = false;
  drop(index);
}

bool Launches::drop_idle() {
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
  count_--;
  launch_[index] = launch_[count_];
  polled_[kFirst + index] = polled_[kFirst + count_];
}

}  // namespace moonlet::zygote
