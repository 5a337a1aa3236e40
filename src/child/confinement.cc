#include "child/confinement.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "base/unique_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::child {

namespace {

// Texts one behind the other.
constexpr int kNamespaces = 7;
constexpr char kNamespace[] = "ns/mnt\0ns/pid\0ns/user\0ns/net\0ns/ipc\0ns/uts\0ns/cgroup";

// Lines of /proc/PID/status, all in hexadecimal or short. What is permitted can be made effective. A child that
// becomes another user keeps nothing of that, but of the bounding set.
enum Right { kPermitted, kBounding, kNoNewPrivileges, kSeccomp, kFilters, kRights };
constexpr char kRight[] = "CapPrm:\0CapBnd:\0NoNewPrivs:\0Seccomp:\0Seccomp_filters:";

// What a process is confined to. A namespace that the kernel does not have is an empty text for everybody.
struct Box {
  kernel::Location root;
  uint64_t right[kRights];
  char name[kNamespaces][32];  // "mnt:[4026531841]"
};
MOONLET_LARGE Box own;
constexpr const char* kHidden = "not readable";
bool compares;

// Looks at a process, which may be this one, and returns in what it is confined more than this one, or null.
// `box` is empty, or this process' own.
const char* look(pid_t pid, Box& box, bool same_user, char* room) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", pid);
  // It stays with the process: nothing is found in it once that is gone, whoever gets the number.
  const UniqueFd process(open(path, O_PATH | O_CLOEXEC));
  const UniqueFd status(openat(process.get(), "status", O_CLOEXEC));
  const auto length = static_cast<size_t>(read(status.get(), room, kRoom));
  // What does not fit may hide what it ends with.
  if (length - 1 >= kRoom - 1 || kernel::locate(process.get(), "root", &box.root) != 0) return kHidden;
  room[length] = '\0';
  const char* difference = box.root == own.root ? nullptr : "root";
  const char* text = kNamespace;
  for (auto& name : box.name) {
    readlinkat(process.get(), text, name, sizeof name - 1);
    if (strcmp(name, own.name[&name - box.name]) != 0) difference = text;
    text += strlen(text) + 1;
  }
  text = kRight;
  for (int i = 0; i < kRights; i++) {
    // Not in the first line: the process chose the name there.
    const char* const line = strstr(strchr(room, '\n'), text);
    const char* const name = text;
    text += strlen(text);
    if (line != nullptr) box.right[i] = strtoull(line + (text - name), nullptr, 16);
    text++;
    if (i == kPermitted && !same_user) continue;
    const uint64_t right = box.right[i];
    // Of filters only the number is known. Fewer than here say nothing of which they are.
    if (i <= kBounding ? (own.right[i] & ~right) != 0 : right != 0 && right != own.right[i]) difference = name;
  }
  return difference;
}

// True if the process whose number was looked up is the one that connected. Before Linux 6.5 nobody can tell.
bool is_still_there(int connection) {
#ifndef SO_PEERPIDFD
  constexpr int SO_PEERPIDFD = 77;
#endif
  pollfd ended = {-1, POLLIN, 0};
  socklen_t size = sizeof ended.fd;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &ended.fd, &size) != 0) return errno == ENOPROTOOPT;
  const UniqueFd pidfd(ended.fd);
  return poll(&ended, 1, 0) == 0;
}

}  // namespace

void prepare_comparison(int wanted, char* room) {
  look(getpid(), own, true, room);
  compares = wanted < 0 ? geteuid() == 0 || own.right[kPermitted] != 0 : wanted != 0;
}

const char* find_confinement(const Accepted& accepted, char* room) {
  if (!compares) return nullptr;
  Box box = {};
  const char* difference = look(accepted.peer.pid, box, accepted.peer.uid == geteuid(), room);
  return difference != nullptr || is_still_there(accepted.connection) ? difference : kHidden;
}

}  // namespace moonlet::child
