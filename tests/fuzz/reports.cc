// The client's reading of what the server's side says, and of the signals that come meanwhile: whoever listens
// at the socket's path is the zygote. An input is a list of events: a byte of the kind (and its variant), then
// what belongs to it.

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

namespace moonlet::fuzz {
namespace {

constexpr int kLastSignal = 64;

// The world of one input, as the client sees it.
struct World {
  Input input;
  int zygote;   // its end of the connection
  int signals;  // whoever sends signals
  bool started = false;
  bool has_hung_up = false;
  long pidfd_result = 0;  // of pidfd_send_signal
  uint8_t pending = 0;
};
World* world;

void hang_up() {
  shutdown(world->zygote, SHUT_WR);
  world->has_hung_up = true;
}

void send_report(const void* data, size_t size, int descriptors) {
  iovec part = {const_cast<void*>(data), size};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptors > 0) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    // One end is readable when the zygote has hung up, as a pidfd is at the end of the script; the other
    // always.
    const int passed[] = {world->signals, STDERR_FILENO};
    memcpy(CMSG_DATA(&control.header), passed, descriptors * sizeof(int));
  }
  sendmsg(world->zygote, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void queue_signal(uint32_t number, int code, int32_t value) {
  signalfd_siginfo info = {};
  info.ssi_signo = number;
  info.ssi_code = code;
  info.ssi_int = value;
  send(world->signals, &info, sizeof info, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void send_signal() {
  const uint32_t number = world->input.number<uint8_t>() % kLastSignal + 1;
  const auto code = world->input.number<int8_t>();
  const auto value = world->input.number<int32_t>();
  // Before the start they take their effect on this process.
  if (world->started) queue_signal(number, code, value);
}

// Makes the next thing happen.
void go_on() {
  const auto event = world->input.number<uint8_t>();
  const int variant = event >> 3;
  switch (event & 7) {
    case 0:
    case 1:
    case 2: {
      const auto report = world->input.number<uint64_t>();
      send_report(&report, sizeof report, event & 7);
      break;
    }
    case 3: {
      // One of the kinds that there are, with a value that is small.
      const int32_t report[] = {variant % 6, world->input.number<int8_t>()};
      send_report(report, sizeof report, variant / 6 % 2);
      break;
    }
    case 4: {
      size_t got = 0;
      const void* bytes = world->input.take(static_cast<size_t>(variant), got);
      send_report(bytes, got, 0);
      break;
    }
    case 5:
      send_signal();
      break;
    case 6:
      hang_up();
      break;
    default:
      world->pidfd_result = variant % 2 != 0 ? -1 : 0;
      world->pending = world->input.number<uint8_t>();
      break;
  }
}

int wait(pollfd* polled, nfds_t count, int timeout) {
  for (;;) {
    const int ready = poll(polled, count, 0);
    if (ready != 0 || timeout == 0) return ready;
    if (world->input.left() > 0) {
      go_on();
    } else if (!world->has_hung_up) {
      hang_up();
    } else {
      leave();  // it would wait for the script's end
    }
  }
}

// With MSG_WAITALL.
ssize_t receive(int socket, void* data, size_t size) {
  size_t got = 0;
  while (got < size) {
    const ssize_t more = recv(socket, static_cast<char*>(data) + got, size - got, MSG_DONTWAIT);
    if (more == 0) break;
    if (more > 0) {
      got += static_cast<size_t>(more);
    } else if (world->input.left() > 0) {
      go_on();
    } else {
      hang_up();
    }
  }
  return static_cast<ssize_t>(got);
}

[[noreturn]] void exit_with(int) {
  PROMISE(world->started);
  leave();
}

int kill(pid_t pid, int signal) {
  PROMISE(signal >= 1 && signal <= kLastSignal);
  PROMISE(world->started);
  PROMISE(pid != 0 && pid != -1 && pid != 1);  // nobody but the script, and this process
  return 0;
}

template <typename... Arguments>
long call(long number, Arguments... arguments) {
  const uintptr_t argument[] = {(uintptr_t)arguments...};
  switch (number) {
    case SYS_rt_sigprocmask:
    case SYS_rt_sigaction:
      return 0;
    case SYS_signalfd4:
      return static_cast<int>(argument[0]);
    case SYS_rt_sigpending:
      memset(reinterpret_cast<void*>(argument[0]), world->pending, kLastSignal / 8);
      return 0;
    case SYS_pidfd_send_signal:
      PROMISE(argument[1] >= 1 && argument[1] <= kLastSignal);
      if (static_cast<int>(argument[0]) < 0) errno = EBADF;
      return static_cast<int>(argument[0]) < 0 ? -1 : world->pidfd_result;
    default:
      PROMISE(number == SYS_rt_sigprocmask);  // one that this target does not know
      return -1;
  }
}

}  // namespace
}  // namespace moonlet::fuzz

#define poll moonlet::fuzz::wait
#define _exit moonlet::fuzz::exit_with
#define kill moonlet::fuzz::kill
#define syscall moonlet::fuzz::call
#define recv(socket, data, size, flags) moonlet::fuzz::receive(socket, data, size)
#define prctl(...) static_cast<void>(0)
#define writev(file, parts, count) moonlet::fuzz::print(parts, count)
#include "ctl/follow.cc"
#include "fallback/refusal.cc"
#undef poll
#undef _exit
#undef kill
#undef syscall
#undef recv
#undef prctl
#undef writev

void moonlet::ctl::close_passed_descriptors() { fuzz::world->started = true; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moonlet;
  const fuzz::Descriptors descriptors;
  int connection[2];
  int signals[2];
  PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connection) == 0);
  PROMISE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, signals) == 0);
  fuzz::World world = {{data, size}, connection[0], signals[0]};
  fuzz::world = &world;
  if (setjmp(fuzz::way_out) != 0) return 0;
  fallback::Refusal refusal = {"", ""};
  ctl::follow(connection[1], "/socket", signals[1], kernel::SignalSet(), refusal);
  PROMISE(!world.started && refusal.reason != nullptr);
  PROMISE(strlen(refusal.reason) <= protocol::kMaxReason);
  fallback::print_refusal(refusal);
  return 0;
}
