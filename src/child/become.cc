#include "child/become.h"

#include "base/descriptor_message.h"
#include "base/descriptors.h"
#include "base/kernel.h"
#include "base/layout.h"
#include "base/unique_fd.h"
#include "child/confinement.h"
#include "child/execute.h"
#include "child/log.h"
#include "child/parts.h"
#include "child/report.h"
#include "child/request.h"
#include "protocol/handed.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::child {

namespace {

using protocol::Declined;

#if defined(MOONLET_TELLS_HOW)
constexpr bool kTellsHow = true;
#else
constexpr bool kTellsHow = false;
#endif

constexpr int kMostGroups = protocol::kMaxDescriptors;  // a client that has more gets lua

// What children start from.
struct Server {
  int nice;
  uid_t uid;
  gid_t gid;
  int groups;
  int directory;  // a descriptor of the one that moonlet is in
  const char* image;
  Refused* refused;
  kernel::Limit limit[kernel::kLimits];
};
Server server;
MOONLET_LARGE gid_t groups_of_server[kMostGroups];
static_assert(sizeof groups_of_server >= kRoom && kRequestRoom >= sizeof groups_of_server);

// What is open in a child and is not the client's.
struct Own {
  int connection;
  int log;
  int image;      // or what is none
  int directory;  // as in Server
};

// Tells the client that nothing will run, and why: `format` is printf(3)'s.
[[noreturn, gnu::format(printf, 3, 4)]] void decline(const Accepted& accepted, Declined why, const char* format,
                                                     ...) {
  char reason[protocol::kMaxReason];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, unpack(format), arguments);
  va_end(arguments);
  // Of one that has left nothing is to be learnt: it cannot be looked at, and its request breaks off.
  pollfd client = {accepted.connection, 0, 0};
  if (poll(&client, 1, 0) == 0) note_declined(*server.refused, why, accepted.peer, reason);
  tell_declined(accepted.connection, reason);
  _exit(EXIT_SUCCESS);
}
#if defined(MOONLET_PACKED_TEXTS)
#define decline(accepted, why, ...) decline(accepted, why, MOONLET_TEXT(__VA_ARGS__))
#endif

[[noreturn]] void decline_to_take_user(const Accepted& accepted) {
  decline(accepted, Declined::kOtherUser, "take the client's user and groups: %m");
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
  socklen_t size = sizeof groups_of_server;
  if (getsockopt(accepted.connection, SOL_SOCKET, SO_PEERGROUPS, group, &size) != 0)
    decline_to_take_user(accepted);
  const auto groups = size / sizeof *group;
  const ucred& peer = accepted.peer;
  const bool same_groups = groups == static_cast<size_t>(server.groups) &&
                           memcmp(group, groups_of_server, groups * sizeof *group) == 0;
  if (same_groups && peer.gid == server.gid && peer.uid == server.uid) return;
  if (!kServesOtherUsers) decline(accepted, Declined::kOtherUser, "its groups are others than moonletd's");
  const bool other_user = peer.uid != server.uid;
  if (other_user) take_login(peer);
  // Not root's session keyring. It is made while this is root, whose quota of keys is no limit. Without
  // keyctl(2), forbidden or not built in, this process cannot use keys either.
  if ((other_user && kernel::join_new_keyring() < 0 && errno != ENOSYS && errno != EPERM) ||
      (!same_groups && setgroups(groups, group) != 0) || setresgid(peer.gid, peer.gid, peer.gid) != 0 ||
      setresuid(peer.uid, peer.uid, peer.uid) != 0 ||
      (other_user && kernel::drop_capabilities() != 0))  // the kernel leaves the inheritable ones
    decline_to_take_user(accepted);
  // Not dumpable from here on: until the exec, this user's other processes must not get at what is still the
  // server's.
}

void take_directory(const Accepted& accepted, const LaunchRequest& request) {
  const int directory = request.received[request.header.fdc];
  if (fchdir(directory) != 0) decline(accepted, Declined::kDirectory, "enter the working directory: %m");
  close(directory);
}

[[noreturn]] void decline_to_place(const Accepted& accepted) {
  decline(accepted, Declined::kDescriptors, "place a descriptor: %m");
}

// Gives each received descriptor the number that it has in the client. They arrive at the lowest free
// numbers in ascending order, so that usually all of them are in place.
void place_descriptors(Accepted& accepted, LaunchRequest& request, Own& own) {
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
    make_way(own.connection);
    accepted.connection = own.connection;
    make_way(own.log);
    make_way(own.image);
    make_way(own.directory);
    for (int later = i + 1; later < count; later++) make_way(request.received[later]);
    if (dup2(request.received[i], wanted) < 0) decline_to_place(accepted);
    close(request.received[i]);
  }
}

// Puts what moonlet shall get behind all that is open. Returns the number that it begins with. With the
// server's limit of descriptors: it may be higher than the client's.
int place_handed(Accepted& accepted, const LaunchRequest& request, const Own& own) {
  // Where many wait it may have the highest number that there is.
  const int lower = fcntl(own.connection, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (lower >= 0) {
    close(accepted.connection);
    accepted.connection = lower;
  }
  const int handed[] = {own.directory, own.image, open_title(request.header.comm)};
  int first = request.header.fdc != 0 ? request.number[request.header.fdc - 1] : STDERR_FILENO;
  const int above[] = {accepted.connection, own.log, handed[0], handed[1], handed[2]};
  for (const int descriptor : above) {
    if (descriptor > first) first = descriptor;
  }
  first++;
  for (int i = 0; i < protocol::handed::kHanded; i++) {
    if (handed[i] < 0) continue;
    if (dup2(handed[i], first + i) < 0) decline_to_place(accepted);
    close(handed[i]);
  }
  return first;
}

// What a process may not raise its user could raise by a request of his own making.
bool asks_for_more(const ucred& peer, const protocol::Request& header) {
  if (peer.uid == server.uid) return false;
  kernel::Limit its = {};
  for (int i = 0; i < kernel::kLimits; i++) {
    if (kernel::limit_of(peer.pid, i, &its) != 0 || header.limit[i].hard > its.hard) return true;
  }
  return header.nice < getpriority(PRIO_PROCESS, static_cast<id_t>(peer.pid));
}

void take_priority_and_limits(const Accepted& accepted, const protocol::Request& header) {
  if (kServesOtherUsers && asks_for_more(accepted.peer, header))
    decline(accepted, Declined::kLimits, "the client has not the limits that it claims");
  if (header.nice != server.nice && setpriority(PRIO_PROCESS, 0, header.nice) != 0)
    decline(accepted, Declined::kLimits, "set nice value: %m");
  for (int i = 0; i < kernel::kLimits; i++) {
    if (memcmp(&header.limit[i], &server.limit[i], sizeof server.limit[i]) == 0) continue;
    if (kernel::limit(i, &header.limit[i], nullptr) != 0)
      decline(accepted, Declined::kLimits, "set resource limit %d: %m", i);
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

// Tells the client that its script starts, and gives up the connection: from here on there is no fallback but
// moonlet's own. Ends this process if the client has left.
void start(const Accepted& accepted, bool tells_how, int first) {
  // Out of the server's process group: the mark, for the server, that this child is the client's now.
  if (setpgid(0, 0) != 0) decline(accepted, Declined::kResources, "make a process group: %m");
  const protocol::Report report = {protocol::ReportKind::kStarted, getpid()};
  const int pidfd = kernel::open_pidfd(getpid());
  if (DescriptorMessage::send(accepted.connection, &report, sizeof report, pidfd, 0) < 0) {
    log_line("pid %d left before its script started", accepted.peer.pid);
    _exit(EXIT_SUCCESS);
  }
  // Without a pidfd the client cannot watch this process: the open connection tells it that the script lives.
  if (pidfd < 0) dup2(accepted.connection, first + protocol::handed::kConnection);
  if (kTellsHow && tells_how) dup2(accepted.connection, first + protocol::handed::kTelling);
  close(pidfd);
  close(accepted.connection);
}

}  // namespace

void prepare_children(const char* image, int directory, int compares, Refused& refused) {
  if (kComparesClients) prepare_comparison(compares, reinterpret_cast<char*>(groups_of_server));
  server.image = image;
  server.directory = directory;
  server.refused = &refused;
  kernel::Limit files = {};
  if (kernel::limit(RLIMIT_NOFILE, nullptr, &files) == 0) {
    files.soft = files.hard;  // a descriptor for each launch; children get the client's limit
    kernel::limit(RLIMIT_NOFILE, &files, nullptr);
  }
  for (int i = 0; i < kernel::kLimits; i++) kernel::limit(i, nullptr, &server.limit[i]);
  server.nice = getpriority(PRIO_PROCESS, 0);
  server.uid = geteuid();
  server.gid = getegid();
  server.groups = getgroups(kMostGroups, groups_of_server);
}

void leave_server(int channel) {
  // What the server takes by its signalfd would be pending here until a script starts, which it was not meant
  // for.
  const kernel::SignalSet blocked = kernel::SignalSet::of(SIGPIPE);  // of the log
  kernel::change_mask(SIG_SETMASK, &blocked, nullptr);
  const int kept[] = {channel, log_descriptor(), server.directory};
  close_all_but(STDERR_FILENO + 1, kept, 3);
}

// The order. Who the client is comes from the kernel, and is looked at with the server's rights; so is the
// image opened. Then the rights go, and only then is the request read. The working directory comes before the
// descriptors, because its own would be in the way of another's number; descriptors before limits, which may
// leave no room for them; and the signals last, because from then on they can end this process.
void become(Accepted accepted) {
  if (kernel::close_range(STDIN_FILENO, STDERR_FILENO) != 0) {
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) close(standard);
  }
  MOONLET_OPEN_ENDED static constinit LaunchRequest request = {};
  char* const room = request_room();
  if (kComparesClients) {
    if (const char* confined = find_confinement(accepted, room))
      decline(accepted, Declined::kConfined, "the client is confined (proc(5): %s)", confined);
  }
  Own own = {accepted.connection, log_descriptor(), open_image(server.image), server.directory};
  take_credentials(accepted, room);
  if (const char* problem = read_request(accepted.connection, request))
    (decline)(accepted, Declined::kRequest, problem, nullptr);  // a format: it may hold %m
  const protocol::Request& header = request.header;
  if (header.lua != 0 && header.lua != MOONLET_LUA_CODE)
    decline(accepted, Declined::kOtherLua, "this moonletd is for %s", MOONLET_LUA_NAME);
  // Its pidfd could not be signalled from there, and its pid would mean another process.
  if (header.pid != 0 && header.pid != accepted.peer.pid)
    decline(accepted, Declined::kPidNamespace, "another pid namespace");
  if (!can_be_executed(request)) decline(accepted, Declined::kStrings, "its strings are more than exec takes");
  take_directory(accepted, request);
  place_descriptors(accepted, request, own);
  log_to(own.log);
  const int first = place_handed(accepted, request, own);
  umask(header.umask);
  take_priority_and_limits(accepted, header);
  take_signals(header);
  start(accepted, (header.flags & protocol::kTellsHow) != 0, first);
  execute(first, request);
}

}  // namespace moonlet::child
