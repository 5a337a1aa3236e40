#include "zygote/process_title.h"

#include "base/layout.h"
#include "zygote/descriptors.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

prctl_mm_map map;  // of the zygote; its children differ in where their strings lie
bool has_map = false;
char* area = nullptr;  // the zygote's own argv and environment
size_t area_size = 0;

// The parts of the map that exec set, from proc_pid_stat(5): fields 26 to 28 and 45 to 51.
constexpr unsigned char kFields[] = {26, 27, 45, 46, 47, 0,
                                     28, 48, 49, 50, 51};  // in the order of prctl_mm_map; 0: brk
bool read_map() {
  MOONLET_LARGE static char line[1024];
  read_text("/proc/self/stat", line, sizeof line);
  const char* at = strrchr(line, ')');  // the name may hold anything
  if (at == nullptr) return false;
  MOONLET_LARGE static unsigned long long field[52];
  char* rest = const_cast<char*>(at) + 3;  // field 3, the state, is a letter
  for (int i = 4; i < 52; i++) field[i] = strtoull(rest, &rest, 10);
  for (size_t i = 0; i < sizeof kFields; i++)
    reinterpret_cast<unsigned long long*>(&map)[i] = field[kFields[i]];
  map.exe_fd = ~0U;  // as it is
  return map.start_stack != 0;
}

// prctl(PR_SET_MM_MAP), Linux 3.18 with CONFIG_CHECKPOINT_RESTORE: needs no privilege.
bool set_map() {
  map.brk = static_cast<unsigned long long>(syscall(SYS_brk, 0));
  return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

}  // namespace

void set_title_area(char* first_argument, const char* environment_end) {
  area = first_argument;
  if (environment_end == nullptr) environment_end = area + strlen(area);
  area_size = static_cast<size_t>(environment_end - first_argument);
}

void prepare_title() { has_map = read_map() && set_map(); }

void set_title(const LaunchRequest& request) {
  prctl(PR_SET_NAME, request.header.comm);
  if (has_map) {
    map.arg_start = reinterpret_cast<unsigned long>(request.strings);
    map.arg_end = reinterpret_cast<unsigned long>(request.environment_strings);
    map.env_start = map.arg_end;
    map.env_end = reinterpret_cast<unsigned long>(request.strings_end);
    if (set_map()) return;
  }
  // As setproctitle of the BSDs does: the area shows as the command line up to its first NUL if it does
  // not end in one. The zygote's strings are its children's to overwrite: theirs are elsewhere.
  auto used = static_cast<size_t>(request.environment_strings - request.strings);
  if (used > area_size) used = area_size;
  memset(area, 0, area_size);
  memcpy(area, request.strings, used);
}

}  // namespace moonlet::zygote
