#include "fallback/real_lua.h"

#include "protocol/protocol.h"

#include <string.h>
#include <unistd.h>

namespace moonlet::fallback {

bool needs_real_lua(char** argv) {
  bool has_code = false;
  char** arg = argv + 1;
  for (; *arg != nullptr && (*arg)[0] == '-'; arg++) {
    const char* option = *arg + 1;
    if (*option == '\0') return false;  // "-": standard input is the script
    if (*option == '-') {
      if (option[1] != '\0') return false;  // lua complains
      arg++;
      break;
    }
    if (*option == 'i' && option[1] == '\0') return true;
    if (MOONLET_LUA_CODE == protocol::kLuaJit && strchr("bjO", *option) != nullptr) return true;
    if (*option == 'e' || *option == 'v') has_code = true;
    if ((*option == 'e' || *option == 'l') && option[1] == '\0') {
      arg++;
      if (*arg == nullptr) return false;  // lua complains
    }
  }
  return *arg == nullptr && !has_code && isatty(STDIN_FILENO) != 0;
}

}  // namespace moonlet::fallback
