#include "zygote/options.h"

#include "protocol/protocol.h"
#include "zygote/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::zygote {

namespace {

constexpr char kHelp[] =
    "usage: moonletd [options] [lua's options] [script [args]]\n"
    "Runs a warm-up as " MOONLET_LUA_NAME
    " would, then serves copies of itself to moonlet.\n"
    "  --socket PATH   listen here; else $MOONLET_SOCKET, $XDG_RUNTIME_DIR/moonlet.sock,\n"
    "                  /run/moonlet.sock\n"
    "  --mode OCTAL    permissions of the socket (0600)\n"
    "  --max N         run at most N scripts at once; further ones wait\n"
    "  --spare N       keep N children forked ahead (0)\n"
    "  --gc MODE       the collector's: generational, where this Lua has that, or incremental\n"
    "  --ready-fd N    write a newline to descriptor N when serving\n"
    "  --help          show this text\n"
    "  --version       show the version\n"
    "lua's options: -e stat, -l mod, -v, -E, -W, -, -- (see lua(1)). See moonletd(8).\n";

// More than anybody has processors for.
constexpr int kMaxSpares = 1000;

[[noreturn]] void print_and_exit(const char* text) {
  const bool printed = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
  exit(printed ? EXIT_SUCCESS : EXIT_FAILURE);
}

long number(const char* option, const char* text, int base, long least, long most) {
  char* end = nullptr;
  errno = 0;
  const long value = strtol(text, &end, base);
  if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
    fail(base == 8 ? "--%s: '%s' is not an octal number from %lo to %lo"
                   : "--%s: '%s' is not a number from %ld to %ld",
         option, text, least, most);
  }
  return value;
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
    if (argument[1] != '-') {
      // lua's: -e and -l may have their argument behind them.
      const bool takes_next = strchr("elj", argument[1]) != nullptr && argument[2] == '\0' && i + 1 < argc;
      for (used = 0; used < (takes_next ? 2 : 1); used++) argv[kept++] = argv[i + used];
    } else if (strcmp(argument, "--help") == 0) {
      print_and_exit(kHelp);
    } else if (strcmp(argument, "--version") == 0) {
      print_and_exit("moonletd " MOONLET_VERSION " (" MOONLET_LUA_NAME ")\n");
    } else if (const char* path = value_of("socket", argv + i, used)) {
      options.socket = path;
    } else if (const char* mode = value_of("mode", argv + i, used)) {
      options.mode = static_cast<unsigned>(number("mode", mode, 8, 0, 0777));
    } else if (const char* max = value_of("max", argv + i, used)) {
      options.max = static_cast<int>(number("max", max, 10, 1, INT_MAX));
    } else if (const char* spare = value_of("spare", argv + i, used)) {
      options.spare = static_cast<int>(number("spare", spare, 10, 0, kMaxSpares));
    } else if (const char* gc = value_of("gc", argv + i, used)) {
      constexpr bool kHasGenerations = MOONLET_LUA_CODE >= 504 && MOONLET_LUA_CODE != protocol::kLuaJit;
      options.incremental = strcmp(gc, "incremental") == 0;
      if (!options.incremental && (!kHasGenerations || strcmp(gc, "generational") != 0)) {
        fail("--gc: '%s' is no mode of the collector of %s", gc, MOONLET_LUA_NAME);
      }
    } else if (const char* ready = value_of("ready-fd", argv + i, used)) {
      options.ready_fd = static_cast<int>(number("ready-fd", ready, 10, 0, INT_MAX));
      if (fcntl(options.ready_fd, F_GETFD) < 0) {
        fail("--ready-fd: descriptor %d: %m", options.ready_fd);
      }
    } else {
      fail("unrecognized option '%s' (see moonletd --help)", argument);
    }
    i += used;
  }
  while (i < argc) argv[kept++] = argv[i++];
  argv[kept] = nullptr;
  options.argc = kept;
  return options;
}

}  // namespace moonlet::zygote
