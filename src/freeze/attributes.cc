#include "freeze/attributes.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "base/replaces.h"
#include "image/answer.h"
#include "image/complain.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

// Lines of /proc/self/status (proc_pid_status(5)).
constexpr const char* kLines[] = {
    "Name:",   "Uid:",    "Gid:",    "Groups:",     "NSpid:", "NSpgid:",     "NSsid:",   "CapInh:",
    "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:",     "VmLck:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:",
    "SigPnd:", "ShdPnd:", "SigBlk:", "THP_enabled:"};
constexpr const char* kNamespaces[] = {"cgroup", "ipc", "mnt", "net", "time", "user", "uts"};
constexpr int kNamespaceCount = sizeof kNamespaces / sizeof *kNamespaces;

long ask(int option) {
  int value = 0;
  prctl(option, &value, 0, 0, 0);
  return value;
}

long look_at_alternate_stack() {
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  return static_cast<long>(stack.ss_size);
}

// What it says nothing of.
struct Fact {
  const char* name;
  long (*look)();
  bool is_tuning;  // others change it too
};
constexpr Fact kFacts[] = {
    {"nice value", [] { return syscall(SYS_getpriority, 0, 0); }, true},
    {"scheduling policy", [] { return syscall(SYS_sched_getscheduler, 0); }, true},
    {"processors", [] { return static_cast<long>(image::processors()); }, true},
    {"personality", [] { return syscall(SYS_personality, 0xffffffffUL); }, false},
    {"signal at its parent's death", [] { return ask(PR_GET_PDEATHSIG); }, false},
    {"duty as a reaper of orphans", [] { return ask(PR_GET_CHILD_SUBREAPER); }, false},
    {"dumpability", [] { return static_cast<long>(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)); }, false},
    {"timer slack", [] { return static_cast<long>(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)); }, false},
    {"secure bits", [] { return static_cast<long>(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)); }, false},
    {"alternate signal stack", look_at_alternate_stack, false},
    {"core dump filter", [] { return static_cast<long>(image::content("/proc/self/coredump_filter")); }, false},
};
constexpr int kFactCount = sizeof kFacts / sizeof *kFacts;

struct Place {
  dev_t device;
  ino_t inode;
  bool operator==(const Place&) const = default;
};

struct Process {
  char status[8192];
  Place root;
  Place name_space[kNamespaceCount];
  long fact[kFactCount];
  kernel::Limit limit[kernel::kLimits];
};

MOONLET_LARGE Process before;
bool has_tuned_itself = false;

void read_status(char (&text)[sizeof Process::status]) {
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  const ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
  text[length > 0 ? length : 0] = '\0';
  if (fd >= 0) close(fd);
}

// The rest of the line that begins with `name`, or "".
const char* find_line(const char* text, const char* name, size_t& length) {
  const char* at = text;
  while (at != nullptr && strncmp(at, name, strlen(name)) != 0) {
    at = strchr(at, '\n');
    if (at != nullptr) at++;
  }
  if (at == nullptr) {
    length = 0;
    return "";
  }
  at += strlen(name);
  length = strcspn(at, "\n");
  return at;
}

Place place_of(const char* path) {
  struct stat status;
  if (stat(path, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

void look(Process& process) {
  read_status(process.status);
  process.root = place_of("/");
  for (int i = 0; i < kNamespaceCount; i++) {
    char path[48];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kNamespaces[i]);
    process.name_space[i] = place_of(path);
  }
  for (int i = 0; i < kFactCount; i++) process.fact[i] = kFacts[i].look();
  for (int i = 0; i < kernel::kLimits; i++) kernel::limit(i, nullptr, &process.limit[i]);
}

int complain(const char* what) { return image::complain("the warm-up changed its %s", what); }

}  // namespace

void remember_attributes() { look(before); }

MOONLET_UNCHECKED void note_tuning() { has_tuned_itself = true; }

int complain_of_attributes() {
  int count = 0;
  MOONLET_LARGE static Process now;
  look(now);
  for (const char* const name : kLines) {
    size_t old_length;
    size_t new_length;
    const char* const old_line = find_line(before.status, name, old_length);
    const char* const new_line = find_line(now.status, name, new_length);
    if (old_length == new_length && memcmp(old_line, new_line, old_length) == 0) continue;
    count += image::complain("the warm-up changed its process: %s%.*s, was%.*s", name,
                             static_cast<int>(new_length), new_line, static_cast<int>(old_length), old_line);
  }
  if (now.root != before.root) count += complain("root directory");
  char name[32];
  for (int i = 0; i < kNamespaceCount; i++) {
    snprintf(name, sizeof name, "%s namespace", kNamespaces[i]);
    if (now.name_space[i] != before.name_space[i]) count += complain(name);
  }
  for (int i = 0; i < kFactCount; i++) {
    if (now.fact[i] == before.fact[i] || (kFacts[i].is_tuning && !has_tuned_itself)) continue;
    count += complain(kFacts[i].name);
  }
  for (int i = 0; i < kernel::kLimits && has_tuned_itself; i++) {
    snprintf(name, sizeof name, "resource limit %d", i);
    if (memcmp(&now.limit[i], &before.limit[i], sizeof now.limit[i]) != 0) count += complain(name);
  }
#if defined(MOONLET_LAYERS)
  memset(&before, 0, sizeof before);  // or an image on this one would hold another one's
  memset(&now, 0, sizeof now);
#endif
  return count;
}

}  // namespace moonlet::freeze
