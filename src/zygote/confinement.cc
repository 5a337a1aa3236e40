#include "zygote/confinement.h"

#include "base/kernel.h"
#include "base/unique_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

constexpr int kNamespaces = 7;
constexpr char kNamespace[kNamespaces][10] = {"ns/mnt", "ns/pid", "ns/user",  "ns/net",
                                              "ns/ipc", "ns/uts", "ns/cgroup"};

// Lines of /proc/PID/status, all in hexadecimal or short. What is permitted can be made effective.
enum Right { kBounding, kPermitted, kNoNewPrivileges, kSeccomp, kFilters, kRights };
constexpr char kRight[kRights][17] = {"CapBnd:", "CapPrm:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"};

// What a process is confined to. A namespace that the kernel does not have is an empty text for everybody.
struct Box {
  kernel::Location root;
  uint64_t right[kRights];
  char name[kNamespaces][32];  // "mnt:[4026531841]"
};
Box own;
bool compares;

// Looks at a process. `box` is empty. False if that cannot be.
bool look(pid_t pid, Box& box, char* room, size_t size) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", pid);
  // It stays with the process: nothing is found in it once that is gone, whoever gets the number.
  const UniqueFd process(open(path, O_PATH | O_CLOEXEC));
  for (int i = 0; i < kNamespaces; i++)
    readlinkat(process.get(), kNamespace[i], box.name[i], sizeof *box.name - 1);
  const UniqueFd status(openat(process.get(), "status", O_CLOEXEC));
  const auto length = static_cast<size_t>(read(status.get(), room, size));
  // What does not fit may hide what it ends with.
  if (length - 1 >= size - 1 || kernel::locate(process.get(), "root", &box.root) != 0) return false;
  room[length] = '\0';
  for (int i = 0; i < kRights; i++) {
    // Not in the first line: the process chose the name there.
    const char* const line = strstr(strchr(room, '\n'), kRight[i]);
    if (line != nullptr) box.right[i] = strtoull(line + strlen(kRight[i]), nullptr, 16);
  }
  return true;
}

// True if the process whose number was looked up is the one that connected. Before Linux 6.5 nobody can tell.
bool is_still_there(int connection) {
#ifndef SO_PEERPIDFD
  constexpr int SO_PEERPIDFD = 77;
#endif
  int descriptor = -1;
  socklen_t size = sizeof descriptor;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &descriptor, &size) != 0) return errno == ENOPROTOOPT;
  const UniqueFd pidfd(descriptor);
  pollfd ended = {descriptor, POLLIN, 0};
  return poll(&ended, 1, 0) == 0;
}

}  // namespace

void prepare_comparison(int wanted, char* room, size_t size) {
  look(getpid(), own, room, size);
  compares = wanted < 0 ? geteuid() == 0 || own.right[kPermitted] != 0 : wanted != 0;
}

const char* find_confinement(const Accepted& accepted, char* room, size_t size) {
  if (!compares) return nullptr;
  Box box = {};
  if (!look(accepted.peer.pid, box, room, size) || !is_still_there(accepted.connection)) return "not readable";
  for (int i = 0; i < kNamespaces; i++) {
    if (strcmp(box.name[i], own.name[i]) != 0) return kNamespace[i];
  }
  if (!(box.root == own.root)) return "root";
  for (int i = 0; i < kRights; i++) {
    // A child that becomes another user keeps no capability.
    if (i == kPermitted && accepted.peer.uid != geteuid()) continue;
    // Of filters only the number is known. Fewer than here say nothing of which they are.
    const uint64_t client = box.right[i];
    if (i <= kPermitted ? (own.right[i] & ~client) != 0 : client != 0 && client != own.right[i])
      return kRight[i];
  }
  return nullptr;
}

}  // namespace moonlet::zygote
