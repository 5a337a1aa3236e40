#include "server/listener.h"

#include "base/descriptors.h"
#include "base/kernel.h"
#include "child/log.h"
#include "protocol/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

bool listens(int fd) {
  const auto has = [fd](int option, int wanted) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
  };
  return has(SO_ACCEPTCONN, 1) && has(SO_DOMAIN, AF_UNIX) && has(SO_TYPE, SOCK_STREAM);
}

// Whether process `pid` is gone, or nothing is left of it but its status.
bool is_dead(pid_t pid) {
  pollfd ended = {kernel::open_pidfd(pid), POLLIN, 0};
  if (ended.fd < 0) return errno == ESRCH || (kill(pid, 0) != 0 && errno == ESRCH);
  const UniqueFd owner(ended.fd);
  return poll(&ended, 1, 0) > 0;
}

enum class Neighbour {
  kNone,
  kAlive,   // somebody answers at this address, or waits with a full queue
  kEnding,  // its keeper has been killed, and it will notice
};

Neighbour find_neighbour(const protocol::SocketAddress& address) {
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), address.get(), address.size()) != 0)
    return errno == ECONNREFUSED ? Neighbour::kNone : Neighbour::kAlive;
  ucred listens = {};  // who has called listen(2): the keeper
  socklen_t size = sizeof listens;
  getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &listens, &size);
  return listens.pid > 0 && is_dead(listens.pid) ? Neighbour::kEnding : Neighbour::kAlive;
}

#if defined(MOONLET_SYSTEMD)

constexpr int kFirstOfSystemd = 3;  // SD_LISTEN_FDS_START

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

// Those who bind `path` do so one after another. A file that nobody else can open is the lock: whoever can read
// the directory could lock that, and hold up the start. Where it cannot be made there is no lock, only less
// luck.
class Lock {
 public:
  explicit Lock(const char* path) {
    snprintf(name_, sizeof name_, "%s.lock", path);
    FileIdentity locked;
    struct stat status;
    do {
      file_.reset(open(name_, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
      if (fstat(file_.get(), &status) != 0) return;
      is_own_ = S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0;
      if (!is_own_) return;
      flock(file_.get(), LOCK_EX);
      locked = {status.st_dev, status.st_ino};
    } while (!locked.is_at(name_));  // it has been removed, by who had it before
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() {
    if (is_own_) unlink(name_);
  }

 private:
  char name_[sizeof sockaddr_un::sun_path + sizeof ".lock"];
  UniqueFd file_;
  bool is_own_ = false;
};

}  // namespace

UniqueFd inherited_listener() {
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
  if (fd_.valid()) {
    queue_connections();
  } else {
    bind_path(named, mode);
  }
  // Several processes may share an inherited socket: what another one has taken must not block this one.
  fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
}

void Listener::keep(const protocol::SocketAddress& address) {
  // Both are of one size. NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.strcpy)
  strcpy(path_, address.un.sun_path);
}

void Listener::queue_connections() {
  // Whoever waits for others to finish waits in this queue: as long as the kernel lets it be.
  if (listen(fd_.get(), 4096) != 0) fail("listen on %s: %m", name());
}

// True if it is bound. Else errno says why not.
bool Listener::bind_once(const protocol::SocketAddress& address, unsigned mode) {
  const mode_t before = umask(0777 & ~mode);  // so that it is never more open than it shall be
  const bool bound = bind(fd_.get(), address.get(), address.size()) == 0;
  const int error = errno;
  umask(before);
  errno = error;
  return bound;
}

// Null if it is bound, and listens. Else what to say, with errno for it.
const char* Listener::bind_alone(const protocol::SocketAddress& address, unsigned mode) {
  constexpr int kPatience = 1000;                      // looks
  constexpr int kPatienceWithLiving = 25;              // one that has been killed may not have died yet
  constexpr timespec kBetweenLooks = {0, 10'000'000};  // nanoseconds
  const char* const path = address.un.sun_path;
  const Lock lock(path);
  for (int looks = 0; !bind_once(address, mode); looks++) {
    if (errno != EADDRINUSE) return MOONLET_TEXT("bind %s: %m");
    struct stat found;
    if (stat(path, &found) != 0 && lstat(path, &found) != 0) continue;  // gone meanwhile
    errno = EADDRINUSE;
    if (!S_ISSOCK(found.st_mode)) return MOONLET_TEXT("bind %s: %m (it is no socket)");
    const Neighbour neighbour = find_neighbour(address);
    errno = EADDRINUSE;
    if (looks >= (neighbour == Neighbour::kAlive ? kPatienceWithLiving : kPatience))
      return MOONLET_TEXT("bind %s: %m (is another moonletd running?)");
    if (neighbour == Neighbour::kNone) {
      unlink(path);
    } else {
      nanosleep(&kBetweenLooks, nullptr);
    }
  }
  file_.find(path);
  queue_connections();  // under the lock: until then the socket answers as a stale one
  return nullptr;
}

void Listener::bind_path(const char* named, unsigned mode) {
  const protocol::SocketAddress address = protocol::socket_address(named);
  const char* const path = address.un.sun_path;
  errno = ENAMETOOLONG;
  if (!address.fits) fail("bind %s: %m", path);
  fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) fail("socket %s: %m", path);
  if (const char* problem = bind_alone(address, mode)) (fail)(problem, path);
  keep(address);
}

bool Listener::is_for_others(mode_t& readers) const {
  static struct {
    sockaddr_un un;
    char end;  // a path may fill all of it
  } address;
  socklen_t size = sizeof address.un;
  struct stat found;
  getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address.un), &size);
  readers = 0;
  if (stat(address.un.sun_path, &found) != 0) return true;
  readers = (found.st_mode & (S_IWGRP | S_IWOTH)) << 1;  // who may write to a socket may connect
  return readers != 0;
}

void Listener::remove() {
  if (file_.is_at(path_)) unlink(path_);  // nothing is at an empty path
}

void announce_ready(int ready_fd) {
  if (ready_fd >= 0) {
    if (write(ready_fd, "\n", 1) != 1) log_line("--ready-fd %d: %m", ready_fd);
    close(ready_fd);
  }
  notify_systemd();
}

}  // namespace moonlet::server
