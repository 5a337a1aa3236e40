// The socket that the zygote listens on: made here, or handed over by a supervisor.
#pragma once

#include "base/file_identity.h"
#include "base/unique_fd.h"
#include "protocol/socket_path.h"

namespace moonlet::zygote {

/// Takes a listening socket that a supervisor passed: descriptor 3 under systemd's $LISTEN_FDS
/// (sd_listen_fds(3)), or descriptor 0 (s6-ipcserver-socketbinder), which is then opened on /dev/null.
/// Call it before anything else opens a descriptor. Owns nothing if none was passed; exits with 1 where
/// what was passed cannot be served. Nor in a renewed image, which has it already.
UniqueFd inherited_listener();

/// In a process that systemd has not started itself: StandardInput=socket passes the socket as descriptor 3
/// too. Here it is none.
void close_second_listener();

class Listener {
 public:
  /// Listens on the socket of the image before (renewal.h) or on `inherited` if that owns a socket, else binds
  /// the path that protocol::socket_address gives for `named`, with permissions `mode`. A socket file that
  /// nobody listens on is replaced. Logs and exits with 1 on failure, also where another server lives there.
  Listener(UniqueFd inherited, const char* named, unsigned mode);

  [[nodiscard]] int get() const { return fd_.get(); }

  /// What it listens on, for people to read.
  [[nodiscard]] const char* name() const { return *path_ != '\0' ? path_ : "the inherited socket"; }

  /// In a child: forgets the descriptor, whose number will be the client's.
  void abandon();

  /// Whether the permissions of the socket file let more than one user connect, or cannot be known.
  [[nodiscard]] bool is_for_others() const;

  /// Stops listening, and removes the socket file if it is still the one that was made here.
  void stop();

 private:
  void keep(const protocol::SocketAddress& address);
  void queue_connections();
  void bind_path(const char* named, unsigned mode);

  UniqueFd fd_;
  FileIdentity file_;
  // Absolute or not, as it was bound; empty: inherited, not ours to remove. Not on the heap: to free it, a
  // child would write to a page that the zygote shares.
  char path_[sizeof sockaddr_un::sun_path] = "";
};

/// Tells whoever waits for it that the zygote serves: a newline to `ready_fd` (s6-notifywhenup; closed
/// afterwards, -1: nobody) and "READY=1" to $NOTIFY_SOCKET (sd_notify(3)). A failure is logged. A renewed image
/// has been waited for already.
void announce_ready(int ready_fd);

}  // namespace moonlet::zygote
