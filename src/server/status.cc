#include "server/status.h"

#include "base/descriptor_message.h"
#include "child/become.h"
#include "child/confinement.h"
#include "child/parts.h"
#include "child/report.h"
#include "child/request.h"
#include "protocol/status.h"

#include <fcntl.h>
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

void say_text(int connection, const char* text) { say(connection, text, strlen(text) + 1); }

// Whether who asks could run a script in the image, and so read it anyway.
bool may_read_image(int connection, const ucred& peer) {
  return !kComparesClients || child::find_confinement({connection, peer}, child::request_room()) == nullptr;
}

[[noreturn]] void answer(int connection, const ucred& peer, Launches& launches, const Image& image) {
  child::leave_server(connection);
  alarm(kSeconds);
  int file = -1;
  if (may_read_image(connection, peer)) file = open(image.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  DescriptorMessage::send(connection, &kHead, sizeof kHead, file, 0);
  launches.describe(connection);
  const Bulletin& bulletin = image.bulletin;
  say(connection, &bulletin.known, sizeof bulletin.known);
  say(connection, bulletin.refused.count, sizeof bulletin.refused.count);
  say_text(connection, bulletin.error);
  say_text(connection, bulletin.difference);
  say_text(connection, bulletin.unused + 1);
  _exit(EXIT_SUCCESS);
}

}  // namespace

void answer_status(int connection, const ucred& peer, Launches& launches, const Image& image) {
  if (answering <= 0) {
    answering = fork();
    if (answering == 0) answer(connection, peer, launches, image);
  }
  hang_up(connection, peer.uid);
}

void status_reaped(pid_t pid) {
  if (pid == answering) answering = 0;
}

}  // namespace moonlet::server
