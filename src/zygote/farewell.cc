#include "zygote/farewell.h"

#include "base/kernel.h"
#include "protocol/protocol.h"
#include "zygote/descriptors.h"
#include "zygote/log.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

struct Promise {
  pid_t self = 0;  // 0: none. A fork of the child has another pid, and does not speak for it
  pid_t client = 0;
  uint32_t cookie = 0;
  int watched = 0;
};
Promise promise;

int exit_status = 0;
pid_t group_of_zygote = 0;
void (*libc_exit)(int) = nullptr;

void send_signal_with_status() {
  siginfo_t info = {};
  info.si_signo = SIGURG;
  info.si_code = SI_QUEUE;
  info.si_pid = promise.self;
  info.si_uid = getuid();
  info.si_int = static_cast<int>(protocol::end_value(promise.cookie, exit_status));
  // SIGURG is ignored by default: were the client gone and its number taken, nobody would be harmed. If
  // this fails, because the script has become another user, the zygote tells.
  syscall(SYS_rt_sigqueueinfo, promise.client, SIGURG, &info);
}

// Runs after every other handler of atexit(3). What exit would still do is to flush the streams and to give
// back what was read ahead of a seekable standard input; then the descriptors close before anybody learns
// of the end, as they do when a process is gone.
void say_farewell() {
  if (promise.self == 0 || promise.self != getpid()) return;
  fflush(nullptr);
  fflush(stdin);
  close_all_but(0, &promise.watched, 1);
  // Back there, so that the zygote does not end it as a script whose client has left: its status counts.
  setpgid(0, group_of_zygote);
  send_signal_with_status();
  // Where both share a processor, the client runs now, and not after the kernel has taken this process apart.
  sched_yield();
  _exit(exit_status);
}

}  // namespace

void prepare_farewell() {
  group_of_zygote = getpgid(0);
  libc_exit = reinterpret_cast<void (*)(int)>(dlsym(RTLD_NEXT, "exit"));
  if (atexit(say_farewell) != 0) fail("not enough memory");
}

void say_farewell_now(int status) {
  exit_status = status;
  if (promise.self == getpid()) send_signal_with_status();
  promise = {};
}

void promise_farewell(pid_t client, uint32_t cookie, int watched) {
  promise = {getpid(), client, cookie, watched};
}

}  // namespace moonlet::zygote

// Stands in front of the C library's, for liblua (os.exit) and every C module too: a handler of atexit is
// not told the status.
extern "C" [[gnu::visibility("default")]] void exit(int status) {
  moonlet::zygote::exit_status = status;
  moonlet::zygote::libc_exit(status);
  __builtin_unreachable();  // as <stdlib.h> declares it
}
