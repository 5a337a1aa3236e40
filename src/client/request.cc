#include "client/request.h"

#include "protocol/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

using protocol::kDescriptorsPerMessage;
using protocol::kMaxDescriptors;

// Ascending, and one more for the working directory. Static: untouched, it costs nothing.
struct Descriptors {
  int32_t number[kMaxDescriptors + 1];
  uint32_t count;
};
Descriptors passed;

protocol::Request request;
uint32_t few_lengths[512];
uint32_t* length = few_lengths;  // of each string
char** list[2];                  // argv, environment

// A process starts with a table of 64 descriptors, which grows when a higher number is opened.
constexpr int kFirstTable = 64;

// select(2) passes over a descriptor beyond the table ("BUGS" in its manual page), and complains of a
// closed one within it: one call tells whether anything can be open from 64 up.
bool table_has_grown() {
  fd_set beyond;
  FD_ZERO(&beyond);
  FD_SET(kFirstTable, &beyond);
  timeval at_once = {0, 0};
  return select(kFirstTable + 1, &beyond, nullptr, nullptr, &at_once) != 0;
}

bool add(int descriptor) {
  if (passed.count == kMaxDescriptors) {
    errno = EMFILE;
    return false;
  }
  passed.number[passed.count++] = descriptor;
  return true;
}

// The complete list, from /proc. Slower by tens of microseconds than poll, and rarely needed.
bool list_from_proc() {
  const int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return false;
  passed.count = 0;
  struct Entry {  // linux_dirent64, getdents(2)
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    unsigned char type;
    char name[1];
  };
  alignas(Entry) char buffer[2048];
  long got = 0;
  while ((got = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
    for (char* at = buffer; at < buffer + got;) {
      const Entry* entry = reinterpret_cast<Entry*>(at);
      at += entry->size;
      int descriptor = 0;
      for (const char* digit = entry->name; *digit != '\0'; digit++)
        descriptor = descriptor * 10 + (*digit - '0');
      if (entry->name[0] == '.' || descriptor == directory) continue;
      if (!add(descriptor)) got = -1;
    }
    if (got < 0) break;
  }
  const int error = errno;
  close(directory);
  errno = error;
  return got == 0;  // procfs lists them in ascending order
}

bool list_descriptors() {
  pollfd slot[kFirstTable + 1];
  for (int i = 0; i <= kFirstTable; i++) slot[i] = {i, 0, 0};
  // EINVAL: the limit of open files is below the range.
  if (poll(slot, kFirstTable + 1, 0) < 0) return list_from_proc();
  if ((slot[kFirstTable].revents & POLLNVAL) == 0 || table_has_grown()) return list_from_proc();
  for (const pollfd& it : slot) {
    if ((it.revents & POLLNVAL) == 0) add(it.fd);  // 64 always fit
  }
  return true;
}

// Collects what goes into one sendmsg, joins neighbours (argv and environment lie side by side on the
// stack, so that all strings are one piece), and sends.
class Sender {
 public:
  explicit Sender(int socket) : socket_(socket) {}

  // Attaches `count` descriptors to what is sent next.
  void attach(const int32_t* descriptors, uint32_t count) {
    cmsghdr* header = &control_.header;
    *header = {};  // musl's has padding where the kernel's length goes on
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = static_cast<socklen_t>(CMSG_LEN(count * sizeof(int)));
    memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    control_bytes_ = static_cast<socklen_t>(CMSG_SPACE(count * sizeof(int)));
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
      if (sent < 0) return false;
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

void gather_attributes() {
  const mode_t mask = umask(0);
  umask(mask);
  request.umask = mask;
  request.nice = getpriority(PRIO_PROCESS, 0);  // cannot fail for oneself; -1 is a value
  prctl(PR_GET_NAME, request.comm);
  request.ignored = ignored_signals();
  for (int i = 0; i < kernel::kLimits; i++) {
    // A kernel with fewer limits leaves zeros, which its own zygote does not set either.
    kernel::limit(i, nullptr, &request.limit[i]);
  }
}

bool fail(Refusal& refusal, const char* doing, const char* on) {
  refusal = {doing, on, errno};
  return false;
}

}  // namespace

bool gather_request(int argc, char** argv, const kernel::SignalSet& blocked, uint32_t cookie,
                    Refusal& refusal) {
  if (!list_descriptors()) return fail(refusal, "list the open descriptors for", "");
  // O_PATH needs no permission to read, and /proc's link none to search, nor does it mind a deleted one.
  int directory = openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);  // musl's open makes two calls
  if (directory < 0) directory = open("/proc/self/cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return fail(refusal, "open the working directory for", "");
  passed.number[passed.count] = directory;

  request.magic = protocol::kMagic;
  request.version = protocol::kVersion;
  request.request_bytes = sizeof request;
  request.argc = static_cast<uint32_t>(argc);
  request.fdc = passed.count;
  request.lua = MOONLET_LUA_CODE;
  request.flags = protocol::kEndBySignal;
  request.cookie = cookie;
  request.pid = getpid();
  request.blocked = blocked;
  gather_attributes();
  list[0] = argv;
  list[1] = environ;
  for (char** variable = environ; *variable != nullptr; variable++) request.envc++;

  const size_t strings = request.argc + size_t{request.envc};
  if (strings > sizeof few_lengths / sizeof *few_lengths) {
    void* many =
        mmap(nullptr, strings * sizeof *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (many == MAP_FAILED) return fail(refusal, "allocate a request for", "");
    length = static_cast<uint32_t*>(many);
  }
  uint32_t* next_length = length;
  for (char** strings_of : list) {
    for (char** string = strings_of; *string != nullptr; string++) {
      *next_length = static_cast<uint32_t>(strlen(*string)) + 1;
      request.string_bytes += *next_length++;
    }
  }
  return true;
}

bool send_request(int socket, Refusal& refusal) {
  uint32_t descriptors = passed.count + 1;  // the directory too
  const int32_t* from = passed.number;
  Sender sender(socket);
  sender.add(&request, sizeof request);
  for (;;) {
    const uint32_t batch = descriptors < kDescriptorsPerMessage ? descriptors : kDescriptorsPerMessage;
    sender.attach(from, batch);
    from += batch;
    descriptors -= batch;
    if (descriptors == 0) break;
    // More than one message can carry: each further batch rides on a byte of its own.
    static const char kCarrier = 0;
    if (!sender.flush()) return fail(refusal, "send the descriptors to", "");
    sender.add(&kCarrier, 1);
  }
  bool sent = sender.add(length, (request.argc + size_t{request.envc}) * sizeof *length) &&
              sender.add(passed.number, passed.count * sizeof *passed.number);
  const uint32_t* next_length = length;
  for (char** strings_of : list) {
    for (char** string = strings_of; *string != nullptr; string++) {
      sent = sent && sender.add(*string, *next_length++);
    }
  }
  if (!sent || !sender.flush()) return fail(refusal, "send the request to", "");
  close(passed.number[passed.count]);  // there must be room for the script's pidfd, also at the limit of files
  return true;
}

void close_passed_descriptors() {
  for (uint32_t i = 0; i < passed.count; i++) {
    if (passed.number[i] != STDERR_FILENO) close(passed.number[i]);  // it held nothing but a reference
  }
}

}  // namespace moonlet::client
