#include "client/look_again.h"

#include "base/line.h"
#include "protocol/protocol.h"

#include <sys/socket.h>
#include <unistd.h>

namespace moonlet::client {

void have_moonletd_look(const protocol::SocketAddress& address, const protocol::Refusal& refusal) {
  if (!address.fits) return;
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return;
  if (connect(socket, address.get(), address.size()) == 0) {
    const protocol::RefusalText refused(refusal);
    char text[256];
    Line line(text, sizeof text);
    line.add(&protocol::kLookAgain, 1);
    for (int i = protocol::RefusalText::kBeforeReason; i < protocol::RefusalText::kParts; i++)
      line.add(refused.part[i]);
    send(socket, text, line.size(), MSG_NOSIGNAL);
  }
  close(socket);
}

}  // namespace moonlet::client
