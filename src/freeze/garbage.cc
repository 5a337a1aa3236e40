#include "freeze/garbage.h"

#include "base/memory.h"
#include "lua/collector.h"
#include "lua/lua_api.h"
#include "lua/threaded_heap.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::freeze {

#if LUA_VERSION_NUM >= 504

namespace {

// Of a string (lobject.h, TString), in front of its text.
struct StringHeader {
  void* next;
  uint8_t type, marked, extra, length;
  unsigned hash;
  size_t long_length;  // if `type` is that of a long one
};
constexpr uint8_t kShort = 0x04;
constexpr uint8_t kLong = 0x14;

bool is_string(const StringHeader& it, size_t size) {
  const size_t length = it.type == kShort ? it.length : it.long_length;
  return (it.type == kShort || it.type == kLong) && size == sizeof it + length + 1;
}

// What the copy finds, and this process sees.
struct Found {
  static constexpr uint32_t kMost = 1 << 16;
  uint32_t count;
  struct {
    void* at;
    size_t length;
  } text[kMost];
};
Found* found;

void note(void* block, size_t size) {
  if (size <= sizeof(StringHeader) || found->count == Found::kMost) return;
  auto* const header = static_cast<StringHeader*>(block);
  if (is_string(*header, size)) found->text[found->count++] = {header + 1, size - sizeof *header};
}

}  // namespace

void forget_garbage(lua_State* L) {
  if (!collector::has_left_garbage()) return;
  void* const shared =
      mmap(nullptr, sizeof(Found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (shared == MAP_FAILED) return;
  found = static_cast<Found*>(shared);
  // Without fork(3): no handler of a library is to run.
  const auto child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    heap::observe_freed = note;
    lua_gc(L, LUA_GCINC, 0, 0, 0);
    lua_gc(L, LUA_GCGEN, 0, 0);  // which collects all, and runs no finalizer
    _exit(0);
  }
  if (child > 0) waitpid(child, nullptr, __WALL);
  for (uint32_t i = 0; i < found->count; i++) memset(found->text[i].at, 0, found->text[i].length);
  munmap(shared, sizeof(Found));
  found = nullptr;
}

#else

void forget_garbage(lua_State*) {}

#endif

}  // namespace moonlet::freeze
