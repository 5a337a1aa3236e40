#include "zygote/spares.h"

#include "base/descriptor_message.h"
#include "zygote/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// Long enough for a short script to come and go in, short enough to be ready for the next.
constexpr int kQuietMilliseconds = 1;

// What kills one spare may kill the next.
constexpr int kRetryMilliseconds = 1000;

}  // namespace

int Spares::delay() const { return count_ < wanted_ ? delay_ : -1; }

void Spares::hurry() {
  if (delay_ == kQuietMilliseconds) delay_ = 0;
}

int Spares::fork_one() {
  int channel[2] = {-1, -1};
  pid_t pid = -1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0) pid = fork();
  if (pid == 0) {
    close(channel[0]);
    return channel[1];
  }
  if (pid < 0) log_line("fork of a spare: %m");
  close(channel[1]);
  if (pid < 0) {
    close(channel[0]);
    delay_ = kRetryMilliseconds;
    return -1;
  }
  spare_[count_++] = {pid, channel[0]};
  return -1;
}

pid_t Spares::hand_over(const Accepted& launch) {
  while (count_ > 0) {
    const pid_t pid = spare_[0].pid;
    const bool handed = DescriptorMessage::send(spare_[0].channel, &launch.peer, sizeof launch.peer,
                                                launch.connection, MSG_DONTWAIT) >= 0;
    // One that cannot be told has ended, and will be reaped as any child.
    forget(0);
    delay_ = kQuietMilliseconds;
    if (handed) return pid;
  }
  return 0;
}

bool Spares::reaped(pid_t pid) {
  for (int i = 0; i < count_; i++) {
    if (spare_[i].pid != pid) continue;
    log_line("spare %d has ended", pid);
    forget(i);
    delay_ = kRetryMilliseconds;
    return true;
  }
  return false;
}

void Spares::forget(int index) {
  close(spare_[index].channel);
  count_--;
  for (int i = index; i < count_; i++) spare_[i] = spare_[i + 1];
}

Accepted receive_launch(int channel) {
  Accepted launch = {-1, {}};
  ssize_t got = 0;
  do {
    got = DescriptorMessage::receive(channel, &launch.peer, sizeof launch.peer, launch.connection);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof launch.peer || launch.connection < 0) _exit(EXIT_SUCCESS);
  close(channel);
  return launch;
}

}  // namespace moonlet::zygote
