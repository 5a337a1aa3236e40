#include "server/status.h"

#include "child/become.h"
#include "child/report.h"
#include "protocol/status.h"
#include "server/frozen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::server {

namespace {

// Who reads so slowly shall not keep others from asking.
constexpr unsigned kSeconds = 2;

constexpr protocol::StatusHead kHead = {protocol::kStatusMagic, protocol::kStatusVersion,
                                        sizeof(protocol::LaunchStatus), MOONLET_VERSION, MOONLET_LUA_CODE};

pid_t answering = 0;

// One that fails has nobody left to read it, and so have the others.
void say(int connection, const void* data, size_t size) {
  [[maybe_unused]] const ssize_t written = write(connection, data, size);
}

void say_text(const char* text, void* connection) {
  say(*static_cast<int*>(connection), text, strlen(text) + 1);
}

[[noreturn]] void answer(int connection, Launches& launches, const Image& image) {
  child::leave_server(connection);
  alarm(kSeconds);
  say(connection, &kHead, sizeof kHead);
  launches.describe(connection);
  const Bulletin& bulletin = image.bulletin;
  say(connection, &bulletin.status, sizeof bulletin.status);
  say_text(bulletin.error, &connection);
  say_text(bulletin.difference, &connection);
  Frozen frozen;
  frozen.read(image.path, true);
  const protocol::ImageStatus status = frozen.status();
  say(connection, &status, sizeof status);
  frozen.for_each_module(say_text, &connection);
  frozen.for_each_path(say_text, &connection);
  _exit(EXIT_SUCCESS);
}

}  // namespace

void answer_status(int connection, const ucred& peer, Launches& launches, const Image& image) {
  if (answering <= 0) {
    answering = fork();
    if (answering == 0) answer(connection, launches, image);
  }
  hang_up(connection, peer.uid);
}

void status_reaped(pid_t pid) {
  if (pid == answering) answering = 0;
}

}  // namespace moonlet::server
