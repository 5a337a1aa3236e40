// floor-client SOCKET: what any client of a zygote must do, and nothing else. It connects, passes its
// descriptors and directory on, and ends with the status that comes back; with 125 where that fails.

#include "floor/message.h"
#include "protocol/protocol.h"
#include "protocol/socket_path.h"

#include <fcntl.h>
#include <unistd.h>

namespace moonlet::floor {

namespace {

int launch(const char* path) {
  const protocol::SocketAddress address = protocol::socket_address(path);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!address.fits || connect(socket, address.get(), address.size()) != 0) return protocol::kOwnFailure;
  const int directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int passed[kDescriptors] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, directory};
  Message request;
  Status status = 0;
  if (!request.send(socket, passed, kDescriptors) || read(socket, &status, sizeof status) != sizeof status)
    return protocol::kOwnFailure;
  return status;
}

}  // namespace

}  // namespace moonlet::floor

int main(int argc, char** argv) { _exit(moonlet::floor::launch(argc == 2 ? argv[1] : nullptr)); }
