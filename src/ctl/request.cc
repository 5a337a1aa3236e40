#include "ctl/request.h"

#include "base/layout.h"
#include "protocol/outgoing_request.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

using protocol::kMaxDescriptors;

// Ascending, and one more for the working directory. Static: untouched, it costs nothing.
struct Descriptors {
  uint32_t count;
  int32_t number[kMaxDescriptors + 1];
};
MOONLET_OPEN_ENDED Descriptors passed;

constinit protocol::OutgoingRequest request = {};

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

bool fail(fallback::Refusal& refusal, const char* doing, const char* on) {
  refusal = {doing, on, errno};
  return false;
}

}  // namespace

bool gather_request(int argc, char** argv, const kernel::SignalSet& blocked, fallback::Refusal& refusal) {
  if (!list_descriptors()) return fail(refusal, "list the open descriptors for", "");
  const int directory = protocol::open_working_directory();
  if (directory < 0) return fail(refusal, "open the working directory for", "");
  passed.number[passed.count] = directory;

  protocol::Request& header = request.header;
  protocol::describe_process(header);
  header.argc = static_cast<uint32_t>(argc);
  header.fdc = passed.count;
  header.blocked = blocked;
  request.number = passed.number;
  request.descriptor = passed.number;
  request.list[0] = argv;
  request.list[1] = environ;
  for (char** variable = environ; *variable != nullptr; variable++) header.envc++;

  static uint32_t few_lengths[512];
  request.length = few_lengths;
  const size_t strings = header.argc + size_t{header.envc};
  if (strings > sizeof few_lengths / sizeof *few_lengths) {
    void* many = mmap(nullptr, strings * sizeof *few_lengths, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (many == MAP_FAILED) return fail(refusal, "allocate a request for", "");
    request.length = static_cast<uint32_t*>(many);
  }
  protocol::measure(request);
  return true;
}

bool send_request(int socket, fallback::Refusal& refusal) {
  if (!protocol::send(socket, request)) return fail(refusal, "send the request to", "");
  close(passed.number[passed.count]);  // there must be room for the script's pidfd, also at the limit of files
  return true;
}

void close_passed_descriptors() {
  for (uint32_t i = 0; i < passed.count; i++) {
    if (passed.number[i] != STDERR_FILENO) close(passed.number[i]);  // it held nothing but a reference
  }
}

}  // namespace moonlet::ctl
