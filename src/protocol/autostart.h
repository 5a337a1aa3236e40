// The moonletd that $MOONLET_AUTOSTART asks for: where who starts scripts and who starts it find each other.
#pragma once

#include "base/hash.h"
#include "protocol/protocol.h"
#include "protocol/socket_path.h"

#include <sys/auxv.h>

namespace moonlet::protocol {

/// The variable whose value is the command line of a moonletd of one's own.
constexpr char kAutostart[] = "MOONLET_AUTOSTART";

struct SocketToAsk {
  SocketAddress address;
  bool is_private = false;  // where nobody listens, a moonletd can be started
};

/// Where a script is started: as socket_address says; but where no socket is named and $MOONLET_AUTOSTART is
/// set and not empty, at a socket of that value, beside the default one. Its name holds a hash of the value,
/// and of what client and moonletd must have in common: who has another Lua has another moonletd. Without
/// $XDG_RUNTIME_DIR nobody but root has a directory that others cannot have filled: for them the variable does
/// not count.
inline SocketToAsk socket_to_ask(const char* named) {
  SocketToAsk ask;
  if (named == nullptr || *named == '\0') named = setting("MOONLET_SOCKET");
  if (named == nullptr) {
    const char* const runtime = setting("XDG_RUNTIME_DIR");
    append(ask.address, runtime != nullptr ? runtime : "/run");
    named = "/moonlet.sock";
    const char* value = setting(kAutostart);
    if (value != nullptr && (runtime != nullptr || getauxval(AT_EUID) == 0)) {
      uint32_t key = hash(kHashBasis ^ MOONLET_LUA_CODE ^ uint32_t{kVersion} << 24, value, strlen(value));
      static char own[] = "/moonlet-XXXXXXXX.sock";
      for (char* letter = own + sizeof "/moonlet-" - 1; *letter != '.'; key >>= 4)
        *letter++ = static_cast<char>('a' + key % 16);
      named = own;
      ask.is_private = true;
    }
  }
  append(ask.address, named);
  return ask;
}

}  // namespace moonlet::protocol
