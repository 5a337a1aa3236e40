#include "zygote/renewal.h"

#include "zygote/launches.h"
#include "zygote/layer.h"
#include "zygote/log.h"
#include "zygote/warm_state.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

constexpr uint32_t kMagic = 0x4e4e4f4d;  // "MONN": the layout of Handover
constexpr char kVariable[] = "MOONLET_HANDOVER=";
constexpr size_t kVariableLength = sizeof kVariable - 1;

// How this process was started.
struct Start {
  char** argv;
  char** environment;  // with room for one variable more at its end, number `variables`
  size_t variables;
  int directory;
};
Start start_of_process;
int file = -1;  // what the image before has left
volatile sig_atomic_t hung_up = 0;

void note_hangup(int) { hung_up = 1; }

// A list of strings as exec takes it, with room for one more; with `deep`, of strings of its own.
char** copy_of(char** list, size_t count, bool deep) {
  auto** const copy = static_cast<char**>(calloc(count + 2, sizeof *list));
  for (size_t i = 0; copy != nullptr && i < count; i++) copy[i] = deep ? strdup(list[i]) : list[i];
  if (copy == nullptr) fail("not enough memory");
  return copy;
}

size_t length_of(char** list) {
  size_t length = 0;
  while (list[length] != nullptr) length++;
  return length;
}

// Takes the variable of the image before out of the environment, and returns its value, or null.
const char* take_variable() {
  const char* value = nullptr;
  char** to = environ;
  for (char** from = environ; *from != nullptr; from++) {
    if (strncmp(*from, kVariable, kVariableLength) == 0) {
      value = *from + kVariableLength;
    } else {
      *to++ = *from;
    }
  }
  *to = nullptr;
  return value;
}

// Whoever starts moonletd may have put anything into the variable.
void read_handover(const char* value) {
  Handover found;
  if (value == nullptr) return;
  const auto descriptor = static_cast<int>(strtol(value, nullptr, 10));
  if (pread(descriptor, &found, sizeof found, 0) != sizeof found || found.magic != kMagic ||
      found.pid != getpid())
    return;
  lseek(descriptor, found.bytes, SEEK_SET);
  if (found.bytes < sizeof found)
    memset(reinterpret_cast<char*>(&found) + found.bytes, 0, sizeof found - found.bytes);
  file = descriptor;
  handover = found;
  fcntl(file, F_SETFD, FD_CLOEXEC);
  fcntl(handover.listener, F_SETFD, FD_CLOEXEC);
}

}  // namespace

constinit Handover handover;

void remember_start(char** argv) {
  read_handover(take_variable());
  Start& start = start_of_process;
  start.argv = copy_of(argv, length_of(argv), true);  // lua cuts "-l g=mod" in two
  start.variables = length_of(environ);
  start.environment = copy_of(environ, start.variables, false);
  start.directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  signal(SIGHUP, note_hangup);
  if (is_renewed()) kernel::change_mask(SIG_SETMASK, &handover.mask, nullptr);
}

void repeat_hangup() {
  if (hung_up != 0) kill(getpid(), SIGHUP);
}

void restore(Launches& launches) {
  if (!is_renewed()) return;
  protocol::StatusCounts& counts = launches.counts;
  counts.started = handover.counts.started;
  counts.launches = handover.counts.launches;
  counts.failed = handover.counts.failed;
  counts.declined = handover.counts.declined;
  counts.reloads = handover.renewals;
  launches.restore(file, handover.launches, handover.launch_bytes);
  close(file);
}

void renew(const Launches& launches) {
  const Start& start = start_of_process;
  handover.magic = kMagic;
  handover.bytes = sizeof handover;
  handover.launch_bytes = sizeof(Launch);
  handover.pid = getpid();
  handover.launches = launches.count();
  handover.counts = launches.counts;
  Handover next = handover;
  next.renewals++;
  next.idle_renewals++;
  close_in_next_image();
  const auto state = static_cast<int>(syscall(SYS_memfd_create, "moonletd", 0U));
  if (write(state, &next, sizeof next) == sizeof next && launches.save(state) && fchdir(start.directory) == 0) {
    fcntl(handover.listener, F_SETFD, 0);
    char variable[kVariableLength + 12];
    snprintf(variable, sizeof variable, "%s%d", kVariable, state);
    start.environment[start.variables] = variable;
    layer::outdate(launches);
    // An explicit loader (ld.so moonletd ...) would be what is executed.
    const auto* const program = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    execve(getauxval(AT_BASE) != 0 ? program : "", start.argv, start.environment);
  }
  log_line("start anew: %m");
  close(state);
}

}  // namespace moonlet::zygote
