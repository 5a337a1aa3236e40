#include "child/request.h"

#include "base/layout.h"
#include "child/packed_text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

namespace moonlet::child {

namespace {

using protocol::kDescriptorsPerMessage;
using protocol::Request;

// The kernel's own bound for fs.nr_open.
constexpr int kHighestDescriptor = 0x7fffffff & -64;

// A client sends its request in one go. One that takes longer than this holds a process for nothing.
constexpr time_t kPatience = 10;  // seconds

MOONLET_LARGE alignas(size_t) char room[kRequestRoom];

constexpr const char* kTooManyDescriptors = MOONLET_TEXT("too many descriptors");
constexpr const char* kWrongStrings = MOONLET_TEXT("its strings are out of bounds");
constexpr const char* kWrongDescriptors = MOONLET_TEXT("its descriptors do not match their numbers");

}  // namespace

char* request_room() { return room; }

namespace {

// Reads from the connection until its patience ends.
class Reader {
 public:
  Reader(int connection, LaunchRequest& request) : connection_(connection), request_(request) {}

  // Reads the header, and into the room what comes along with it.
  const char* read_header() {
    size_t got = 0;
    while (got < sizeof request_.header) {
      iovec parts[] = {{reinterpret_cast<char*>(&request_.header) + got, sizeof request_.header - got},
                       {room, kRequestRoom}};
      if (const char* problem = receive(parts, 2, got)) return problem;
    }
    ahead_ = room;
    ahead_size_ = got - sizeof request_.header;
    return nullptr;
  }

  // Reads exactly `size` bytes to `data`, which may lie at the beginning of the room, and whatever descriptors
  // come with them.
  const char* read(void* data, size_t size) {
    size_t got = size < ahead_size_ ? size : ahead_size_;
    if (data != ahead_) memmove(data, ahead_, got);
    ahead_ += got;
    ahead_size_ -= got;
    while (got < size) {
      iovec part = {static_cast<char*>(data) + got, size - got};
      if (const char* problem = receive(&part, 1, got)) return problem;
    }
    return nullptr;
  }

  [[nodiscard]] uint32_t descriptors() const { return descriptors_; }

 private:
  // One message, or a part of one; adds its size to `got`.
  const char* receive(iovec* parts, size_t count, size_t& got) {
    union {
      cmsghdr header;
      char bytes[CMSG_SPACE(kDescriptorsPerMessage * sizeof(int))];
    } control;
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);  // an int in musl
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    const ssize_t size = recvmsg(connection_, &message, MSG_DONTWAIT);
    if (size == 0) return MOONLET_TEXT("the client left in the middle of it");
    if (size < 0) {
      if (errno != EAGAIN) return "%m";
      return wait() ? nullptr : MOONLET_TEXT("the client takes too long");
    }
    got += static_cast<size_t>(size);
    return take_descriptors(message);
  }

  const char* take_descriptors(msghdr& message) {
    if ((message.msg_flags & MSG_CTRUNC) != 0) return kTooManyDescriptors;
    for (cmsghdr* it = CMSG_FIRSTHDR(&message); it != nullptr; it = CMSG_NXTHDR(&message, it)) {
      if (it->cmsg_type != SCM_RIGHTS) continue;  // what an inherited socket may have asked for
      const size_t bytes = it->cmsg_len - CMSG_LEN(0);
      const auto count = static_cast<uint32_t>(bytes / sizeof(int));
      if (descriptors_ + count > protocol::kMaxDescriptors + 1) return kTooManyDescriptors;
      memcpy(request_.received + descriptors_, CMSG_DATA(it), bytes);
      descriptors_ += count;
    }
    return nullptr;
  }

  bool wait() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!waited_) deadline_ = now.tv_sec + kPatience;
    waited_ = true;
    const auto left = static_cast<int>(deadline_ - now.tv_sec);
    pollfd polled = {connection_, POLLIN, 0};
    return left > 0 && poll(&polled, 1, left * 1000) > 0;
  }

  int connection_;
  LaunchRequest& request_;
  uint32_t descriptors_ = 0;
  const char* ahead_ = nullptr;  // received, but not yet asked for
  size_t ahead_size_ = 0;
  bool waited_ = false;
  time_t deadline_ = 0;  // of CLOCK_MONOTONIC, once it has waited
};

// Zeroed, or null.
char* map_pages(size_t size) {
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages != MAP_FAILED ? static_cast<char*>(pages) : nullptr;
}

const char* check_header(const Request& header) {
  if (header.magic != protocol::kMagic) return MOONLET_TEXT("it is not a moonlet request");
  if (header.version != protocol::kVersion || header.request_bytes != sizeof header ||
      (header.flags & ~protocol::kKnownFlags) != 0)
    return MOONLET_TEXT("another version of the protocol");
  if (header.argc == 0 || header.argc > protocol::kMaxStrings || header.envc > protocol::kMaxStrings ||
      header.string_bytes > protocol::kMaxStringBytes || header.argc + header.envc > header.string_bytes)
    return kWrongStrings;
  if (header.fdc > protocol::kMaxDescriptors) return kTooManyDescriptors;
  return nullptr;
}

// Points at each string, and checks that the lengths tell the truth.
const char* index_strings(LaunchRequest& request, const uint32_t* length, char** pointer) {
  const Request& header = request.header;
  char* at = request.strings;
  request.argv = pointer;
  for (uint32_t i = 0;; i++) {
    if (i == header.argc) {
      *pointer++ = nullptr;
      request.environment = pointer;
    }
    if (i == header.argc + header.envc) break;
    if (length[i] == 0 || length[i] > static_cast<size_t>(request.strings_end - at) ||
        at[length[i] - 1] != '\0')
      return kWrongStrings;
    *pointer++ = at;
    at += length[i];
  }
  *pointer = nullptr;
  return at == request.strings_end ? nullptr : kWrongStrings;
}

const char* check_numbers(const LaunchRequest& request) {
  int before = -1;
  for (uint32_t i = 0; i < request.header.fdc; i++) {
    if (request.number[i] <= before || request.number[i] > kHighestDescriptor) return kWrongDescriptors;
    before = request.number[i];
  }
  return nullptr;
}

}  // namespace

const char* read_request(int connection, LaunchRequest& request) {
  Request& header = request.header;
  Reader reader(connection, request);
  if (const char* problem = reader.read_header()) return problem;
  if (const char* problem = check_header(header)) return problem;
  const uint32_t batches = header.fdc / kDescriptorsPerMessage + 1;
  for (uint32_t i = 1; i < batches; i++) {
    char carrier = 0;
    if (const char* problem = reader.read(&carrier, 1)) return problem;
  }
  // Lengths, numbers and strings, as they come; then pointers. Room for what is more than usual comes from the
  // kernel: a client that only claims to send much gets no memory for it.
  const size_t strings = size_t{header.argc} + header.envc;
  const size_t pointer_bytes = (strings + 2) * sizeof(char*);
  const size_t number_bytes = (strings + header.fdc) * sizeof(uint32_t);
  const size_t total = number_bytes + header.string_bytes;
  const size_t pointers_at = (total + sizeof(char*) - 1) & ~(sizeof(char*) - 1);
  char* rest = room;
  if (pointers_at + pointer_bytes > kRequestRoom) {
    rest = map_pages(pointers_at + pointer_bytes);
    if (rest == nullptr) return MOONLET_TEXT("not enough memory");
  }
  if (const char* problem = reader.read(rest, total)) return problem;
  const auto* length = reinterpret_cast<const uint32_t*>(rest);
  request.number = reinterpret_cast<const int*>(length + strings);
  request.strings = rest + number_bytes;
  request.strings_end = request.strings + header.string_bytes;
  if (const char* problem = index_strings(request, length, reinterpret_cast<char**>(rest + pointers_at)))
    return problem;
  if (const char* problem = check_numbers(request)) return problem;
  return reader.descriptors() == header.fdc + 1 ? nullptr : kWrongDescriptors;
}

}  // namespace moonlet::child
