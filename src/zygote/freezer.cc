#include "zygote/freezer.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "protocol/socket_path.h"
#include "zygote/log.h"
#include "zygote/renewal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(MOONLET_FREEZER)

namespace moonlet::zygote {

namespace {

MOONLET_LARGE char program[PATH_MAX];  // moonlet, beside this one
char** arguments = nullptr;            // null: nothing is to be frozen

bool find_program() {
  static constexpr char kName[] = "moonlet";
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - sizeof kName);
  while (length > 0 && program[length - 1] != '/') length--;
  if (length <= 0) return false;
  memcpy(program + length, kName, sizeof kName);
  return access(program, X_OK) == 0;
}

// In the child of a child, which nobody waits for.
[[noreturn]] void become_freezer() {
  setsid();
  const int nothing = open("/dev/null", O_RDWR);
  dup2(nothing, STDIN_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  kernel::change_mask(SIG_SETMASK, &handover.mask, nullptr);
  execv(program, arguments);
  log_line("exec %s: %m", program);
  _exit(EXIT_FAILURE);
}

}  // namespace

void prepare_freezer(const Options& options) {
  static char freeze[] = "--freeze";
  static char trust[] = "--trust";
  static protocol::ImagePath beside;
  beside.set(protocol::socket_address(options.socket));
  const char* const variable = getenv("MOONLET_IMAGE");
  const bool is_unwanted = options.image == nullptr && variable != nullptr && *variable == '\0';
  const char* const image = options.image != nullptr ? options.image : beside.text;
  if (!is_renewed()) unlink(*image != '\0' ? image : beside.text);
  if (is_unwanted || *image == '\0' || options.incremental || !find_program()) return;
  arguments = static_cast<char**>(calloc(static_cast<size_t>(options.argc) + 4, sizeof *arguments));
  if (arguments == nullptr) return;
  char** at = arguments;
  *at++ = program;
  *at++ = freeze;
  *at++ = strdup(image);
  if (options.trust) *at++ = trust;
  for (int i = 1; i < options.argc; i++) *at++ = strdup(options.argv[i]);
}

void start_freezer() {
  if (arguments == nullptr) return;
  const pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) become_freezer();
    _exit(EXIT_SUCCESS);
  }
  if (child < 0 || waitpid(child, nullptr, 0) != child) log_line("fork for the freeze: %m");
}

}  // namespace moonlet::zygote

#else

namespace moonlet::zygote {
void prepare_freezer(const Options&) {}
void start_freezer() {}
}  // namespace moonlet::zygote

#endif
