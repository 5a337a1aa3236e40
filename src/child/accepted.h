// A connection as a child of the server finds it.
#pragma once

#include <sys/socket.h>

namespace moonlet::child {

struct Accepted {
  int connection;  // the child's to close
  ucred peer;      // who connected, as the kernel knows it (SO_PEERCRED)
};

}  // namespace moonlet::child
