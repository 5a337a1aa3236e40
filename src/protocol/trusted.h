// Whose server a client talks to: it gets to know all that the script has, and decides what runs.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::protocol {

/// Whether whoever listens at the other end of `socket`, which is connected, is root or the effective user. To
/// be asked before anything is sent.
inline bool is_trusted(int socket) {
  ucred server = {};
  socklen_t size = sizeof server;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &server, &size) == 0 &&
         (server.uid == 0 || server.uid == geteuid());
}

/// Why one that is not trusted is not asked.
constexpr char kNotTrusted[] = "it belongs to another user";

}  // namespace moonlet::protocol
