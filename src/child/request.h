// Reads what a client sent, in the child that was forked for it: nothing in it is to be trusted.
#pragma once

#include "protocol/protocol.h"

#include <stddef.h>

namespace moonlet::child {

/// A request as the child uses it. The strings lie in pages of their own, for as long as the process
/// lives, in the order argv, environment, without gaps.
struct LaunchRequest {
  char** argv;         // null-terminated
  char** environment;  // null-terminated
  char* strings;       // argv[0]; environment strings follow argv's
  char* strings_end;
  const int* number;         // header.fdc descriptor numbers of the client, ascending
  protocol::Request header;  // behind what is short, because that is then within reach of short instructions
  int received[protocol::kMaxDescriptors + 1];  // the same descriptors here; last, the working directory
};

/// Bytes that hold what follows the header of nearly every request.
constexpr size_t kRequestRoom = 16 << 10;

/// That room, before the request is read. Its first page is needed anyway.
char* request_room();

/// Reads a whole request from `connection`, a stream socket. Descriptors that come along are open in this
/// process afterwards, without close-on-exec. Returns null, or why the request cannot be used, as a format
/// of printf(3) with no arguments, but perhaps %m: the caller has nothing to undo but to exit.
const char* read_request(int connection, LaunchRequest& request);

}  // namespace moonlet::child
