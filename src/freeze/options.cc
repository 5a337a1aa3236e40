#include "freeze/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

constexpr int kOwnFailure = 125;

// The value of option `name` at argv[at]: what follows "=", or the next argument. Null if it is another option.
const char* value_of(char** argv, int& at, const char* name) {
  const size_t length = strlen(name);
  if (strncmp(argv[at], name, length) != 0) return nullptr;
  if (argv[at][length] == '=') return argv[at] + length + 1;
  if (argv[at][length] != '\0') return nullptr;
  if (argv[at + 1] == nullptr) {
    fprintf(stderr, "%s: %s: an argument must follow\n", argv[0], name);
    exit(kOwnFailure);
  }
  return argv[++at];
}

// An image belongs where its name leads before the warm-up goes elsewhere.
const char* from_here(const char* path, char (&whole)[2 * PATH_MAX]) {
  if (path == nullptr || path[0] == '/' || getcwd(whole, PATH_MAX) == nullptr) return path;
  const size_t length = strlen(whole);
  snprintf(whole + length, sizeof whole - length, "/%s", path);
  return whole;
}

template <int kMost>
void add(const char* name, const char* (&names)[kMost], int& count, const char* option, const char* program) {
  if (count == kMost) {
    fprintf(stderr, "%s: %s: more than %d of them\n", program, option, kMost);
    exit(kOwnFailure);
  }
  names[count++] = name;
}

}  // namespace

void read_options(int argc, char** argv, Options& options) {
  options.argc = argc;
  options.argv = argv;
  int at = 1;
  for (; argv[at] != nullptr; at++) {
    if (const char* image = value_of(argv, at, "--freeze")) {
      if (*image == '\0') {
        fprintf(stderr, "%s: --freeze: a path must follow\n", argv[0]);
        exit(kOwnFailure);
      }
      options.image = image;
#if defined(MOONLET_LAYERS)
    } else if (const char* base = value_of(argv, at, "--image")) {
      options.base = base;
#endif
    } else if (const char* name = value_of(argv, at, "--ignore")) {
      add(name, options.ignore, options.ignored, "--ignore", argv[0]);
#if defined(MOONLET_OWN_PATH)
    } else if (const char* module = value_of(argv, at, "--leave-out")) {
      add(module, options.leave_out, options.left_out, "--leave-out", argv[0]);
#endif
    } else if (strcmp(argv[at], "--whole") == 0) {
      options.whole = true;
    } else if (strcmp(argv[at], "--trust") == 0) {
      options.trust = true;
    } else {
      break;
    }
  }
  options.image = from_here(options.image, options.room);
#if defined(MOONLET_LAYERS)
  options.base = from_here(options.base, options.base_room);
#endif
  options.argc -= at - 1;
  options.argv += at - 1;
  options.argv[0] = argv[0];
}

}  // namespace moonlet::freeze
