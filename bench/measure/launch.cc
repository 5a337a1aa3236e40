#include "measure/launch.h"

#include "measure/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

namespace moonlet::bench {

namespace {

double microseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}

}  // namespace

double now_us() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

pid_t start(const Command& command, const Streams& streams) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int from[] = {streams.in, streams.out, streams.error};
  for (int to = 0; to < 3; to++) {
    if (from[to] != to) posix_spawn_file_actions_adddup2(&actions, from[to], to);
  }
  pid_t pid = 0;
  // Both C libraries borrow the address space for this (CLONE_VM | CLONE_VFORK): nothing is copied.
  const int error = posix_spawn(&pid, command.program, &actions, nullptr, command.argv, command.environment);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("run %s: %s", command.program, strerror(error));
  return pid;
}

Sample launch(const Command& command, const Streams& streams) {
  Sample sample;
  rusage usage = {};
  const double before = now_us();
  const pid_t pid = start(command, streams);
  while (wait4(pid, &sample.status, 0, &usage) != pid) {
    if (errno != EINTR) fail("wait for %s: %s", command.program, strerror(errno));
  }
  sample.wall_us = now_us() - before;
  sample.user_us = microseconds(usage.ru_utime);
  sample.system_us = microseconds(usage.ru_stime);
  sample.minor_faults = usage.ru_minflt;
  return sample;
}

int null_device() {
  static const int device = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (device < 0) fail("open /dev/null: %s", strerror(errno));
  return device;
}

}  // namespace moonlet::bench
