// The zygote: accept, fork, reap. It leaves everything that a request says to the child.
#pragma once

#include <sys/socket.h>

namespace moonlet::zygote {

/// A connection as a child finds it.
struct Accepted {
  int connection;  // the child's to close
  ucred peer;      // who connected, as the kernel knows it (SO_PEERCRED)
};

/// Blocks the signals that the zygote acts on and opens a signalfd(2) for them, so that none is lost once
/// others know that it serves. Logs and exits with 1 on failure.
int open_signals();

/// How to serve.
struct Terms {
  int max;    // launches at once; 0: as many as there are descriptors for
  int spare;  // children forked ahead
  void (*prepare)(int channel,
                  bool is_spare);    // in each child, before it waits for anything: keeps `channel` open
  void (*describe)(int connection);  // in a child that tells the status: writes all that is behind the launches
};

/// Serves on `listener`, a non-blocking listening socket, and `signals`, from open_signals(), until SIGTERM or
/// SIGINT: then it returns false. In each child it returns true, prepared, with what the child is for.
bool serve(int listener, int signals, const Terms& terms, Accepted& accepted);

}  // namespace moonlet::zygote
