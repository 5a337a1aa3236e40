#include "client/handed.h"

#include "protocol/handed.h"
#include "protocol/protocol.h"

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::client {

namespace handed = protocol::handed;

#if defined(MOONLET_TELLS_HOW)

namespace {

int telling = -1;

}  // namespace

bool is_to_tell_how() { return telling >= 0; }

void tell_how(int in_image) {
  if (telling < 0) return;
  const protocol::Report report = {protocol::ReportKind::kRuns, in_image};
  send(telling, &report, sizeof report, MSG_NOSIGNAL);
  close(telling);
}

#endif

int take_handed() {
  const auto* at = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  constexpr size_t kBefore = sizeof handed::kDirectory - 1;
  if (at == nullptr || strncmp(at, handed::kDirectory, kBefore) != 0) return -1;
  int first = 0;
  for (at += kBefore; *at >= '0' && *at <= '9'; at++) first = first * 10 + (*at - '0');
  // Behind the number is a slash, then the name.
  if (*at != '/' || strcmp(at + 1, handed::kName) != 0) return -1;
  close(first);
  syscall(SYS_fcntl, first + handed::kConnection, F_SETFD, FD_CLOEXEC);  // where there are no pidfds
#if defined(MOONLET_TELLS_HOW)
  telling = first + handed::kTelling;
  if (syscall(SYS_fcntl, telling, F_SETFD, FD_CLOEXEC) != 0) telling = -1;
#endif
  char title[handed::kTitleBytes];
  const int its = first + handed::kTitle;
  if (read(its, title, sizeof title) == static_cast<ssize_t>(sizeof title)) {
    prctl(PR_SET_NAME, title);
    close(its);
  }
  return first + handed::kImage;
}

}  // namespace moonlet::client
