// moonletd: serves scripts from an image of its warm-up, and keeps that fresh. It is two processes. The one
// that was started keeps the image, and may have to wait for the files that it looks at; its child serves, and
// waits for nobody. When moonletd is ended, the child is left until the last script has ended, so that its
// client is told how.

#include "base/descriptors.h"
#include "base/kernel.h"
#include "base/unique_fd.h"
#include "child/become.h"
#include "child/execute.h"
#include "child/log.h"
#include "child/parts.h"
#include "protocol/socket_path.h"
#include "server/bulletin.h"
#include "server/keeper.h"
#include "server/listener.h"
#include "server/options.h"
#include "server/serve.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

constexpr int kTaken[] = {SIGHUP, SIGTERM, SIGINT};

// Above the numbers that nearly every client passes, which then arrive where they belong.
void move_log() {
  // poll says that a terminal has room, not that a line has: who writes to it must not wait (log.cc), and this
  // must be so for nobody else who has it open.
  const UniqueFd terminal(kServesOtherUsers && isatty(STDERR_FILENO) != 0
                              ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                              : -1);
  log_to(fcntl(terminal.valid() ? terminal.get() : STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

// Blocks the signals that moonletd acts on, so that none is lost once others know that it serves. Returns the
// mask so far. SIGPIPE, from a log that nobody reads any more, is blocked rather than ignored: a child has
// nothing to undo but the mask, which it sets in any case.
kernel::SignalSet block_signals(const kernel::SignalSet& taken) {
  kernel::SignalSet before;
  kernel::SignalSet blocked = taken;
  blocked.add(SIGPIPE);
  kernel::change_mask(SIG_BLOCK, &blocked, &before);
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) kernel::set_default(signal);
  return before;
}

int open_signals(const kernel::SignalSet& taken) {
  const int signals = kernel::open_signalfd(taken);
  if (signals < 0) fail("signalfd: %m");
  return signals;
}

Bulletin& map_bulletin() {
  void* const page = mmap(nullptr, sizeof(Bulletin), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) fail("mmap: %m");
  return *static_cast<Bulletin*>(page);
}

// Its own session: a terminal's signals are for the keeper alone, and scripts have no terminal but their
// client's.
[[noreturn]] void begin_to_serve(Listener& listener, int keeper, Bulletin& bulletin, const Options& options,
                                 const char* image, int directory) {
  setsid();
  // It may live longer than who has started moonletd wants to listen.
  for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) close(standard);
  open_standard_descriptors();
  child::prepare_children(image, directory, options.compare_clients, bulletin.refused);
  const int signals = open_signals(kernel::SignalSet::of(SIGCHLD));
  serve(listener, signals, keeper, bulletin, {options.max, image});
  _exit(EXIT_SUCCESS);
}

// What else may be open in the server is not for the keeper to hold open: it listens to nobody.
int keep_image(Listener& listener, const Post& post) {
  listener.close();
  const int status = keep(post);
  listener.remove();
  // Whoever starts another moonletd then finds nobody at the socket.
  constexpr int kPatience = 10'000;  // milliseconds
  pollfd server = {post.channel, POLLRDHUP, 0};
  shutdown(post.channel, SHUT_WR);
  poll(&server, 1, kPatience);
  return status;
}

const char* image_path(const Options& options) {
  static protocol::ImagePath beside;
  beside.set(protocol::socket_address(options.socket));
  return options.image != nullptr ? options.image : beside.text;
}

int run(const Options& options, UniqueFd inherited) {
  const char* const image = image_path(options);
  const int directory = child::open_program_directory();
  if (directory < 0) fail("find moonlet beside moonletd: %m");
  Listener listener(static_cast<UniqueFd&&>(inherited), options.socket, static_cast<mode_t>(options.mode));
  mode_t readers = 0;
  if (kServesOtherUsers && geteuid() == 0 && listener.is_for_others(readers))
    log_line("other users can read what the warm-up left in memory");
  unlink(image);  // of another warm-up, perhaps
  kernel::SignalSet taken = kernel::SignalSet::of(SIGCHLD);
  for (const int signal : kTaken) taken.add(signal);
  const kernel::SignalSet mask = block_signals(taken);
  Bulletin& bulletin = map_bulletin();
  int channel[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) fail("socketpair: %m");
  const int signals = open_signals(taken);
  const pid_t server = fork();
  if (server < 0) fail("fork: %m");
  if (server == 0) {
    close(channel[0]);
    close(signals);
    if (options.ready_fd >= 0) close(options.ready_fd);
    begin_to_serve(listener, channel[1], bulletin, options, image, directory);
  }
  close(channel[1]);
  return keep_image(
      listener, {options, image, readers, directory, mask, signals, server, channel[0], listener, bulletin});
}

}  // namespace

}  // namespace moonlet::server

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::server;
  open_standard_descriptors();
  const Options options = read_options(argc, argv);
  UniqueFd inherited = inherited_listener();
  move_log();
  return run(options, static_cast<UniqueFd&&>(inherited));
}
