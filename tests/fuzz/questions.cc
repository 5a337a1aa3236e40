// The questions of an image, as a launch reads them: bytes of a file. An input: whether files are left out
// (u8), the environment (four strings with their NULs), and then the questions. No question reaches this
// machine's files: the kernel is one that answers by the question's own bytes.

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>

namespace moonlet::fuzz {
namespace {

constexpr size_t kMostBytes = 65536;
constexpr int kVariables = 4;
constexpr int kDescriptor = 1000;

int opened;  // descriptors that are open

// Some of what it is asked about is there.
long answer_about(const char* path) {
  if (strlen(path) % 4 != 3) return 0;
  errno = strlen(path) % 8 == 3 ? ENOENT : ENOMEM;
  return -1;
}

// As much as fits is written to, for AddressSanitizer to see.
long fill(void* to, size_t size, long result) {
  memset(to, 1, size);
  return result;
}

long kernel(long number, ...) {
  va_list list;
  va_start(list, number);
  long argument[6];
  for (long& it : argument) it = va_arg(list, long);
  va_end(list);
  void* const second = reinterpret_cast<void*>(argument[1]);
  const auto text = [&argument](int index) { return reinterpret_cast<const char*>(argument[index]); };
  switch (number) {
    case SYS_openat:
      if (answer_about(text(1)) != 0) return -1;
      opened++;
      return kDescriptor;
    case SYS_close:
      PROMISE(static_cast<int>(argument[0]) == kDescriptor && opened-- > 0);
      return 0;
    case SYS_statx:
      PROMISE(static_cast<int>(argument[0]) == kDescriptor || static_cast<int>(argument[0]) == AT_FDCWD);
      return answer_about(text(1)) != 0 ? -1 : fill(reinterpret_cast<void*>(argument[4]), 256, 0);
    case SYS_read: {
      static int times;
      return ++times % 100 == 0 ? 0 : fill(second, static_cast<size_t>(argument[2]), argument[2] - times % 2);
    }
    case SYS_readlinkat:
      return answer_about(text(1)) != 0
                 ? -1
                 : fill(reinterpret_cast<void*>(argument[2]), static_cast<size_t>(argument[3]), argument[3]);
    case SYS_ioctl:
      return fill(reinterpret_cast<void*>(argument[2]), argument[1] == TCGETS ? 36 : sizeof(struct winsize), 0);
    case SYS_getcwd:
      return fill(reinterpret_cast<void*>(argument[0]), static_cast<size_t>(argument[1]), argument[1]);
    case SYS_uname:
      return fill(reinterpret_cast<void*>(argument[0]), sizeof(utsname), 0);
    case SYS_getgroups:
      return fill(second, 4 * static_cast<size_t>(argument[0]), argument[0]);
    case SYS_sched_getaffinity:
      return fill(reinterpret_cast<void*>(argument[2]), static_cast<size_t>(argument[1]), argument[1]);
    case SYS_prlimit64:
      return fill(reinterpret_cast<void*>(argument[3]), 16, 0);
    case SYS_getresuid:
    case SYS_getresgid:
      for (int i = 0; i < 3; i++) fill(reinterpret_cast<void*>(argument[i]), 4, 0);
      return 0;
    default:
      abort();  // a call that this target does not know
  }
}

}  // namespace
}  // namespace moonlet::fuzz

#define syscall(...) moonlet::fuzz::kernel(__VA_ARGS__, 0L, 0L, 0L, 0L, 0L)
#include "image/answer.cc"
#include "image/ask.cc"
#include "image/describe.cc"
#undef syscall

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moonlet;
  if (size == 0 || size > fuzz::kMostBytes) return 0;
  const auto which = static_cast<image::Which>(*data++ % 3);
  size--;
  char* envp[fuzz::kVariables + 1] = {};
  for (int i = 0; i < fuzz::kVariables && size > 0; i++) {
    const size_t length = strnlen(reinterpret_cast<const char*>(data), size);
    envp[i] = strndup(reinterpret_cast<const char*>(data), length);
    const size_t used = length < size ? length + 1 : length;
    data += used;
    size -= used;
  }
  auto* questions = static_cast<char*>(malloc(size + 1));  // aligned, and nothing is behind it
  questions = static_cast<char*>(realloc(questions, size == 0 ? 1 : size));
  memcpy(questions, data, size);
  const image::Difference found =
      image::first_that_differs(questions, static_cast<uint32_t>(size), envp, which);
  PROMISE(fuzz::opened == 0);
  if (found.question != nullptr) {
    for (uint32_t room = 1; room < 64; room += 21) {
      char words[64];
      image::describe(found, words, room);
      PROMISE(strlen(words) < room);
    }
  }
  free(questions);
  for (char* entry : envp) free(entry);
  return 0;
}
