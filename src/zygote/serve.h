// The zygote: accept, fork, reap. It leaves everything that a request says to the child.
#pragma once

#include "base/kernel.h"

#include <sys/socket.h>

namespace moonlet::zygote {

class Listener;

/// A connection as a child finds it.
struct Accepted {
  int connection;  // the child's to close
  ucred peer;      // who connected, as the kernel knows it (SO_PEERCRED)
};

/// Blocks the signals that the zygote acts on and opens a signalfd(2) for them, so that none is lost once
/// others know that it serves. `before`: the mask so far. Logs and exits with 1 on failure.
int open_signals(kernel::SignalSet& before);

/// How to serve.
struct Terms {
  int max;           // launches at once; 0: as many as there are descriptors for
  int spare;         // children forked ahead
  int reexec_every;  // launches after which a new image takes over; 0: never
  int idle_exit;     // seconds without a launch after which to stop; 0: never
  void (*prepare)(int channel,
                  bool is_spare);    // in each child, before it waits for anything: keeps `channel` open
  void (*describe)(int connection);  // in a child that tells the status: writes all that is behind the launches
};

/// Serves on `listener` and `signals`, from open_signals(), until SIGTERM or
/// SIGINT, or idle for too long: then it returns false. On SIGHUP, and when a watched file has changed
/// (watch.h), it lets a new image take over (renewal.h). In each child it returns true, prepared, with what the
/// child is for.
bool serve(Listener& listener, int signals, const Terms& terms, Accepted& accepted);

}  // namespace moonlet::zygote
