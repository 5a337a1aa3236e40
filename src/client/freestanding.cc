// Where the static client begins, and its system calls, on the machines that are named here. What a C library
// prepares before main (threads, their memory, streams) the client never uses: without it the program is
// smaller by half, and starts with fewer page faults and calls. Elsewhere all of this is the C library's.
// From there still come what has no state: strlen(3) and its like.

#include "base/kernel.h"
#include "image/auxiliary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int main(int argc, char** argv);

// Both hand over what execve(2) has left at the stack pointer, and follow syscall(2) ("Architecture calling
// conventions"): a negative result down to -4095, or the error flag of MIPS, is an error.
#if defined(__x86_64__)

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call moonlet_begin\n"
    "moonlet_call:\n"
    "  mov %rdi, %rax\n"
    "  mov %rsi, %rdi\n"
    "  mov %rdx, %rsi\n"
    "  mov %rcx, %rdx\n"
    "  mov %r8, %r10\n"
    "  mov %r9, %r8\n"
    "  mov 8(%rsp), %r9\n"
    "  syscall\n"
    "  ret\n");

#elif defined(__aarch64__)

__asm__(
    ".globl _start\n"
    "_start:\n"
    "  mov x29, #0\n"
    "  mov x30, #0\n"
    "  mov x0, sp\n"
    "  b moonlet_begin\n"
    "moonlet_call:\n"
    "  mov x8, x0\n"
    "  mov x0, x1\n"
    "  mov x1, x2\n"
    "  mov x2, x3\n"
    "  mov x3, x4\n"
    "  mov x4, x5\n"
    "  mov x5, x6\n"
    "  svc #0\n"
    "  ret\n");

#elif defined(__mips__) && _MIPS_SIM == _ABIO32

__asm__(
    ".set push\n"
    ".set nomips16\n"
    ".set noreorder\n"
    ".globl __start\n"
    ".ent __start\n"
    "__start:\n"
    "  move $31, $0\n"
    "  move $4, $29\n"
    "  li $2, -8\n"
    "  and $29, $29, $2\n"
    "  jal moonlet_begin\n"
    "  addiu $29, $29, -16\n"
    ".end __start\n"
    ".ent moonlet_call\n"
    "moonlet_call:\n"
    "  move $2, $4\n"
    "  move $4, $5\n"
    "  move $5, $6\n"
    "  move $6, $7\n"
    "  lw $7, 16($29)\n"
    "  lw $8, 20($29)\n"
    "  lw $9, 24($29)\n"
    "  addiu $29, $29, -24\n"
    "  sw $8, 16($29)\n"
    "  sw $9, 20($29)\n"
    "  syscall\n"
    "  bnel $7, $0, 1f\n"
    "  subu $2, $0, $2\n"
    "1:jr $31\n"
    "  addiu $29, $29, 24\n"
    ".end moonlet_call\n"
    ".set pop\n");

#else
#error "cmake/ClientLibc.cmake adds this file on machines that it knows"
#endif

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): each C library has names of its own
extern "C" {

long moonlet_call(long number, long a, long b, long c, long d, long e, long f);

char** environ;

static int error_of_last_call;

int* __errno_location() { return &error_of_last_call; }

[[noreturn, gnu::used]] void moonlet_begin(long* stack) {
  char** argv = reinterpret_cast<char**>(stack + 1);
  environ = argv + *stack + 1;
  _exit(main(static_cast<int>(*stack), argv));
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long argument[6];
  for (long& it : argument) it = va_arg(list, long);
  va_end(list);
  const long result =
      moonlet_call(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
  if (static_cast<unsigned long>(result) < -4095UL) return result;
  error_of_last_call = static_cast<int>(-result);
  return -1;
}

unsigned long getauxval(unsigned long type) {
  namespace image = moonlet::image;
  const image::AuxiliaryEntry* const entry = image::find_entry(image::auxiliary_behind(environ), type);
  return entry != nullptr ? entry->value : 0;
}

char* getenv(const char* name) {
  const size_t length = strlen(name);
  for (char** variable = environ; *variable != nullptr; variable++) {
    if (strncmp(*variable, name, length) == 0 && (*variable)[length] == '=') return *variable + length + 1;
  }
  return nullptr;
}

char* strerror(int error) {
  static constexpr unsigned char kNumbers[] = {
#define ERROR(number, text) number,
#include "client/error_list.h"
#undef ERROR
  };
  static constexpr char kTexts[] =
#define ERROR(number, text) text "\0"
#include "client/error_list.h"
#undef ERROR
      ;
  const char* text = kTexts;
  for (const unsigned char number : kNumbers) {
    if (number == error) return const_cast<char*>(text);
    text += strlen(text) + 1;
  }
  static char number[] = "error \0\0\0\0\0";
  char* end = number + sizeof number - 1;
  char digits[5];
  int count = 0;
  for (; error > 0 && count < 4; error /= 10) digits[count++] = static_cast<char>('0' + error % 10);
  char* at = number + 6;
  while (count > 0 && at < end) *at++ = digits[--count];
  return number;
}

void _exit(int status) {
  for (;;) syscall(SYS_exit_group, status);
}

int close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }

int connect(int fd, const sockaddr* address, socklen_t size) {
  return static_cast<int>(syscall(SYS_connect, fd, address, size));
}

int execv(const char* path, char* const argv[]) {
  return static_cast<int>(syscall(SYS_execve, path, argv, environ));
}

pid_t getpid() { return static_cast<pid_t>(syscall(SYS_getpid)); }

int isatty(int fd) {
  winsize size;
  return syscall(SYS_ioctl, fd, TIOCGWINSZ, &size) == 0 ? 1 : 0;
}

int mkdirat(int directory, const char* path, mode_t mode) {
  return static_cast<int>(syscall(SYS_mkdirat, directory, path, mode));
}

void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) {
#if defined(SYS_mmap2)
  return reinterpret_cast<void*>(
      syscall(SYS_mmap2, address, size, protection, flags, fd, static_cast<long>(offset >> 12)));
#else
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, fd, offset));
#endif
}

int munmap(void* address, size_t size) { return static_cast<int>(syscall(SYS_munmap, address, size)); }

int madvise(void* address, size_t size, int advice) {
  return static_cast<int>(syscall(SYS_madvise, address, size, advice));
}

int openat(int directory, const char* path, int flags, ...) {
  return static_cast<int>(syscall(SYS_openat, directory, path, flags, 0600));
}

int open(const char* path, int flags, ...) { return openat(AT_FDCWD, path, flags); }

int prctl(int option, ...) {
  va_list list;
  va_start(list, option);
  const unsigned long argument = va_arg(list, unsigned long);
  va_end(list);
  return static_cast<int>(syscall(SYS_prctl, option, argument, 0L, 0L, 0L));
}

ssize_t pread(int fd, void* data, size_t size, off_t offset) {
#if defined(__mips__)  // 64 bits are a pair of registers, of which the first has an even number
  const long half[2] = {0, static_cast<long>(offset)};
  constexpr int kLow = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1 : 0;
  return syscall(SYS_pread64, fd, data, size, 0L, half[kLow], half[1 - kLow]);
#else
  return syscall(SYS_pread64, fd, data, size, offset);
#endif
}

ssize_t read(int fd, void* data, size_t size) { return syscall(SYS_read, fd, data, size); }

ssize_t readlink(const char* __restrict path, char* __restrict target, size_t size) {
  return syscall(SYS_readlinkat, AT_FDCWD, path, target, size);
}

ssize_t send(int fd, const void* data, size_t size, int flags) {
  return syscall(SYS_sendto, fd, data, size, flags, nullptr, size_t{0});
}

int socket(int domain, int type, int protocol) {
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}

// Of the result, the device and the inode.
int stat(const char* __restrict path, struct stat* __restrict result) {
#if defined(__mips__)
  struct {
    unsigned long device, pad[3];
    unsigned long long inode;
    char rest[128];
  } all;
  const long got = syscall(SYS_stat64, path, &all);
  result->st_dev = all.device;
  result->st_ino = all.inode;
  return static_cast<int>(got);
#else
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, 0));
#endif
}

ssize_t write(int fd, const void* data, size_t size) { return syscall(SYS_write, fd, data, size); }

ssize_t writev(int fd, const iovec* parts, int count) { return syscall(SYS_writev, fd, parts, count); }

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
