#include "protocol/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

namespace moonlet::protocol {

bool read_bytes(int descriptor, size_t limit, Bytes& bytes) {
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
    const ssize_t got = read(descriptor, bytes.data + bytes.size, left < kPart ? left : kPart);
    if (got > 0) bytes.size += static_cast<size_t>(got);
    bytes.data[bytes.size] = '\0';
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
  }
}

void free_bytes(Bytes& bytes) {
  free(bytes.data);
  bytes = {};
}

}  // namespace moonlet::protocol
