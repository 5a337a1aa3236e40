// The keeper of the image: has it made, looks whether it is right, and has it made anew. It knows nothing of
// launches but that there are some.
#pragma once

#include "base/kernel.h"

#include <sys/types.h>

namespace moonlet::server {

struct Bulletin;
class Listener;
struct Options;

/// What the keeper works with. All of it must live as long as it.
struct Post {
  const Options& options;
  const char* image;         // path
  mode_t readers;            // permissions that the image has besides its owner's
  int directory;             // a descriptor of the one that moonlet is in
  kernel::SignalSet mask;    // of blocked signals, for the warm-up
  int signals;               // a signalfd: SIGCHLD, SIGHUP, SIGTERM, SIGINT
  pid_t server;              // the process that serves
  int channel;               // a socket to that
  const Listener& listener;  // for its name
  Bulletin& bulletin;
};

/// Keeps the image until SIGTERM or SIGINT come, or the server ends. Then no warm-up runs any more. When the
/// first one has ended it says that moonletd serves (Options::ready_fd and so on). Returns the exit status for
/// moonletd.
int keep(const Post& post);

}  // namespace moonlet::server
