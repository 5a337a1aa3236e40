#include "client/look_again.h"

#include "protocol/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::client {

void have_moonletd_look(const protocol::SocketAddress& address) {
  if (!address.fits) return;
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return;
  if (connect(socket, address.get(), address.size()) == 0) send(socket, &protocol::kLookAgain, 1, MSG_NOSIGNAL);
  close(socket);
}

}  // namespace moonlet::client
