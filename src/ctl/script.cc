#include "ctl/script.h"

#include "base/unique_fd.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::ctl {

namespace {

constexpr size_t kMostBytes = 1 << 20;

// False if there is no such file of this process, or none for this user.
bool read_of(pid_t pid, const char* name, Text& text) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  return file.valid() && text.read_from(file.get(), kMostBytes);
}

// 0 if there is no such process.
pid_t parent_of(pid_t pid) {
  Text stat;
  if (!read_of(pid, "stat", stat)) return 0;
  const char* end_of_name = strrchr(stat.bytes(), ')');  // the name may hold anything
  int parent = 0;
  if (end_of_name == nullptr || sscanf(end_of_name, ") %*c %d", &parent) != 1) return 0;
  return parent;
}

// The sum of the lines of smaps_rollup (proc(5), Linux 4.14) that begin so, which are in KiB.
uint64_t sum(const Text& rollup, const char* beginning) {
  uint64_t kilobytes = 0;
  const size_t length = strlen(beginning);
  for (const char* line = rollup.bytes(); *line != '\0';) {
    if (strncmp(line, beginning, length) == 0) {
      const char* value = strchr(line, ':');
      if (value != nullptr) kilobytes += strtoull(value + 1, nullptr, 10);
    }
    line += strcspn(line, "\n");
    if (*line == '\n') line++;
  }
  return kilobytes * 1024;
}

}  // namespace

Script look_at(pid_t pid, pid_t zygote) {
  Script script;
  if (zygote == 0 || !read_of(pid, "cmdline", script.command)) return script;
  Text rollup;
  script.has_memory = read_of(pid, "smaps_rollup", rollup) && rollup.size() > 0;
  script.private_bytes = sum(rollup, "Private_");
  script.shared_bytes = sum(rollup, "Shared_");
  // Last, because the number may have changed hands until now.
  script.visible = script.command.size() > 0 && parent_of(pid) == zygote;
  return script;
}

Text command_line(const Script& script) {
  const char* at = script.command.bytes();
  const char* const end = at + script.command.size();
  const char* const second = at + strlen(at) + 1;
  if (second < end) at = second;
  Text line;
  for (; at < end; at += strlen(at) + 1) {
    if (line.size() > 0) line.add(" ");
    line.add(at);
  }
  return line;
}

const char* name_of_user(uid_t uid) {
  const passwd* user = getpwuid(uid);
  if (user != nullptr) return user->pw_name;
  static char number[16];
  snprintf(number, sizeof number, "%u", uid);
  return number;
}

}  // namespace moonlet::ctl
