#include "lua/command_line.h"

#include "lua/lua_api.h"

#include <unistd.h>

namespace moonlet::interpreter {

Options read_options(char** argv) {
  Options options;
  int i = 1;
  for (; argv[i] != nullptr; i++) {
    const char* option = argv[i];
    if (option[0] != '-' || option[1] == '\0') break;  // a script, or "-"
    const bool more = option[2] != '\0';
    options.bad = option;  // until it has been understood
    if (option[1] == '-') {
      if (more) return options;
      i++;
      break;
    }
    switch (option[1]) {
      case 'i':
      case 'v':
        if (more) return options;
        options.interactive |= option[1] == 'i';
        options.version = true;
        break;
#if LUA_VERSION_NUM >= 502 || defined(MOONLET_LUAJIT)
      case 'E':
#if LUA_VERSION_NUM >= 503
        if (more) return options;
#endif
        options.ignores_environment = true;
        break;
#endif
#if LUA_VERSION_NUM >= 504
      case 'W':
        if (more) return options;
        break;
#endif
#if defined(MOONLET_LUAJIT)
      case 'b':
      case 'O':
        options.other_engine = true;
        break;
      case 'j':
        options.other_engine = true;
        [[fallthrough]];
#endif
      case 'e':
      case 'l':
        options.executes |= option[1] == 'e';
        if (!more) {
          i++;
#if LIKE_LUA51
          if (argv[i] == nullptr) return options;
#else
          if (argv[i] == nullptr || argv[i][0] == '-') return options;
#endif
        }
        break;
      default:
        return options;
    }
  }
  options.bad = nullptr;
  options.script = i;
  return options;
}

Outline outline(char** argv) {
  const Options options = read_options(argv);
  Outline outline = {};
  outline.script = options.script;
  outline.invalid = options.bad != nullptr;
  if (outline.invalid) return outline;
  outline.ignores_environment = options.ignores_environment;
  outline.other_engine_options = options.other_engine;
  outline.interactive = options.interactive || (argv[options.script] == nullptr && !options.executes &&
                                                !options.version && isatty(STDIN_FILENO) != 0);
  return outline;
}

}  // namespace moonlet::interpreter
