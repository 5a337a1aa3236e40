#include "ctl/scripts.h"

#include "ctl/fail.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr char kDeleted[] = " (deleted)";

// Where the image of an answer lies, and which file it is.
struct Place {
  char path[PATH_MAX];
  size_t length = 0;  // 0: not known
  ino_t inode = 0;

  explicit Place(const Answer& answer) {
    char link[32];
    struct stat status;
    if (answer.image < 0 || fstat(answer.image, &status) != 0) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", answer.image);
    const ssize_t got = readlink(link, path, sizeof path - 1);
    if (got <= 0) return;
    path[got] = '\0';
    length = static_cast<size_t>(got);
    inode = status.st_ino;
    constexpr size_t kDeletedLength = sizeof kDeleted - 1;
    if (length > kDeletedLength && strcmp(path + length - kDeletedLength, kDeleted) == 0)
      path[length -= kDeletedLength] = '\0';
  }
};

// Or moonlet5.4, where several are installed side by side; only then are its mappings looked at.
bool is_moonlet(pid_t pid) {
  char link[32];
  char program[PATH_MAX];
  snprintf(link, sizeof link, "/proc/%d/exe", pid);
  const ssize_t length = readlink(link, program, sizeof program - 1);
  if (length <= 0) return false;
  program[length] = '\0';
  const char* const slash = strrchr(program, '/');
  const char* const name = slash != nullptr ? slash + 1 : program;
  return strncmp(name, "moonlet", sizeof "moonlet" - 1) == 0;
}

// Whether the image at that place, or one that was there before, lies in the memory of process `pid`.
bool has_image(pid_t pid, const Place& place, bool& is_current) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/maps", pid);
  FILE* const maps = fopen(path, "re");
  if (maps == nullptr) return false;
  char* line = nullptr;
  size_t room = 0;
  bool found = false;
  ssize_t length = 0;
  while (!found && (length = getline(&line, &room, maps)) > 0) {
    line[length - 1] = '\0';
    unsigned long long inode = 0;
    int at = 0;
    if (sscanf(line, "%*s %*s %*s %*s %llu %n", &inode, &at) != 1 || at == 0) continue;
    const char* const file = line + at;
    if (strncmp(file, place.path, place.length) != 0) continue;
    const char* const rest = file + place.length;
    found = *rest == '\0' || strcmp(rest, kDeleted) == 0;
    is_current = inode == place.inode;
  }
  free(line);
  fclose(maps);
  return found;
}

uint32_t age_of(uint64_t ticks) {
  timespec time = {};
  clock_gettime(CLOCK_BOOTTIME, &time);
  const auto started = static_cast<int64_t>(ticks / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
  return time.tv_sec > started ? static_cast<uint32_t>(time.tv_sec - started) : 0;
}

uid_t owner_of(pid_t pid) {
  char path[24];
  struct stat status = {};
  snprintf(path, sizeof path, "/proc/%d", pid);
  stat(path, &status);
  return status.st_uid;
}

int by_age(const void* left, const void* right) {
  const uint32_t a = static_cast<const Script*>(left)->age;
  const uint32_t b = static_cast<const Script*>(right)->age;
  return (a < b) - (a > b);
}

int by_memory(const void* left, const void* right) {
  const auto private_of = [](const void* it) {
    const auto& script = static_cast<const Script*>(it)->seen;
    return script.has_memory ? script.private_bytes : 0;
  };
  const uint64_t a = private_of(left);
  const uint64_t b = private_of(right);
  return (a < b) - (a > b);
}

}  // namespace

Scripts::~Scripts() {
  for (size_t i = 0; i < count_; i++) free_bytes(script_[i].seen.command);
  free(script_);
}

Script& Scripts::add() {
  if (count_ == capacity_) {
    const size_t capacity = capacity_ != 0 ? 2 * capacity_ : 64;
    void* const grown = realloc(static_cast<void*>(script_), capacity * sizeof *script_);
    if (grown == nullptr) fail("not enough memory");
    script_ = static_cast<Script*>(grown);
    capacity_ = capacity;
  }
  Script& added = script_[count_++];
  added = {};
  return added;
}

void Scripts::add_forked(const Answer& answer) {
  for (uint32_t i = 0; i < answer.counts.connections; i++) {
    const protocol::LaunchStatus& launch = answer.launch[i];
    if (launch.pid <= 0) continue;
    Script& script = add();
    script.pid = launch.pid;
    script.client = launch.client;
    script.uid = launch.uid;
    script.age = seconds_since(launch.started);
    look_at(launch.pid, parent_of_scripts(answer), script.seen);
  }
}

void Scripts::add_thawed(const Answer& answer) {
  const Place place(answer);
  DIR* const processes = place.length != 0 ? opendir("/proc") : nullptr;
  if (processes == nullptr) return;
  while (const dirent* entry = readdir(processes)) {
    const auto pid = static_cast<pid_t>(strtol(entry->d_name, nullptr, 10));
    uint64_t ticks = 0;
    pid_t parent = 0;
    bool is_current = false;
    if (pid <= 0 || !is_moonlet(pid) || !protocol::find_start(pid, ticks, parent) ||
        parent == parent_of_scripts(answer) || !has_image(pid, place, is_current))
      continue;
    Script& script = add();
    script.pid = pid;
    script.uid = owner_of(pid);
    script.age = age_of(ticks);
    script.is_current = is_current;
    look_at(pid, ticks, script.seen);
    if (script.seen.visible) continue;
    free_bytes(script.seen.command);
    count_--;  // it has ended
  }
  closedir(processes);
}

void Scripts::sort(Order order) {
  if (order == Order::kAsStarted || count_ == 0) return;
  qsort(script_, count_, sizeof *script_, order == Order::kByAge ? by_age : by_memory);
}

}  // namespace moonlet::ctl
