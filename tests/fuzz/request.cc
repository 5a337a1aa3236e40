// The child's reader of requests: what any client may send it, in any pieces, with any descriptors.
// An input: a byte of how many messages precede the last (bit 7: the client falls silent at the end, it does
// not hang up), for each its number of descriptors (u8) and size (u16), the last one's number of descriptors
// (u8), and then all bytes.

#include "fuzz.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace moonlet::fuzz {
namespace {

constexpr int kMostMessages = 16;
constexpr int kMostDescriptors = 253;  // SCM_MAX_FD

// The client's side of one input.
class Client {
 public:
  Client(Input input, int socket, int passed) : input_(input), socket_(socket), passed_(passed) {
    const auto kind = input_.number<uint8_t>();
    falls_silent_ = (kind & 0x80) != 0;
    count_ = kind % kMostMessages + 1;
    for (int i = 0; i < count_; i++) {
      descriptors_[i] = input_.number<uint8_t>();
      size_[i] = i + 1 < count_ ? input_.number<uint16_t>() : SIZE_MAX;
    }
  }

  // Sends the next message, or hangs up. False if nothing will come any more, but the connection stays.
  bool go_on() {
    if (next_ == count_) {
      if (falls_silent_) return false;
      shutdown(socket_, SHUT_WR);
      return true;
    }
    size_t got = 0;
    auto* bytes = const_cast<uint8_t*>(input_.take(size_[next_], got));
    iovec part = {bytes, got};
    union {
      cmsghdr header;
      char bytes[CMSG_SPACE(kMostDescriptors * sizeof(int))];
    } control = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const int count = descriptors_[next_] < kMostDescriptors ? descriptors_[next_] : kMostDescriptors;
    next_++;
    if (count > 0) {
      message.msg_control = &control;
      message.msg_controllen = CMSG_SPACE(count * sizeof(int));
      control.header.cmsg_level = SOL_SOCKET;
      control.header.cmsg_type = SCM_RIGHTS;
      control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
      auto* descriptor = reinterpret_cast<int*>(CMSG_DATA(&control.header));
      for (int i = 0; i < count; i++) descriptor[i] = passed_;
    }
    // What the socket does not take at once is lost: the reader has come to its end before.
    sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return true;
  }

 private:
  Input input_;
  int socket_;
  int passed_;
  bool falls_silent_ = false;
  int count_ = 0;
  int next_ = 0;
  int descriptors_[kMostMessages];
  size_t size_[kMostMessages];
};

Client* client;

// The reader waits only for what has not been sent.
int poll(pollfd* polled, nfds_t count, int timeout) {
  PROMISE(count == 1 && polled->events == POLLIN && timeout > 0);
  return client->go_on() ? 1 : 0;
}

// The reader asks once for each request, and keeps it as long as its process lives. Of malloc's, so that
// AddressSanitizer knows where it ends.
void* pages;
void* map(size_t size) {
  PROMISE(pages == nullptr);
  pages = calloc(1, size);
  return pages;
}

}  // namespace
}  // namespace moonlet::fuzz

#define poll moonlet::fuzz::poll
#define mmap(address, size, protection, flags, file, offset) moonlet::fuzz::map(size)
#include "child/request.cc"
#undef poll
#undef mmap

namespace moonlet::fuzz {
namespace {

// What the child relies on in a request that it was given.
void check(const child::LaunchRequest& request) {
  const protocol::Request& header = request.header;
  PROMISE(header.argc >= 1);
  PROMISE(request.argv[0] == request.strings && request.argv[header.argc] == nullptr);
  const char* at = request.strings;
  const char* const end_of_arguments = header.envc > 0 ? request.environment[0] : request.strings_end;
  for (uint32_t i = 0; i < header.argc; i++) {
    PROMISE(request.argv[i] == at);
    while (i + 1 < header.argc ? at < request.argv[i + 1] : at < end_of_arguments) at++;
    PROMISE(at[-1] == '\0');
  }
  for (uint32_t i = 0; i < header.envc; i++) {
    PROMISE(request.environment[i] == at);
    while (i + 1 < header.envc ? at < request.environment[i + 1] : at < request.strings_end) at++;
    PROMISE(at[-1] == '\0');
  }
  PROMISE(request.environment[header.envc] == nullptr);
  PROMISE(at == request.strings_end && request.strings + header.string_bytes == at);
  for (uint32_t i = 0; i < header.fdc; i++)
    PROMISE(request.number[i] >= 0 && (i == 0 || request.number[i] > request.number[i - 1]));
  for (uint32_t i = 0; i <= header.fdc; i++) {
    PROMISE(i == 0 || request.received[i] > request.received[i - 1]);
    PROMISE(fcntl(request.received[i], F_GETFD) == 0);
  }
}

}  // namespace
}  // namespace moonlet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moonlet;
  const fuzz::Descriptors descriptors;
  int pair[2];
  PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  fuzz::Client client({data, size}, pair[0], pair[1]);
  fuzz::client = &client;
  static child::LaunchRequest request;
  memset(&request, 0xa5, sizeof request - sizeof request.received);
  if (child::read_request(pair[1], request) == nullptr) fuzz::check(request);
  free(fuzz::pages);
  fuzz::pages = nullptr;
  return 0;
}
