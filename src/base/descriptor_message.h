// A message over a Unix socket with one descriptor attached to it (SCM_RIGHTS, unix(7)).
#pragma once

#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace moonlet {

struct DescriptorMessage {
  /// Sends `size` bytes at `data` with `descriptor`, which stays open here, or alone if that is -1. `flags` are
  /// those of sendmsg(2). Returns the number of bytes sent, or -1 and errno.
  static ssize_t send(int socket, const void* data, size_t size, int descriptor, int flags) {
    DescriptorMessage it(const_cast<void*>(data), size);
    if (descriptor >= 0) {
      it.control_.header.cmsg_level = SOL_SOCKET;
      it.control_.header.cmsg_type = SCM_RIGHTS;
      it.control_.header.cmsg_len = CMSG_LEN(sizeof descriptor);
      memcpy(CMSG_DATA(&it.control_.header), &descriptor, sizeof descriptor);
    } else {
      it.message_.msg_control = nullptr;
      it.message_.msg_controllen = 0;
    }
    return sendmsg(socket, &it.message_, flags | MSG_NOSIGNAL);
  }

  /// Receives at most `size` bytes at `data`. `descriptor` is what came along, close-on-exec and the caller's
  /// to close; it stays as it is if none came. Returns the number of bytes, 0 at the end, or -1 and errno.
  static ssize_t receive(int socket, void* data, size_t size, int& descriptor) {
    DescriptorMessage it(data, size);
    const ssize_t got = recvmsg(socket, &it.message_, MSG_CMSG_CLOEXEC);
    if (got >= 0 && CMSG_FIRSTHDR(&it.message_) != nullptr && it.control_.header.cmsg_type == SCM_RIGHTS)
      memcpy(&descriptor, CMSG_DATA(&it.control_.header), sizeof descriptor);
    return got;
  }

 private:
  DescriptorMessage(void* data, size_t size) : part_{data, size} {
    message_.msg_iov = &part_;
    message_.msg_iovlen = 1;
    message_.msg_control = &control_;
    message_.msg_controllen = sizeof control_;
  }

  iovec part_;
  msghdr message_ = {};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control_ = {};
};

}  // namespace moonlet
