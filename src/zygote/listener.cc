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

bool listens(int fd) {
  const auto has = [fd](int option, int wanted) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
  };
  return has(SO_ACCEPTCONN, 1) && has(SO_DOMAIN, AF_UNIX) && has(SO_TYPE, SOCK_STREAM);
}

// Somebody answers at this address, or waits with a full queue.
bool is_served(const protocol::SocketAddress& address) {
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return connect(probe.get(), address.get(), address.size()) == 0 || errno != ECONNREFUSED;
}

#if defined(MOONLET_SYSTEMD) || defined(MOONLET_BUILTIN_MODULE)
constexpr int kFirstOfSystemd = 3;  // SD_LISTEN_FDS_START
#endif

#if defined(MOONLET_SYSTEMD)

bool is_own_pid(const char* text) { return text != nullptr && strtol(text, nullptr, 10) == getpid(); }

// What sd_listen_fds(3) would find. -1: nothing.
int systemd_listener() {
  const char* count = getenv("LISTEN_FDS");
  if (count == nullptr || !is_own_pid(getenv("LISTEN_PID"))) return -1;
  if (strcmp(count, "1") != 0 || !listens(kFirstOfSystemd))
    fail("LISTEN_FDS=%s: not one listening Unix stream socket", count);
  fcntl(kFirstOfSystemd, F_SETFD, FD_CLOEXEC);
  return kFirstOfSystemd;
}

// What sd_notify(3) would do.
void notify_systemd() {
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

#else

int systemd_listener() { return -1; }
void notify_systemd() {}

#endif

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
    close(kFirstOfSystemd);
}
#endif

UniqueFd inherited_listener() {
  if (is_renewed()) return UniqueFd();
  const int from_systemd = systemd_listener();
  if (from_systemd >= 0) return UniqueFd(from_systemd);
  if (!listens(STDIN_FILENO)) return UniqueFd();
  UniqueFd inherited(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!inherited.valid()) fail("move descriptor 0: %m");
  close(STDIN_FILENO);
  open_standard_descriptors();
  return inherited;
}

Listener::Listener(UniqueFd inherited, const char* named, unsigned mode)
    : fd_(static_cast<UniqueFd&&>(inherited)) {
  if (is_renewed()) {
    fd_.reset(handover.listener);
    if (handover.removes_socket != 0) keep(protocol::socket_address(named));
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
  handover.removes_socket = *path_ != '\0' ? 1 : 0;
  handover.socket = file_;
}

void Listener::keep(const protocol::SocketAddress& address) {
  // Both are of one size. NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.strcpy)
  strcpy(path_, address.un.sun_path);
}

void Listener::queue_connections() {
  // Whoever waits for others to finish waits in this queue: as long as the kernel lets it be.
  if (listen(fd_.get(), 4096) != 0) fail("listen on %s: %m", name());
}

void Listener::bind_path(const char* named, unsigned mode) {
  protocol::SocketAddress address = protocol::socket_address(named);
  char* const path = address.un.sun_path;
  if (!address.fits) {
    errno = ENAMETOOLONG;
    fail("bind %s: %m", path);
  }
  fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) fail("socket %s: %m", path);
  // Two that start at once must not both find a stale file and remove each other's. Where the directory
  // cannot be read there is no lock, only less luck.
  const UniqueFd lock(open_directory_of(path));
  flock(lock.get(), LOCK_EX);
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
    if (errno != EADDRINUSE) fail("bind %s: %m", path);
    if (!S_ISSOCK(found.st_mode)) fail("bind %s: %m (it is no socket)", path);
    fail("bind %s: %m (is another moonletd running?)", path);
  }
  file_.find(path);
  keep(address);
  queue_connections();  // under the lock: until then the socket answers as a stale one
}

bool Listener::is_for_others() const {
  static struct {
    sockaddr_un un;
    char end;  // a path may fill all of it
  } address;
  socklen_t size = sizeof address.un;
  struct stat found;
  getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address.un), &size);
  return stat(address.un.sun_path, &found) != 0 || (found.st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

void Listener::abandon() { fd_.release(); }

void Listener::stop() {
  if (file_.is_at(path_)) unlink(path_);  // nothing is at an empty path
  path_[0] = '\0';
  fd_.reset();
}

void announce_ready(int ready_fd) {
  if (is_renewed()) return;
  if (ready_fd >= 0) {
    if (write(ready_fd, "\n", 1) != 1) log_line("--ready-fd %d: %m", ready_fd);
    close(ready_fd);
  }
  notify_systemd();
}

}  // namespace moonlet::zygote
