#include "server/options.h"

#include "child/log.h"
#include "protocol/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

constexpr const char* kHelp = MOONLET_TEXT()
    "usage: moonletd [--socket PATH] [--mode OCTAL] [--image PATH] [--max N]\n"
    "    [--warm-up-time SECONDS] [--warm-up-memory MEGABYTES]\n"
#if defined(MOONLET_CONFINEMENT)
    "    [--compare-clients 0|1]\n"
#endif
    "    [--trust] [--ready-fd N] [lua's options] [script [args]]\n"
    "       moonletd --help | --version\n"
    "Serves scripts from an image of its warm-up, and keeps that fresh.\n"
#if defined(MOONLET_OTHER_USERS)  // else there is no room for this
    "  --socket PATH            where to listen; else $MOONLET_SOCKET,\n"
    "                           $XDG_RUNTIME_DIR/" MOONLET_SOCKET_NAME "\n"
    "                           or /run/" MOONLET_SOCKET_NAME "\n"
    "  --mode OCTAL             permissions of the socket (600)\n"
    "  --image PATH             where the image is; else beside the socket\n"
    "  --max N                  scripts at once that moonletd starts: those that\n"
    "                           moonlet thaws are none of its\n"
    "  --warm-up-time SECONDS   after which a warm-up is ended (60)\n"
    "  --warm-up-memory MEGABYTES\n"
    "                           that a warm-up may take\n"
    "  --compare-clients 0|1    whether clients that are confined otherwise than\n"
    "                           moonletd get lua (1 where it is root)\n"
    "  --trust                  no file will change\n"
    "  --ready-fd N             a descriptor that gets a newline when it serves\n"
    "  --help, --version        show this text, or the version\n"
    "The options and the script of lua are the warm-up.\n"
#else
    "--max counts scripts that moonletd starts; those that moonlet thaws are\n"
    "none of its.\n"
#endif
    "See moonletd(8).\n";

[[noreturn]] void print_and_exit(const char* text) {
  text = unpack(text);
  const size_t size = strlen(text);
  exit(write(STDOUT_FILENO, text, size) == static_cast<ssize_t>(size) ? EXIT_SUCCESS : EXIT_FAILURE);
}

struct NumberOption {
  const char* name;
  int Options::*value;
  int least;
  int most;
};
constexpr NumberOption kNumbers[] = {
    {"mode", &Options::mode, 0, 0777},
    {"max", &Options::max, 1, INT_MAX},
    {"warm-up-time", &Options::warm_up_seconds, 1, INT_MAX / 1000},
    {"warm-up-memory", &Options::warm_up_megabytes, 1, INT_MAX >> 20},
#if defined(MOONLET_CONFINEMENT)
    {"compare-clients", &Options::compare_clients, 0, 1},
#endif
    {"ready-fd", &Options::ready_fd, 0, INT_MAX},
};

int read_number(const NumberOption& option, const char* text) {
  const bool is_octal = option.value == &Options::mode;
  char* end = nullptr;
  errno = 0;
  const long value = strtol(text, &end, is_octal ? 8 : 10);
  if (end == text || *end != '\0' || errno != 0 || value < option.least || value > option.most)
    (fail)(is_octal ? MOONLET_TEXT("--%s: '%s' is no octal number from %o to %o")
                    : MOONLET_TEXT("--%s: '%s' is no number from %d to %d"),
           option.name, text, option.least, option.most);
  return static_cast<int>(value);
}

// If `argument` is the long option `name`, its value: behind "=" or the next argument. Else null.
const char* value_of(const char* name, char** argument, int& used) {
  const char* text = *argument + 2;
  const size_t length = strlen(name);
  if (strncmp(text, name, length) != 0) return nullptr;
  if (text[length] == '=') return text + length + 1;
  if (text[length] != '\0') return nullptr;
  if (argument[1] == nullptr) {
    fail("--%s: a value must follow", name);
  }
  used = 2;
  return argument[1];
}

// If `argument` is one of kNumbers, takes its value. Else false.
bool read_number_option(char** argument, Options& options, int& used) {
  for (const NumberOption& option : kNumbers) {
    const char* text = value_of(option.name, argument, used);
    if (text == nullptr) continue;
    options.*option.value = read_number(option, text);
    return true;
  }
  return false;
}

}  // namespace

Options read_options(int argc, char** argv) {
  Options options;
  options.argv = argv;
  int kept = 1;
  int i = 1;
  while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
    const char* argument = argv[i];
    if (strcmp(argument, "--") == 0) break;
    int used = 1;
    if (argument[1] != '-' && strcmp(argument, "-i") != 0) {
      // lua's: -e and -l may have their argument behind them.
      const bool takes_next = strchr("elj", argument[1]) != nullptr && argument[2] == '\0' && i + 1 < argc;
      for (used = 0; used < (takes_next ? 2 : 1); used++) argv[kept++] = argv[i + used];
    } else if (strcmp(argument, "--help") == 0) {
      print_and_exit(kHelp);
    } else if (strcmp(argument, "--version") == 0) {
      print_and_exit(MOONLET_TEXT("moonletd " MOONLET_VERSION " (" MOONLET_LUA_NAME ")\n"));
    } else if (strcmp(argument, "--trust") == 0) {
      options.trust = true;
    } else if (const char* path = value_of("socket", argv + i, used)) {
      options.socket = path;
    } else if (const char* image = value_of("image", argv + i, used)) {
      if (*image == '\0') fail("--image: a path must follow");
      options.image = image;
    } else if (!read_number_option(argv + i, options, used)) {
      fail("unrecognized option '%s'", argument);
    }
    i += used;
  }
  // Not for the warm-up.
  if (options.ready_fd >= 0 && fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC) < 0)
    fail("--ready-fd %d: %m", options.ready_fd);
  while (i < argc) argv[kept++] = argv[i++];
  argv[kept] = nullptr;
  options.argc = kept;
  return options;
}

}  // namespace moonlet::server
