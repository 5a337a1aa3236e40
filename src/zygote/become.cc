#include "zygote/become.h"

#include "base/descriptor_message.h"
#include "base/kernel.h"
#include "base/layout.h"
#include "base/unique_fd.h"
#include "zygote/confinement.h"
#include "zygote/descriptors.h"
#include "zygote/farewell.h"
#include "zygote/log.h"
#include "zygote/parts.h"
#include "zygote/process_title.h"
#include "zygote/report.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

constexpr int kMaxWarmDescriptors = 64;
constexpr int kMostGroups = protocol::kMaxDescriptors;  // a client that has more gets lua

// What children start from.
struct Zygote {
  int nice;
  uid_t uid;
  gid_t gid;
  int groups;
  int terminal;                       // a descriptor of the controlling terminal, or -1
  int kept[kMaxWarmDescriptors + 2];  // what the warm-up left open, then room for two of the child's own
  int warm_descriptors;
  kernel::Limit limit[kernel::kLimits];
};
Zygote zygote;
MOONLET_LARGE gid_t groups_of_zygote[kMostGroups];
static_assert(sizeof groups_of_zygote >= kRoom && kRequestRoom >= sizeof groups_of_zygote);

char** environment_of_zygote;

[[noreturn]] void decline_to_take_user(const Accepted& accepted) {
  decline(accepted, false, "take the client's user and groups: %m");
}

// Whom the audit trail names. Where that is nobody yet, as with what an init system has started, a process may
// choose: so it must be what it is under lua. Without auditing there is no such file.
void take_login(const ucred& peer) {
  char text[32];
  snprintf(text, sizeof text, "/proc/%d/loginuid", peer.pid);
  read_text(text, text, sizeof text);
  const UniqueFd own(open("/proc/self/loginuid", O_WRONLY));
  [[maybe_unused]] const ssize_t written = write(own.get(), text, strlen(text));
}

// The peer's user and groups. Before anything of the request is read: what follows is done with no more
// rights than the client has.
// `room` is for kMostGroups.
void take_credentials(const Accepted& accepted, void* room) {
#ifndef SO_PEERGROUPS
  constexpr int SO_PEERGROUPS = 59;
#endif
  auto* const group = static_cast<gid_t*>(room);
  socklen_t size = sizeof groups_of_zygote;
  if (getsockopt(accepted.connection, SOL_SOCKET, SO_PEERGROUPS, group, &size) != 0)
    decline_to_take_user(accepted);
  const auto groups = size / sizeof *group;
  const ucred& peer = accepted.peer;
  const bool same_groups = groups == static_cast<size_t>(zygote.groups) &&
                           memcmp(group, groups_of_zygote, groups * sizeof *group) == 0;
  if (same_groups && peer.gid == zygote.gid && peer.uid == zygote.uid) return;
  if (!kServesOtherUsers) decline(accepted, false, "its groups are others than moonletd's");
  const bool other_user = peer.uid != zygote.uid;
  if (other_user) take_login(peer);
  // Not root's session keyring. It is made while this is root, whose quota of keys is no limit. Without
  // keyctl(2), forbidden or not built in, this process cannot use keys either.
  if ((other_user && kernel::join_new_keyring() < 0 && errno != ENOSYS && errno != EPERM) ||
      (!same_groups && setgroups(groups, group) != 0) || setresgid(peer.gid, peer.gid, peer.gid) != 0 ||
      setresuid(peer.uid, peer.uid, peer.uid) != 0 ||
      (other_user && kernel::drop_capabilities() != 0))  // the kernel leaves the inheritable ones
    decline_to_take_user(accepted);
  // Not dumpable from here on: until start(), this user's other processes must not get at what is still
  // the zygote's.
}

[[noreturn]] void decline_to_place(const Accepted& accepted) {
  decline(accepted, false, "place a descriptor: %m");
}

// Gives each received descriptor the number that it has in the client. They arrive at the lowest free
// numbers in ascending order, so that usually all of them are in place.
void place_descriptors(Accepted& accepted, LaunchRequest& request, int& log) {
  const auto count = static_cast<int>(request.header.fdc);
  if (count == 0) return;
  const int highest = request.number[count - 1];
  for (int i = 0; i < count; i++) {
    const int wanted = request.number[i];
    if (request.received[i] == wanted) continue;
    // What has that number here moves out of the way of all of the client's.
    const auto make_way = [&](int& descriptor) {
      if (descriptor != wanted) return;
      descriptor = fcntl(wanted, F_DUPFD_CLOEXEC, highest + 1);
      if (descriptor < 0) decline_to_place(accepted);
    };
    make_way(accepted.connection);
    make_way(log);
    for (int later = i + 1; later < count; later++) make_way(request.received[later]);
    if (dup2(request.received[i], wanted) < 0) decline_to_place(accepted);
    close(request.received[i]);
  }
}

void take_directory(const Accepted& accepted, const LaunchRequest& request) {
  const int directory = request.received[request.header.fdc];
  if (fchdir(directory) != 0) decline(accepted, false, "enter the working directory: %m");
  close(directory);
}

// No test, but the same libraries: what the loader has done for this process, these would have changed.
void check_loader_environment(const Accepted& accepted, const LaunchRequest& request) {
  const auto is_for_loader = [](const char* variable) {
#if defined(__GLIBC__)
    if (strncmp(variable, "GLIBC_TUNABLES=", 15) == 0) return true;
#endif
    return strncmp(variable, "LD_", 3) == 0;
  };
  const auto has = [](char** list, const char* variable) {
    for (; *list != nullptr; list++) {
      if (strcmp(*list, variable) == 0) return true;
    }
    return false;
  };
  const auto compare = [&](char** list, char** other) {
    for (; *list != nullptr; list++) {
      if (is_for_loader(*list) && !has(other, *list))
        decline(accepted, false, "only one of client and moonletd has %s", *list);
    }
  };
  compare(environment_of_zygote, request.environment);
  compare(request.environment, environment_of_zygote);
}

// What a process may not raise its user could raise by a request of his own making.
bool asks_for_more(const ucred& peer, const protocol::Request& header) {
  if (peer.uid == zygote.uid) return false;
  kernel::Limit its = {};
  for (int i = 0; i < kernel::kLimits; i++) {
    if (kernel::limit_of(peer.pid, i, &its) != 0 || header.limit[i].hard > its.hard) return true;
  }
  return header.nice < getpriority(PRIO_PROCESS, static_cast<id_t>(peer.pid));
}

void take_priority_and_limits(const Accepted& accepted, const protocol::Request& header) {
  if (kServesOtherUsers && asks_for_more(accepted.peer, header))
    decline(accepted, false, "the client has not the limits that it claims");
  if (header.nice != zygote.nice && setpriority(PRIO_PROCESS, 0, header.nice) != 0)
    decline(accepted, false, "set nice value: %m");
  for (int i = 0; i < kernel::kLimits; i++) {
    if (memcmp(&header.limit[i], &zygote.limit[i], sizeof zygote.limit[i]) == 0) continue;
    if (kernel::limit(i, &header.limit[i], nullptr) != 0)
      decline(accepted, false, "set resource limit %d: %m", i);
  }
}

// Ignored signals first: once the mask is the client's, they can arrive.
void take_signals(const protocol::Request& header) {
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) {
    // The C library keeps some for itself, and refuses: those of a client's are its own as well.
    if (header.ignored.has(signal)) ::signal(signal, SIG_IGN);
  }
  kernel::change_mask(SIG_SETMASK, &header.blocked, nullptr);
}

// Handlers of the warm-up would run in a script that never asked for them; lua starts with none.
void reset_signals() {
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) ::signal(signal, SIG_DFL);
}

}  // namespace

void prepare_children(int compares) {
  if (kComparesClients) prepare_comparison(compares, reinterpret_cast<char*>(groups_of_zygote));
  kernel::Limit files = {};
  if (kernel::limit(RLIMIT_NOFILE, nullptr, &files) == 0) {
    files.soft = files.hard;  // a descriptor for each launch; children get the client's limit
    kernel::limit(RLIMIT_NOFILE, &files, nullptr);
  }
  for (int i = 0; i < kernel::kLimits; i++) kernel::limit(i, nullptr, &zygote.limit[i]);
  zygote.nice = getpriority(PRIO_PROCESS, 0);
  zygote.uid = geteuid();
  zygote.gid = getegid();
  zygote.groups = getgroups(kMostGroups, groups_of_zygote);
  zygote.terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  environment_of_zygote = environ;
  // poll says that a terminal has room, not that a line has: who writes to it must not wait (log.cc), and this
  // must be so for nobody else who has it open.
  const UniqueFd terminal(kServesOtherUsers && isatty(log_descriptor()) != 0
                              ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                              : -1);
  // Above the numbers that nearly every client passes, which then arrive where they belong.
  log_to(fcntl(terminal.valid() ? terminal.get() : log_descriptor(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  reset_signals();
  prepare_title();
}

bool has_warm_descriptors() { return zygote.warm_descriptors > 0; }

void keep_in_children(int descriptor) {
  if (zygote.warm_descriptors < kMaxWarmDescriptors) zygote.kept[zygote.warm_descriptors++] = descriptor;
}

void(decline)(const Accepted& accepted, bool log, const char* format, ...) {
  char reason[protocol::kMaxReason];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, unpack(format), arguments);
  va_end(arguments);
  if (log) log_line("request from pid %d, user %u: %s", accepted.peer.pid, accepted.peer.uid, reason);
  tell_declined(accepted.connection, reason);
  _exit(protocol::kOwnFailure);  // which is how the zygote knows it (launches.cc)
}

void keep_none_in_children() { zygote.warm_descriptors = 0; }

void leave_server(int channel) {
  // What the zygote takes by its signalfd would be pending here until a script starts, which it was not meant
  // for.
  const kernel::SignalSet blocked = kernel::SignalSet::of(SIGPIPE);  // of the log
  kernel::change_mask(SIG_SETMASK, &blocked, nullptr);
  if (zygote.terminal >= 0) ioctl(zygote.terminal, TIOCNOTTY);
  zygote.kept[zygote.warm_descriptors] = channel;
  zygote.kept[zygote.warm_descriptors + 1] = log_descriptor();
  close_all_but(STDERR_FILENO + 1, zygote.kept, zygote.warm_descriptors + 2);
}

void become(Accepted& accepted, LaunchRequest& request) {
  if (kernel::close_range(STDIN_FILENO, STDERR_FILENO) != 0) {
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) close(standard);
  }
  char* const room = request_room();
  if (kComparesClients) {
    if (const char* confined = find_confinement(accepted, room))
      decline(accepted, false, "the client is confined (proc(5): %s)", confined);
  }
  take_credentials(accepted, room);
  if (const char* problem = read_request(accepted.connection, request))
    (decline)(accepted, true, problem, nullptr);  // a format: it may hold %m
  const protocol::Request& header = request.header;
  if (header.lua != 0 && header.lua != MOONLET_LUA_CODE)
    decline(accepted, false, "this moonletd is for %s", MOONLET_LUA_NAME);
  // Its pidfd could not be signalled from there, and its pid would mean another process.
  if (header.pid != 0 && header.pid != accepted.peer.pid) decline(accepted, false, "another pid namespace");
  check_loader_environment(accepted, request);
  take_directory(accepted, request);  // before its descriptor is in the way of another's number
  int log = log_descriptor();
  place_descriptors(accepted, request, log);
  log_to(log);
  umask(header.umask);
  environ = request.environment;
  set_title(request);
  take_priority_and_limits(accepted, header);
  take_signals(header);
}

void start(const Accepted& accepted, const LaunchRequest& request) {
  // Out of the zygote's process group: the mark, for the zygote, that this child is the client's now.
  if (setpgid(0, 0) != 0) decline(accepted, false, "make a process group: %m");
  const protocol::Report report = {protocol::ReportKind::kStarted, getpid()};
  const int pidfd = kernel::open_pidfd(getpid());
  if (DescriptorMessage::send(accepted.connection, &report, sizeof report, pidfd, 0) < 0) {
    log_line("pid %d left before its script started", accepted.peer.pid);
    _exit(EXIT_SUCCESS);
  }
  close(log_descriptor());
  log_to(-1);
  prctl(PR_SET_DUMPABLE, 1);  // as exec sets it; a change of credentials took it away
  // Without a pidfd the client cannot watch this process: the open connection tells it that the script lives.
  int watched = accepted.connection;
  if (pidfd >= 0) {
    close(pidfd);
    close(accepted.connection);
    watched = -1;
  }
  if ((request.header.flags & protocol::kEndBySignal) != 0 && accepted.peer.pid > 0)
    promise_farewell(accepted.peer.pid, request.header.cookie, watched);
}

}  // namespace moonlet::zygote
