#include "module/launch.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "base/unique_fd.h"
#include "protocol/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::module_of_lua {

namespace {

using protocol::Refusal;
using protocol::Report;
using protocol::ReportKind;

// The kernel gives a server's child no way to be two users at once.
bool is_two_users() { return getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid(); }

bool connect_to(int socket, const protocol::SocketAddress& address) {
  while (connect(socket, address.get(), address.size()) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

// The lowest descriptors of this process, until the script has its own.
int move_up(int descriptor) {
  return descriptor >= 0 ? fcntl(descriptor, F_DUPFD_CLOEXEC, Handle::kStreams) : descriptor;
}

void close_from(int first) {
  if (kernel::close_range(static_cast<unsigned>(first), ~0U) == 0) return;
  kernel::Limit limit = {};
  kernel::limit(RLIMIT_NOFILE, nullptr, &limit);
  for (int i = first; i < static_cast<int>(limit.soft); i++) close(i);
}

// In the child: a process as the server would have made it. `report`: a descriptor to keep until the exec.
// Returns errno.
int become_script(const Handle& handle, pid_t parent, int& report, const char* interpreter, char** argv,
                  char** environment) {
  // It goes with whoever has started it, as one of the server's does.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) return errno;
  // Without a controlling terminal it may read one, though it is in a process group of its own.
  if (setsid() < 0 || fchdir(handle.passed[Handle::kDirectory]) != 0) return errno;
  int source[Handle::kStreams];
  for (int i = 0; i < Handle::kStreams; i++) {
    source[i] = move_up(handle.passed[i]);
    if (handle.passed[i] >= 0 && source[i] < 0) return errno;
  }
  for (int i = 0; i < Handle::kStreams; i++) {
    if (source[i] < 0) {
      close(i);
    } else if (dup2(source[i], i) < 0) {
      return errno;
    }
  }
  constexpr int kReport = Handle::kStreams;
  if (report != kReport && dup3(report, kReport, O_CLOEXEC) < 0) return errno;
  report = kReport;
  close_from(kReport + 1);
  execvpe(interpreter, argv, environment);
  return errno;
}

}  // namespace

bool ask_server(Handle& handle, const protocol::SocketAddress& address, protocol::OutgoingRequest& request,
                Refusal& refusal) {
  const char* path = address.un.sun_path;
  if (!address.fits) {
    refusal = {"connect", path, ENAMETOOLONG};
    return false;
  }
  if (is_two_users()) {
    refusal = {"launch with raised privileges through", path, EPERM};
    return false;
  }
  int& connection = handle.script.connection;
  connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0 || !connect_to(connection, address)) {
    refusal = {"connect", path, errno};
    return false;
  }
  if (!protocol::is_trusted(connection)) {
    refusal = {"launch through", path, 0, protocol::kNotTrusted};
    return false;
  }
  int32_t number[Handle::kStreams];
  int32_t passed[Handle::kStreams + 1];
  uint32_t count = 0;
  for (int i = 0; i < Handle::kStreams; i++) {
    if (handle.passed[i] < 0) continue;
    number[count] = i;
    passed[count++] = handle.passed[i];
  }
  passed[count] = handle.passed[Handle::kDirectory];
  request.header.fdc = count;
  request.number = number;
  request.descriptor = passed;
  protocol::describe_process(request.header);
  kernel::change_mask(SIG_BLOCK, nullptr, &request.header.blocked);
#if defined(MOONLET_TELLS_HOW)
  request.header.flags |= protocol::kTellsHow;
#endif
  // A server that hangs up while it is being told has said why.
  if (protocol::send(connection, request) || errno == EPIPE) return true;
  refusal = {"send the request to", path, errno};
  return false;
}

bool await_answer(Handle& handle, const protocol::SocketAddress& address, Refusal& refusal) {
  const char* path = address.un.sun_path;
  Report report = {};
  if (!protocol::receive(handle.script, report)) {
    refusal = {"launch through", path, 0, "it ended before the script started"};
    return false;
  }
  if (report.kind == ReportKind::kDeclined) {
    MOONLET_LARGE static protocol::Reason reason;
    refusal = {"launch through", path, 0, protocol::receive_reason(handle.script, report, reason)};
    return false;
  }
  if (report.kind != ReportKind::kStarted || !protocol::can_be(report)) return true;
  handle.script.pid = report.value;
  return false;
}

const char* fallback() {
  const char* interpreter = getenv("MOONLET_FALLBACK");
  if (interpreter == nullptr) interpreter = MOONLET_FALLBACK_NAME;
  return *interpreter != '\0' ? interpreter : nullptr;
}

bool run_fallback(Handle& handle, const char* interpreter, char** argv, char** environment, Refusal& refusal) {
  int report[2] = {-1, -1};
  if (pipe2(report, O_CLOEXEC) != 0) {
    refusal = {"make a pipe for", interpreter, errno};
    return false;
  }
  const UniqueFd to_read(report[0]);
  UniqueFd to_write(report[1]);
  // What getppid(2) tells the child: in a warm-up that will be frozen getpid(3) says something else.
  const auto self = static_cast<pid_t>(syscall(SYS_getpid));
  const pid_t pid = fork();
  if (pid == 0) {
    // Above what the script has, so that none of that takes its number.
    int told = move_up(report[1]);
    const int error = become_script(handle, self, told, interpreter, argv, environment);
    [[maybe_unused]] const ssize_t written = write(told, &error, sizeof error);
    _exit(protocol::kOwnFailure);
  }
  if (pid < 0) {
    refusal = {"fork for", interpreter, errno};
    return false;
  }
  to_write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(to_read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    refusal = {"exec the fallback", interpreter, error};
    return false;
  }
  handle.source = Handle::Source::kChild;
  handle.runs = 0;
  handle.script.pid = pid;
  handle.script.pidfd = kernel::open_pidfd(pid);
  if (handle.script.pidfd >= 0) handle.script.connection = fcntl(handle.script.pidfd, F_DUPFD_CLOEXEC, 0);
  return true;
}

}  // namespace moonlet::module_of_lua
