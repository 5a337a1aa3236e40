// Answers who asks how the server is. The server itself reads nothing and waits for nothing: a child that it
// forks has all that there is to tell in its memory, and passes on the image.
#pragma once

#include "server/bulletin.h"
#include "server/launches.h"

#include <sys/types.h>

namespace moonlet::server {

/// What there is to tell of the image, and of who could not use it.
struct Image {
  const char* path;
  Bulletin& bulletin;
};

/// Forks a child that tells `launches`, then `image`, to `connection`, whose client is `peer`. It is closed
/// here. While an earlier such child lives, or where none can be forked, the connection is closed without an
/// answer. The child counts as no launch, and ends after two seconds at most.
void answer_status(int connection, const ucred& peer, Launches& launches, const Image& image);

/// Notes that a child has ended, which may be the one of answer_status().
void status_reaped(pid_t pid);

}  // namespace moonlet::server
