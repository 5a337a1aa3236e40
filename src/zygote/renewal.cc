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
#include <sys/mman.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

constexpr uint32_t kMagic = 0x4e4e4f4d;  // "MONN": the layout of Handover
constexpr char kVariable[] = "MOONLET_HANDOVER=";
constexpr size_t kVariableLength = sizeof kVariable - 1;

// How this process was started.
struct Start {
  char** argv;
  char** environment;  // its first place is for the variable
  int directory;
};
Start start_of_process;
const int* connection = nullptr;  // of each launch of the image before; then what it knew of them
size_t mapped = 0;                // bytes of all that it has left
volatile sig_atomic_t hung_up = 0;

void note_hangup(int) { hung_up = 1; }

// A list of strings as exec takes it, behind `free` free places.
char** copy_of(char** list, size_t free) {
  size_t count = 0;
  while (list[count] != nullptr) count++;
  auto** const copy = static_cast<char**>(calloc(free + count + 1, sizeof *list));
  if (copy == nullptr) fail("not enough memory");
  memcpy(copy + free, list, count * sizeof *list);
  return copy;
}

// Whoever starts moonletd may have put anything into the variable.
void read_handover(const char* value) {
  Handover found;
  const auto descriptor = static_cast<int>(strtol(value, nullptr, 10));
  if (pread(descriptor, &found, sizeof found, 0) != sizeof found || found.magic != kMagic ||
      found.pid != getpid())
    return;
  if (found.bytes < sizeof found)
    memset(reinterpret_cast<char*>(&found) + found.bytes, 0, sizeof found - found.bytes);
  mapped = found.bytes + static_cast<size_t>(found.launches) * (sizeof(int) + found.launch_bytes);
  void* const all = mmap(nullptr, mapped, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  if (all == MAP_FAILED) return;
  handover = found;
  connection = reinterpret_cast<const int*>(static_cast<char*>(all) + found.bytes);
  // None of these is for programs that the warm-up starts.
  fcntl(handover.listener, F_SETFD, FD_CLOEXEC);
  for (int i = 0; i < found.launches; i++) fcntl(Launches::number_of(connection[i]), F_SETFD, FD_CLOEXEC);
}

}  // namespace

constinit Handover handover;

void remember_start(char** argv) {
  if (environ[0] != nullptr && strncmp(environ[0], kVariable, kVariableLength) == 0)
    read_handover(*environ++ + kVariableLength);
  Start& start = start_of_process;
  start.argv = copy_of(argv, 0);
  if (MOONLET_LUA_CODE >= 504) {
    for (char** word = start.argv; *word != nullptr; word++)
      *word = strdup(*word);  // lua cuts "-l g=mod" in two
  }
  start.environment = copy_of(environ, 1);
  start.directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  signal(SIGHUP, note_hangup);
  if (is_renewed()) kernel::change_mask(SIG_SETMASK, &handover.mask, nullptr);
}

void repeat_hangup() {
  if (hung_up != 0) kill(getpid(), SIGHUP);
}

void restore(Launches& launches) {
  if (!is_renewed()) return;
  handover.counts.max = launches.counts.max;
  handover.counts.running = 0;
  handover.counts.reloads = handover.renewals;
  launches.counts = handover.counts;
  launches.restore(connection, handover.launches, handover.launch_bytes);
  // It would be one mapping more for each fork to copy.
  munmap(const_cast<char*>(reinterpret_cast<const char*>(connection)) - handover.bytes, mapped);
}

void renew(const Launches& launches) {
  const Start& start = start_of_process;
  handover.magic = kMagic;
  handover.bytes = sizeof handover;
  handover.launch_bytes = sizeof(Launch);
  handover.pid = getpid();
  handover.launches = launches.count();
  handover.counts = launches.counts;
  handover.renewals++;
  handover.idle_renewals++;
  close_in_next_image();
  const auto state = static_cast<int>(syscall(SYS_memfd_create, "moonletd", 0U));
  if (state >= 0 && write(state, &handover, sizeof handover) == sizeof handover && launches.save(state) &&
      fchdir(start.directory) == 0) {
    fcntl(handover.listener, F_SETFD, 0);
    char variable[kVariableLength + 12];
    snprintf(variable, sizeof variable, "%s%d", kVariable, state);
    start.environment[0] = variable;
    layer::outdate(launches);
    // An explicit loader (ld.so moonletd ...) would be what is executed.
    const auto* const program = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    execve(getauxval(AT_BASE) != 0 ? program : "", start.argv, start.environment);
  }
  log_line("start anew: %m");
  close(state);
}

}  // namespace moonlet::zygote
