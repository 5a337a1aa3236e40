#include "protocol/running_script.h"

#include "base/unique_fd.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::protocol {

namespace {

constexpr size_t kMostBytes = 1 << 20;

// What the kernel has in some lines.
using Short = char[4096];

// None if there is no such file of this process, or none for this user.
UniqueFd open_of(pid_t pid, const char* name) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  return UniqueFd(open(path, O_RDONLY | O_CLOEXEC));
}

bool read_of(pid_t pid, const char* name, Bytes& bytes) {
  const UniqueFd file = open_of(pid, name);
  return file.valid() && read_bytes(file.get(), kMostBytes, bytes);
}

bool read_of(pid_t pid, const char* name, Short& text) {
  const UniqueFd file = open_of(pid, name);
  const ssize_t got = file.valid() ? read(file.get(), text, sizeof text - 1) : -1;
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

// The sum of the lines of smaps_rollup (proc(5), Linux 4.14) that begin so, which are in KiB.
uint64_t sum(const char* rollup, const char* beginning) {
  uint64_t kilobytes = 0;
  const size_t length = strlen(beginning);
  for (const char* line = rollup; *line != '\0';) {
    if (strncmp(line, beginning, length) == 0) {
      const char* value = strchr(line, ':');
      if (value != nullptr) kilobytes += strtoull(value + 1, nullptr, 10);
    }
    line += strcspn(line, "\n");
    if (*line == '\n') line++;
  }
  return kilobytes * 1024;
}

void look(pid_t pid, RunningScript& script) {
  script.has_memory = false;
  if (!read_of(pid, "cmdline", script.command)) script.command.size = 0;
  Short rollup;
  script.has_memory = read_of(pid, "smaps_rollup", rollup);
  script.private_bytes = sum(rollup, "Private_");
  script.shared_bytes = sum(rollup, "Shared_");
}

}  // namespace

bool find_start(pid_t pid, uint64_t& ticks, pid_t& parent) {
  Short stat;
  if (!read_of(pid, "stat", stat)) return false;
  const char* const end_of_name = strrchr(stat, ')');  // the name may hold anything
  unsigned long long start = 0;
  // Fields 3 (state), 4 (ppid) and 22 (starttime) of proc(5).
  if (end_of_name == nullptr ||
      sscanf(end_of_name, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
             &parent, &start) != 2)
    return false;
  ticks = start;
  return true;
}

void look_at(pid_t pid, pid_t server, RunningScript& script) {
  uint64_t ticks = 0;
  pid_t parent = 0;
  script.visible = script.has_memory = false;
  if (server == 0) return;
  look(pid, script);
  // Last, because the number may have changed hands until now.
  script.visible = script.command.size > 0 && find_start(pid, ticks, parent) && parent == server;
}

void look_at(pid_t pid, uint64_t ticks, RunningScript& script) {
  uint64_t now = 0;
  pid_t parent = 0;
  look(pid, script);
  script.visible = script.command.size > 0 && find_start(pid, now, parent) && now == ticks;
}

const char* first_argument(const RunningScript& script) {
  const char* const name = script.command.data;
  const char* const second = name + strlen(name) + 1;
  return second < name + script.command.size ? second : name;
}

const char* name_of_user(uid_t uid) {
  const passwd* user = getpwuid(uid);
  if (user != nullptr) return user->pw_name;
  static char number[16];
  snprintf(number, sizeof number, "%u", uid);
  return number;
}

}  // namespace moonlet::protocol
