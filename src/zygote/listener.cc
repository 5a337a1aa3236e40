#include "zygote/listener.h"

#include "protocol/socket_path.h"
#include "zygote/descriptors.h"
#include "zygote/log.h"
#include "zygote/renewal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

constexpr int kSystemdDescriptor = 3;  // SD_LISTEN_FDS_START

[[noreturn]] void give_up(const char* doing, const char* on, const char* hint = "") {
  fail("%s %s: %m%s", doing, on, hint);
}

bool listens(int fd) {
  const auto has = [fd](int option, int wanted) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
  };
  return has(SO_ACCEPTCONN, 1) && has(SO_DOMAIN, AF_UNIX) && has(SO_TYPE, SOCK_STREAM);
}

bool is_own_pid(const char* text) { return text != nullptr && strtol(text, nullptr, 10) == getpid(); }

// Somebody answers at this address, or waits with a full queue.
bool is_served(const protocol::SocketAddress& address) {
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(probe.get(), address.get(), address.size()) == 0 || errno != ECONNREFUSED;
}

// Opens the directory of `path`, as a lock for those who bind in it. Shortens `path` for that time.
int open_directory_of(char* path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  char* const slash = strrchr(path, '/');
  if (slash == nullptr) return open(".", kFlags);
  const char first = slash[1];
  slash[1] = '\0';
  const int directory = open(path, kFlags);
  slash[1] = first;
  return directory;
}

}  // namespace

#if defined(MOONLET_BUILTIN_MODULE)
void close_second_listener() {
  FileIdentity first;
  if (listens(STDIN_FILENO) && first.find("/proc/self/fd/0") && first.is_at("/proc/self/fd/3"))
    close(kSystemdDescriptor);
}
#endif

UniqueFd inherited_listener() {
  if (is_renewed()) return UniqueFd();
  const char* count = getenv("LISTEN_FDS");
  if (count != nullptr && is_own_pid(getenv("LISTEN_PID"))) {
    if (strcmp(count, "1") != 0 || !listens(kSystemdDescriptor)) {
      fail("LISTEN_FDS=%s: not one listening Unix stream socket", count);
    }
    fcntl(kSystemdDescriptor, F_SETFD, FD_CLOEXEC);
    return UniqueFd(kSystemdDescriptor);
  }
  if (!listens(STDIN_FILENO)) return UniqueFd();
  UniqueFd inherited(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!inherited.valid()) give_up("move", "the inherited socket");
  close(STDIN_FILENO);
  open_standard_descriptors();
  return inherited;
}

Listener::Listener(UniqueFd inherited, const char* named, unsigned mode)
    : fd_(static_cast<UniqueFd&&>(inherited)) {
  if (is_renewed()) {
    fd_.reset(handover.listener);
    if (handover.removes_socket != 0) path_ = strdup(protocol::socket_address(named).un.sun_path);
    file_ = handover.socket;
    return;
  }
  if (fd_.valid()) {
    queue_connections();
  } else {
    bind_path(named, mode);
  }
  // Several processes may share an inherited socket: what another one has taken must not block this one.
  fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  handover.listener = fd_.get();
  handover.removes_socket = path_ != nullptr ? 1 : 0;
  handover.socket = file_;
}

void Listener::queue_connections() {
  // Whoever waits for others to finish waits in this queue: as long as the kernel lets it be.
  if (listen(fd_.get(), 4096) != 0) give_up("listen on", name());
}

void Listener::bind_path(const char* named, unsigned mode) {
  protocol::SocketAddress address = protocol::socket_address(named);
  char* const path = address.un.sun_path;
  if (!address.fits) {
    errno = ENAMETOOLONG;
    give_up("bind", path);
  }
  fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) give_up("socket for", path);
  // Two that start at once must not both find a stale file and remove each other's. Where the directory
  // cannot be read there is no lock, only less luck.
  const UniqueFd lock(open_directory_of(path));
  if (lock.valid()) flock(lock.get(), LOCK_EX);
  const mode_t before = umask(0777 & ~mode);  // so that it is never more open than it shall be
  int bound = bind(fd_.get(), address.get(), address.size());
  struct stat found;
  found.st_mode = 0;
  if (bound != 0 && errno == EADDRINUSE) {
    if (stat(path, &found) == 0 && S_ISSOCK(found.st_mode) && !is_served(address)) {
      unlink(path);
      bound = bind(fd_.get(), address.get(), address.size());
    } else {
      errno = EADDRINUSE;
    }
  }
  umask(before);
  if (bound != 0) {
    const char* hint = "";
    if (errno == EADDRINUSE)
      hint = S_ISSOCK(found.st_mode) ? " (is another moonletd running?)" : " (it exists, and is no socket)";
    give_up("bind", path, hint);
  }
  file_.find(path);
  path_ = strdup(path);
  queue_connections();  // under the lock: until then the socket answers as a stale one
}

void Listener::stop() {
  if (path_ != nullptr && file_.is_at(path_)) unlink(path_);
  free(path_);
  path_ = nullptr;
  fd_.reset();
}

void announce_ready(int ready_fd) {
  if (is_renewed()) return;
  if (ready_fd >= 0) {
    if (write(ready_fd, "\n", 1) != 1) log_line("write to --ready-fd %d: %m", ready_fd);
    close(ready_fd);
  }
  const char* path = getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return;
  protocol::SocketAddress address;
  append(address, path);
  if (*path == '@') address.un.sun_path[0] = '\0';  // an abstract address, unix(7)
  const UniqueFd notify(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  constexpr char kReady[] = "READY=1";
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + strlen(path));
  errno = ENAMETOOLONG;  // if it does not fit
  if (!address.fits || sendto(notify.get(), kReady, sizeof kReady - 1, MSG_NOSIGNAL, address.get(), size) < 0)
    log_line("NOTIFY_SOCKET=%s: %m", path);
}

}  // namespace moonlet::zygote
