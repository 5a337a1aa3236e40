// Bytes that were read, as many as came. Nothing is freed by itself: whoever calls into Lua cannot have it so.
#pragma once

#include <stddef.h>

namespace moonlet::protocol {

struct Bytes {
  char* data = nullptr;  // from malloc(3), with a NUL behind the bytes; null until some were read
  size_t size = 0;
  size_t capacity = 0;
};

/// Reads `descriptor` to its end, or `limit` bytes, over what was there. False on an error, which errno names.
bool read_bytes(int descriptor, size_t limit, Bytes& bytes);

/// The same with a socket, where a descriptor may come along: then `passed` is that, else it stays as it is.
bool receive_bytes(int socket, size_t limit, Bytes& bytes, int& passed);

/// Gives the memory back. There is nothing left that was not there at first.
void free_bytes(Bytes& bytes);

}  // namespace moonlet::protocol
