// Command lines: of moonlet, of moonletd, and of lua as a child outlines it before it starts.
// An input: a byte, whose bit 0 says whether standard input is a terminal, and the arguments, each with its
// NUL.

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/uio.h>

namespace moonlet::fuzz {
namespace {

bool has_terminal;
int is_terminal(int) { return has_terminal ? 1 : 0; }

[[noreturn]] void exit_with(int status) {
  PROMISE(status == 0 || status == 1 || status == 125);
  leave();
}

}  // namespace
}  // namespace moonlet::fuzz

#define isatty moonlet::fuzz::is_terminal
#define exit moonlet::fuzz::exit_with
#define _exit moonlet::fuzz::exit_with
#define write(file, text, size) moonlet::fuzz::print(text, size)
#define writev(file, parts, count) moonlet::fuzz::print(parts, count)
#include "child/log.cc"
#include "client/command_line.cc"
#include "fallback/real_lua.cc"
#include "fallback/refusal.cc"
#include "lua/command_line.cc"
#include "server/options.cc"
#undef isatty
#undef exit
#undef _exit
#undef write
#undef writev

// It was not moonletd that started it.
int moonlet::client::take_handed() { return -1; }

namespace moonlet::fuzz {
namespace {

constexpr int kMost = 64;  // arguments

struct Arguments {
  char text[4096 + 1];
  char* given[kMost + 1];
  char* argv[kMost + 1];
  int argc = 0;

  Arguments(const uint8_t* data, size_t size) {
    memcpy(text, data, size);
    text[size] = '\0';
    for (char* at = text; argc < kMost && at < text + size + 1; at += strlen(at) + 1) given[argc++] = at;
    for (int i = 0; i < argc; i++) argv[i] = given[i];
    argv[argc] = nullptr;
  }

  [[nodiscard]] bool are_unchanged(char** arguments) const {
    return memcmp(arguments, given, static_cast<size_t>(argc) * sizeof *given) == 0 &&
           arguments[argc] == nullptr;
  }

  // Whether `kept` are some of the arguments given, in their order, the first among them.
  [[nodiscard]] bool has(char** kept, int count) const {
    if (count < 1 || kept[0] != given[0] || kept[count] != nullptr) return false;
    int at = 0;
    for (int i = 1; i < count; i++) {
      do at++;
      while (at < argc && given[at] != kept[i]);
    }
    return at < argc;
  }
};

const Arguments* of_client;

void read_client(const uint8_t* data, size_t size) {
  Arguments arguments(data, size);
  of_client = &arguments;
  if (setjmp(way_out) != 0) return;
  const client::CommandLine line = client::read_command_line(arguments.argc, arguments.argv);
  PROMISE(arguments.has(line.argv, line.argc));
  // The child must not decline what the client should have kept from it.
  PROMISE(line.interactive || !interpreter::outline(line.argv).interactive);
}

void read_zygote(const uint8_t* data, size_t size) {
  Arguments arguments(data, size);
  if (setjmp(way_out) != 0) return;
  const server::Options options = server::read_options(arguments.argc, arguments.argv);
  PROMISE(arguments.has(options.argv, options.argc));
  PROMISE(options.mode >= 0 && options.mode <= 0777);
  PROMISE(options.max >= 0 && options.warm_up_seconds > 0 && options.warm_up_megabytes >= 0);
  interpreter::outline(options.argv);
}

}  // namespace
}  // namespace moonlet::fuzz

// All that the client was given is for the other program too.
void moonlet::client::become_companion(char** argv) {
  PROMISE(fuzz::of_client->are_unchanged(argv));
  fuzz::leave();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moonlet;
  if (size < 1 || size > 4096) return 0;
  fuzz::has_terminal = (data[0] & 1) != 0;
  fuzz::read_client(data + 1, size - 1);
  fuzz::read_zygote(data + 1, size - 1);
  return 0;
}
