#include "protocol/bytes.h"

#include "base/descriptor_message.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

namespace moonlet::protocol {

namespace {

// `passed`: null to read from any file.
bool read_all(int descriptor, size_t limit, Bytes& bytes, int* passed) {
  constexpr size_t kPart = 16 << 10;
  bytes.size = 0;
  for (;;) {
    if (bytes.size + kPart >= bytes.capacity) {
      const size_t capacity = 2 * (bytes.size + kPart);
      void* grown = realloc(bytes.data, capacity);
      if (grown == nullptr) return false;
      bytes.data = static_cast<char*>(grown);
      bytes.capacity = capacity;
    }
    const size_t left = limit - bytes.size;
    const size_t wanted = left < kPart ? left : kPart;
    char* const end = bytes.data + bytes.size;
    const ssize_t got = passed != nullptr ? DescriptorMessage::receive(descriptor, end, wanted, *passed)
                                          : read(descriptor, end, wanted);
    if (got > 0) bytes.size += static_cast<size_t>(got);
    bytes.data[bytes.size] = '\0';
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
  }
}

}  // namespace

bool read_bytes(int descriptor, size_t limit, Bytes& bytes) {
  return read_all(descriptor, limit, bytes, nullptr);
}

bool receive_bytes(int socket, size_t limit, Bytes& bytes, int& passed) {
  return read_all(socket, limit, bytes, &passed);
}

void free_bytes(Bytes& bytes) {
  free(bytes.data);
  bytes = {};
}

}  // namespace moonlet::protocol
