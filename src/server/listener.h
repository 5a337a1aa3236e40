// The socket that the server listens on: made here, or handed over by a supervisor.
#pragma once

#include "base/file_identity.h"
#include "base/unique_fd.h"
#include "protocol/socket_path.h"

namespace moonlet::server {

/// Takes a listening socket that a supervisor passed: descriptor 3 under systemd's $LISTEN_FDS
/// (sd_listen_fds(3)), or descriptor 0 (s6-ipcserver-socketbinder), which is then opened on /dev/null.
/// Call it before anything else opens a descriptor. Owns nothing if none was passed; exits with 1 where
/// what was passed cannot be served.
UniqueFd inherited_listener();

class Listener {
 public:
  /// Listens on `inherited` if that owns a socket, else binds the path that protocol::socket_address gives for
  /// `named`, with permissions `mode`. A socket file that nobody listens on is replaced. Logs and exits with 1
  /// on failure, also where another server lives there. One that has been killed may still be letting go of its
  /// socket: that is waited for.
  Listener(UniqueFd inherited, const char* named, unsigned mode);

  [[nodiscard]] int get() const { return fd_.get(); }

  /// What it listens on, for people to read.
  [[nodiscard]] const char* name() const { return *path_ != '\0' ? path_ : "the inherited socket"; }

  /// Whether the permissions of the socket file let more than one user connect, or cannot be known. `readers`
  /// gets the permissions by which those can read a file.
  [[nodiscard]] bool is_for_others(mode_t& readers) const;

  /// Stops listening in this process.
  void close() { fd_.reset(); }

  /// Removes the socket file if it is still the one that was made here.
  void remove();

 private:
  void keep(const protocol::SocketAddress& address);
  void queue_connections();
  bool bind_once(const protocol::SocketAddress& address, unsigned mode);
  const char* bind_alone(const protocol::SocketAddress& address, unsigned mode);
  void bind_path(const char* named, unsigned mode);

  UniqueFd fd_;
  FileIdentity file_;
  // Absolute or not, as it was bound; empty: inherited, not ours to remove.
  char path_[sizeof sockaddr_un::sun_path] = "";
};

/// Tells whoever waits for it that the server serves: a newline to `ready_fd` (s6-notifywhenup; closed
/// afterwards, -1: nobody) and "READY=1" to $NOTIFY_SOCKET (sd_notify(3)). A failure is logged.
void announce_ready(int ready_fd);

}  // namespace moonlet::server
