// What floor-client and floor-zygote say to each other, the least that a launch needs. A request is one byte
// with descriptors beside it: standard input, output and error, and the working directory. The answer is the
// exit status; the child itself sends it, on the connection.
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

namespace moonlet::floor {

constexpr int kDescriptors = 4;

using Status = int32_t;

/// A message of one byte, with room for descriptors beside it.
class Message {
 public:
  Message() {
    part_.iov_base = &byte_;
    part_.iov_len = sizeof byte_;
    head_.msg_iov = &part_;
    head_.msg_iovlen = 1;
    head_.msg_control = &control_;
    head_.msg_controllen = sizeof control_;
  }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  ~Message() = default;

  /// Sends a byte, and `count` descriptors with it. False, with errno, if that fails.
  bool send(int socket, const int* descriptors, int count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(int);
    control_.header.cmsg_level = SOL_SOCKET;
    control_.header.cmsg_type = SCM_RIGHTS;
    control_.header.cmsg_len = static_cast<socklen_t>(CMSG_LEN(bytes));
    memcpy(CMSG_DATA(&control_.header), descriptors, bytes);
    head_.msg_controllen = static_cast<socklen_t>(CMSG_SPACE(bytes));
    return sendmsg(socket, &head_, MSG_NOSIGNAL) == sizeof byte_;
  }

  /// Waits for a byte, and for exactly `count` descriptors with it. False if something else comes.
  bool receive(int socket, int* descriptors, int count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(int);
    if (recvmsg(socket, &head_, MSG_CMSG_CLOEXEC) != sizeof byte_ ||
        control_.header.cmsg_len != CMSG_LEN(bytes))
      return false;
    memcpy(descriptors, CMSG_DATA(&control_.header), bytes);
    return true;
  }

 private:
  char byte_ = 0;
  iovec part_ = {};
  msghdr head_ = {};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(kDescriptors * sizeof(int))];
  } control_ = {};
};

}  // namespace moonlet::floor
