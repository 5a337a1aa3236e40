// Environment variables: where the socket is, which lua to fall back to and where it may lie, and what a
// supervisor says to moonletd. An input: for each variable, in the order of the list below, its value with its
// NUL; one that begins with a byte of 1 is not set.

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

namespace moonlet::fuzz {
namespace {

constexpr const char* kVariables[] = {"MOONLET_SOCKET", "XDG_RUNTIME_DIR", "MOONLET_FALLBACK",
                                      "PATH",           "LISTEN_FDS",      "LISTEN_PID",
                                      "NOTIFY_SOCKET",  "MOONLET_VERBOSE"};
constexpr int kCount = sizeof kVariables / sizeof *kVariables;
constexpr size_t kMostBytes = 16384;

const char* values[kCount];

char* value_of(const char* name) {
  for (int i = 0; i < kCount; i++) {
    if (strcmp(name, kVariables[i]) == 0) return const_cast<char*>(values[i]);
  }
  abort();  // a variable that this target does not know
}

[[noreturn]] void exit_with(int status) {
  PROMISE(status == 1 || status == 125);
  leave();
}

// Some files are moonlet's own.
int find(const char* path, struct stat* found) {
  found->st_dev = 1;
  found->st_ino = strcmp(path, "/proc/self/exe") == 0 || strlen(path) % 16 == 0 ? 1 : 2;
  return 0;
}

int start(const char* path, char**) {
  PROMISE(strlen(path) < PATH_MAX || path == values[2]);  // as it was given
  errno = strlen(path) % 2 == 0 ? EACCES : ENOENT;
  return -1;
}

// Descriptor 3 is a listening socket, and standard input is none.
int option(int fd, int name, void* value, const socklen_t* size) {
  PROMISE(*size == sizeof(int));
  if (fd == 0) return -1;
  *static_cast<int*>(value) = name == SO_ACCEPTCONN ? 1 : name == SO_DOMAIN ? AF_UNIX : SOCK_STREAM;
  return 0;
}

ssize_t notify(const char* text, const void* address, socklen_t size) {
  PROMISE(strcmp(text, "READY=1") == 0);
  PROMISE(size <= sizeof(sockaddr_un) && size >= offsetof(sockaddr_un, sun_path));
  static char copy[sizeof(sockaddr_un)];
  memcpy(copy, address, size);
  errno = ENOENT;
  return -1;
}

}  // namespace
}  // namespace moonlet::fuzz

#define getenv moonlet::fuzz::value_of
#define _exit moonlet::fuzz::exit_with
#define exit moonlet::fuzz::exit_with
#define stat(path, found) moonlet::fuzz::find(path, found)
#define execv moonlet::fuzz::start
#define getsockopt(fd, level, name, value, size) moonlet::fuzz::option(fd, name, value, size)
#define sendto(fd, text, length, flags, address, size) moonlet::fuzz::notify(text, address, size)
#define fcntl(...) 0
#define write(file, text, size) moonlet::fuzz::print(text, size)
#define writev(file, parts, count) moonlet::fuzz::print(parts, count)
#include "child/log.cc"
#include "fallback/fallback.cc"
#include "fallback/refusal.cc"
#include "server/listener.cc"
#undef getenv
#undef _exit
#undef exit
#undef stat
#undef execv
#undef getsockopt
#undef sendto
#undef fcntl
#undef write
#undef writev

// What standard input would be, were it a socket to listen on.
void moonlet::open_standard_descriptors() {}

namespace moonlet::fuzz {
namespace {

// Each in turn: any of them may end the process.
void find_socket(const char* named) {
  const protocol::SocketAddress address = protocol::socket_address(named);
  PROMISE(strlen(address.un.sun_path) < sizeof address.un.sun_path);
  PROMISE(address.un.sun_path[0] != '\0');
}

void fall_back() {
  char name[] = "lua";
  char* argv[] = {name, nullptr};
  if (setjmp(way_out) == 0) fallback::fall_back(argv, {"connect", "/socket", ENOENT});
}

void start_zygote() {
  if (setjmp(way_out) != 0) return;
  PROMISE(server::inherited_listener().release() <= 3);
  server::announce_ready(-1);
}

}  // namespace
}  // namespace moonlet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moonlet;
  if (size > fuzz::kMostBytes) return 0;
  static char text[fuzz::kMostBytes + 1];
  memcpy(text, data, size);
  text[size] = '\0';
  const char* at = text;
  for (const char*& value : fuzz::values) {
    value = at < text + size && *at != 1 ? at : nullptr;
    if (at < text + size) at += strlen(at) + 1;
  }
  const fuzz::Descriptors descriptors;
  fuzz::find_socket(nullptr);
  fuzz::find_socket(fuzz::values[1]);
  fuzz::fall_back();
  fuzz::start_zygote();
  return 0;
}
