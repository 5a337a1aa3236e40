#include "protocol/outgoing_request.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::protocol {

namespace {

// Collects what goes into one sendmsg, joins neighbours (argv and environment lie side by side on the
// stack, so that all strings are one piece), and sends.
class Sender {
 public:
  explicit Sender(int socket) : socket_(socket) {}

  // Attaches `count` descriptors to what is sent next.
  void attach(const int32_t* descriptors, uint32_t count) {
    cmsghdr* header = &control_.header;
    control_bytes_ = static_cast<socklen_t>(CMSG_SPACE(count * sizeof(int)));
    memset(
        header, 0,
        control_bytes_);  // musl's has padding where the kernel's length goes on, and there may be some behind
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = static_cast<socklen_t>(CMSG_LEN(count * sizeof(int)));
    memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
  }

  bool add(const void* data, size_t size) {
    auto* bytes = const_cast<char*>(static_cast<const char*>(data));
    if (parts_ > 0) {
      iovec& last = part_[parts_ - 1];
      if (static_cast<char*>(last.iov_base) + last.iov_len == bytes) {
        last.iov_len += size;
        return true;
      }
    }
    if (parts_ == kParts && !flush()) return false;
    part_[parts_++] = {bytes, size};
    return true;
  }

  bool flush() {
    iovec* from = part_;
    while (parts_ > 0) {
      msghdr message = {};
      message.msg_iov = from;
      message.msg_iovlen = parts_;
      message.msg_control = control_bytes_ > 0 ? &control_ : nullptr;
      message.msg_controllen = control_bytes_;
      ssize_t sent = sendmsg(socket_, &message, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EINTR) continue;
        return false;
      }
      control_bytes_ = 0;
      while (parts_ > 0 && static_cast<size_t>(sent) >= from->iov_len) {
        sent -= static_cast<ssize_t>(from->iov_len);
        from++;
        parts_--;
      }
      if (parts_ > 0) {
        from->iov_base = static_cast<char*>(from->iov_base) + sent;
        from->iov_len -= static_cast<size_t>(sent);
      }
    }
    return true;
  }

 private:
  static constexpr int kParts = 16;

  int socket_;
  int parts_ = 0;
  iovec part_[kParts];
  socklen_t control_bytes_ = 0;  // its type in musl; glibc's is wider
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(kDescriptorsPerMessage * sizeof(int))];
  } control_;
};

kernel::SignalSet ignored_signals() {
  // No call tells them all at once but a read of /proc/self/status, which costs more than all of these.
  kernel::SignalSet set;
  for (int signal = 1; signal <= kernel::kLastSignal; signal++) {
    if (kernel::is_ignored(signal)) set.add(signal);
  }
  return set;
}

}  // namespace

void describe_process(Request& header) {
  header.magic = kMagic;
  header.version = kVersion;
  header.request_bytes = sizeof header;
  header.lua = MOONLET_LUA_CODE;
  header.pid = getpid();
  const mode_t mask = umask(0);
  umask(mask);
  header.umask = mask;
  header.nice = getpriority(PRIO_PROCESS, 0);  // cannot fail for oneself; -1 is a value
  prctl(PR_GET_NAME, header.comm);
  header.ignored = ignored_signals();
  for (int i = 0; i < kernel::kLimits; i++) {
    // A kernel with fewer limits leaves zeros, which its own server does not set either.
    kernel::limit(i, nullptr, &header.limit[i]);
  }
}

int open_working_directory() {
  // O_PATH needs no permission to read, and /proc's link none to search, nor does it mind a deleted one.
  const int directory = openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);  // musl's open makes two calls
  return directory >= 0 ? directory : open("/proc/self/cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void measure(OutgoingRequest& request) {
  uint32_t* length = request.length;
  for (char** list : request.list) {
    for (char** string = list; *string != nullptr; string++) {
      *length = static_cast<uint32_t>(strlen(*string)) + 1;
      request.header.string_bytes += *length++;
    }
  }
}

bool send(int socket, const OutgoingRequest& request) {
  const Request& header = request.header;
  uint32_t descriptors = header.fdc + 1;  // the directory too
  const int32_t* from = request.descriptor;
  Sender sender(socket);
  sender.add(&header, sizeof header);
  for (;;) {
    const uint32_t batch = descriptors < kDescriptorsPerMessage ? descriptors : kDescriptorsPerMessage;
    sender.attach(from, batch);
    from += batch;
    descriptors -= batch;
    if (descriptors == 0) break;
    // More than one message can carry: each further batch rides on a byte of its own.
    static const char kCarrier = 0;
    if (!sender.flush()) return false;
    sender.add(&kCarrier, 1);
  }
  const uint32_t* length = request.length;
  bool sent = sender.add(length, (header.argc + size_t{header.envc}) * sizeof *length) &&
              sender.add(request.number, header.fdc * sizeof *request.number);
  for (char** list : request.list) {
    for (char** string = list; *string != nullptr; string++) {
      sent = sent && sender.add(*string, *length++);
    }
  }
  return sent && sender.flush();
}

}  // namespace moonlet::protocol
