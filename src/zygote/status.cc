#include "zygote/status.h"

#include "protocol/status.h"
#include "zygote/become.h"
#include "zygote/report.h"

#include <stdlib.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// Who reads so slowly shall not keep others from asking.
constexpr unsigned kSeconds = 2;

constexpr protocol::StatusHead kHead = {protocol::kStatusMagic, protocol::kStatusVersion,
                                        sizeof(protocol::LaunchStatus), MOONLET_VERSION, MOONLET_LUA_CODE};

pid_t answering = 0;

[[noreturn]] void answer(int connection, Launches& launches, void (*describe)(int connection)) {
  leave_server(connection);
  alarm(kSeconds);
  // One that fails has nobody left to read it, and so have the others.
  [[maybe_unused]] ssize_t written = write(connection, &kHead, sizeof kHead);
  launches.describe(connection);
  describe(connection);
  _exit(EXIT_SUCCESS);
}

}  // namespace

void answer_status(int connection, const ucred& peer, Launches& launches, void (*describe)(int connection)) {
  if (answering <= 0) {
    answering = fork();
    if (answering == 0) answer(connection, launches, describe);
  }
  hang_up(connection, peer.uid);
}

void status_reaped(pid_t pid) {
  if (pid == answering) answering = 0;
}

}  // namespace moonlet::zygote
