// Which socket client and moonletd meet at when nobody names one.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace moonlet::protocol {

/// An address on the way to bind(2) or connect(2).
struct SocketAddress {
  sockaddr_un un;
  bool fits = true;  // false: the path is longer than sun_path and un.sun_path holds its beginning

  SocketAddress() {
    memset(&un, 0, sizeof un);  // an initializer would be a template of that size, to be copied
    un.sun_family = AF_UNIX;
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&un); }
  [[nodiscard]] socklen_t size() const { return sizeof un; }
};

inline void append(SocketAddress& address, const char* text) {
  size_t used = strlen(address.un.sun_path);
  while (*text != '\0' && used + 1 < sizeof address.un.sun_path) address.un.sun_path[used++] = *text++;
  if (*text != '\0') address.fits = false;
}

/// What a variable of the environment says, or null if it is not set or empty.
inline const char* setting(const char* name) {
  const char* value = getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

/// `named` (a --socket option), else $MOONLET_SOCKET, else $XDG_RUNTIME_DIR/moonlet.sock, else
/// /run/moonlet.sock (moonlet5.4.sock where several Luas are installed side by side). Null or empty counts as
/// not given.
inline SocketAddress socket_address(const char* named) {
  if (named == nullptr || *named == '\0') named = setting("MOONLET_SOCKET");
  SocketAddress address;
  if (named == nullptr) {
    const char* runtime = setting("XDG_RUNTIME_DIR");
    append(address, runtime != nullptr ? runtime : "/run");
    named = "/" MOONLET_SOCKET_NAME;
  }
  append(address, named);
  return address;
}

/// Where an image for the launches of a socket is: "DIRECTORY/NAME.image" for "DIRECTORY/NAME.sock".
struct ImagePath {
  static constexpr char kEnding[] = ".image";
  char text[sizeof(sockaddr_un::sun_path) + sizeof kEnding];

  void set(const SocketAddress& socket) {
    static constexpr char kOfSocket[] = ".sock";
    constexpr size_t kOfSocketLength = sizeof kOfSocket - 1;
    const char* const path = socket.un.sun_path;
    size_t length = strlen(path);
    if (length >= kOfSocketLength && memcmp(path + length - kOfSocketLength, kOfSocket, kOfSocketLength) == 0)
      length -= kOfSocketLength;
    memcpy(text, path, length);
    memcpy(text + length, kEnding, sizeof kEnding);
  }
};

}  // namespace moonlet::protocol
