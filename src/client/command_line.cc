#include "client/command_line.h"

#include "client/companion.h"
#include "client/handed.h"
#include "fallback/real_lua.h"
#include "fallback/refusal.h"
#include "protocol/protocol.h"

#include <string.h>
#include <unistd.h>

namespace moonlet::client {

namespace {

[[noreturn]] void print_and_exit(const char* text) {
  const size_t length = strlen(text);
  const bool whole = write(STDOUT_FILENO, text, length) == static_cast<ssize_t>(length);
  _exit(whole ? 0 : protocol::kOwnFailure);
}

#if defined(MOONLET_WARM)
#define MOONLET_OPTIONS_OF_COMPANION                                               \
  "  --status       print what moonletd has warm, and which scripts run\n"         \
  "  --status=json  the same, for programs\n"                                      \
  "  --top          show it each second\n"                                         \
  "  --reload       have moonletd make its image anew\n"                           \
  "  --images       show which images of $MOONLET_WARM there are\n"                \
  "  --forget       remove them\n"                                                 \
  "  --wrap PROGRAM write a file that starts this program with its modules warm\n" \
  "  --argv0 NAME   the name of the interpreter, in the script's arg and in errors\n"
constexpr char kOwnOptions[] =
    "no option of lua's, and moonlet's own are --image --freeze --socket --status --status=json --top --reload "
    "--images --forget --wrap --argv0 --help --version (moonlet --help explains them)";
#else
#define MOONLET_OPTIONS_OF_COMPANION "  --status[=json], --top, --reload (moonletctl(1))\n"
#endif

#if defined(MOONLET_LAYERS)
#define MOONLET_BASE_OPTION "[--image BASE] "
#define MOONLET_ON_BASE ";\n                 on the image BASE it holds but what differs"
#else
#define MOONLET_BASE_OPTION ""
#define MOONLET_ON_BASE ""
#endif

constexpr char kHelp[] =
    "usage: moonlet [--image PATH] [lua's options] [script [args]]\n"
    "       moonlet " MOONLET_BASE_OPTION
    "--freeze PATH [--trust] [--ignore NAME]\n"
    "               [--leave-out MODULE] [options] [script [args]]\n"
    "Runs a Lua script as " MOONLET_LUA_NAME
    " does, from an image that has its modules loaded.\n"
    "  --freeze PATH  run the script, then freeze what it has loaded into an image" MOONLET_ON_BASE
    "\n"
    "  --trust        the image need not ask whether files are still the same\n"
    "  --ignore NAME  nor about this variable, or path\n"
    "  --leave-out MODULE\n"
    "                 the image is made without this module\n"
    "  --image PATH   the image; else $MOONLET_IMAGE, or beside the socket\n"
    "  --socket PATH  where moonletd listens; else $MOONLET_SOCKET,\n"
    "                 $XDG_RUNTIME_DIR/" MOONLET_SOCKET_NAME ", /run/" MOONLET_SOCKET_NAME
    "\n"
    "  --help         show this text\n" MOONLET_OPTIONS_OF_COMPANION
    "  --version      show the version\n"
    "lua's options: -e stat, -l mod, -v, -E, -W, -i, -, -- (see lua(1))\n"
    "Without an image that fits the script runs through " MOONLET_FALLBACK_NAME
    ", or $MOONLET_FALLBACK;\n"
    "empty, that forbids it. moonlet's own failures exit with 125. See moonlet(1).\n";

constexpr char kVersion[] = "moonlet " MOONLET_VERSION " (" MOONLET_LUA_NAME ")\n";

bool is_for_companion(const char* option) {
#if defined(MOONLET_WARM)
  const char* its = "status\0status=json\0top\0reload\0images\0forget\0wrap\0";
#else
  const char* its = "status\0status=json\0top\0reload\0";
#endif
  while (*its != '\0' && strcmp(option, its) != 0) its += strlen(its) + 1;
  return *its != '\0';
}

// Whether `option` is this one, by itself or with "=VALUE": `length` is that of its name.
bool is_option(const char* option, const char* name, size_t& length) {
  length = strlen(name);
  return strncmp(option, name, length) == 0 && (option[length] == '=' || option[length] == '\0');
}

}  // namespace

CommandLine read_command_line(int argc, char** argv) {
  CommandLine line = {argv, argc, nullptr, nullptr, take_handed(), false, false, false};
  if (line.descriptor >= 0) {  // all of it is lua's
    line.interactive = fallback::needs_real_lua(argv);
    return line;
  }
  const char* name = argv[0];
  // lua has no long options, so that ours, in front, never hide one of its own.
  while (argc > 1 && strncmp(line.argv[1], "--", 2) == 0 && line.argv[1][2] != '\0') {
    const char* option = line.argv[1] + 2;
    int taken = 1;
    if (strcmp(option, "help") == 0) print_and_exit(kHelp);
    if (strcmp(option, "version") == 0) print_and_exit(kVersion);
    if (is_for_companion(option)) become_companion(argv);
    const char** value = nullptr;
    size_t length = 0;
    if (is_option(option, "freeze", length)) {
#if defined(MOONLET_LAYERS)
      constexpr char kFirst[] = "it must be the first option, but for one --image";
      const bool has_base = line.image != nullptr && !line.rehearses &&
                            (line.argv == argv + 1 || (line.argv == argv + 2 && line.image == argv[2]));
      const bool is_first = line.argv == argv || has_base;
#else
      constexpr char kFirst[] = "it must be the first option";
      const bool is_first = line.argv == argv;
#endif
      if (!is_first) {
        fallback::print_refusal({"--freeze", "", 0, kFirst});
        _exit(protocol::kOwnFailure);
      }
      line.freezes = true;
      return line;
    }
#if defined(MOONLET_WARM)
    if (is_option(option, "argv0", length)) {
      value = &name;
    } else
#endif
        if (is_option(option, "socket", length)) {
      value = &line.socket;
    } else if (is_option(option, "image", length)) {
      value = &line.image;
    } else if (is_option(option, "rehearse", length)) {
      value = &line.image;
      line.rehearses = true;
    } else {
#if defined(MOONLET_WARM)
      // What is so long is one of ours, misspelt.
      constexpr size_t kLeast = 3;
      if (strlen(option) >= kLeast) fallback::print_refusal({option - 2, "", 0, kOwnOptions});
#endif
      break;  // lua's own complaint is what its users know
    }
    *value = option + length + 1;
    if (option[length] == '\0') {
      *value = line.argv[2];
      if (*value == nullptr) {
        fallback::print_refusal({option - 2, "", 0, "its value must follow"});
        _exit(protocol::kOwnFailure);
      }
      taken = 2;
    }
    line.argv += taken;
    argc -= taken;
  }
  line.argv[0] = const_cast<char*>(name);
  line.argc = argc;
  line.interactive = fallback::needs_real_lua(line.argv);
  return line;
}

}  // namespace moonlet::client
