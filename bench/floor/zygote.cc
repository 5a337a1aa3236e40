// floor-zygote [--spare] SOCKET: a zygote without Lua, the floor under moonletd. It accepts, looks at who
// asks, and forks; the child takes the client's descriptors and directory, writes a line, tells its status
// and ends. With --spare the child is forked ahead, and handed the connection.
//
// Writes a newline to its standard output when it serves. Ends when it is killed.

#include "floor/message.h"
#include "protocol/socket_path.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::floor {

namespace {

[[noreturn]] void fail(const char* doing) {
  fprintf(stderr, "floor-zygote: %s: %s\n", doing, strerror(errno));
  exit(EXIT_FAILURE);
}

int listen_at(const char* path) {
  const protocol::SocketAddress address = protocol::socket_address(path);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, address.get(), address.size()) != 0) fail(path);
  if (listen(listener, SOMAXCONN) != 0) fail("listen");
  return listener;
}

// The handler of SIGCHLD. Reaping here, and not in front of the next accept, keeps it out of the launch.
void reap(int /*signal*/) {
  const int error = errno;
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  errno = error;
}

// The next connection of the user whom this zygote serves, once a request has begun to come.
int accept_request(int listener) {
  for (;;) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      fail("accept");
    }
    ucred peer = {};
    socklen_t size = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid()) {
      pollfd request = {connection, POLLIN, 0};
      while (poll(&request, 1, -1) < 0) {  // a child ended meanwhile
      }
      return connection;
    }
    close(connection);
  }
}

// The child: becomes the client, works, says how it ended, ends.
[[noreturn]] void run(int connection) {
  Message request;
  int passed[kDescriptors];
  if (!request.receive(connection, passed, kDescriptors)) _exit(EXIT_FAILURE);
  for (int i = 0; i < 3; i++) dup2(passed[i], i);
  if (fchdir(passed[3]) != 0) _exit(EXIT_FAILURE);
  static const char kHello[] = "hello\n";
  const Status status = write(STDOUT_FILENO, kHello, sizeof kHello - 1) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
  send(connection, &status, sizeof status, MSG_NOSIGNAL);  // fails only if the client is gone
  _exit(status);
}

[[noreturn]] void fork_on_request(int listener) {
  for (;;) {
    const int connection = accept_request(listener);
    const pid_t child = fork();
    if (child == 0) run(connection);
    if (child < 0) fail("fork");
    close(connection);
  }
}

// A spare: waits for a connection at its end of the pair, and ends with the zygote.
[[noreturn]] void wait_for_connection(const int* pair) {
  close(pair[0]);
  Message handed;
  int connection = -1;
  if (!handed.receive(pair[1], &connection, 1)) _exit(EXIT_SUCCESS);
  run(connection);
}

[[noreturn]] void hand_to_spare(int listener) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  for (;;) {
    const pid_t child = fork();
    if (child == 0) wait_for_connection(pair);
    if (child < 0) fail("fork");
    const int connection = accept_request(listener);
    Message handed;
    if (!handed.send(pair[0], &connection, 1)) fail("hand a connection to the spare");
    close(connection);
    // The spare may have been woken on this processor: before the next fork, which would keep it waiting.
    // That takes a third off a launch on a machine with two processors.
    sched_yield();
  }
}

}  // namespace

}  // namespace moonlet::floor

int main(int argc, char** argv) {
  using namespace moonlet::floor;
  const bool spare = argc == 3 && strcmp(argv[1], "--spare") == 0;
  if (argc != 2 + (spare ? 1 : 0)) {
    fputs("usage: floor-zygote [--spare] SOCKET\n", stderr);
    return EXIT_FAILURE;
  }
  struct sigaction action = {};
  action.sa_handler = reap;
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, nullptr);
  const int listener = listen_at(argv[argc - 1]);
  if (write(STDOUT_FILENO, "\n", 1) != 1) fail("say that it serves");
  if (spare) hand_to_spare(listener);
  fork_on_request(listener);
}
