// The client's side of a request: what every process that starts a script fills in and sends alike.
#pragma once

#include "protocol/protocol.h"

namespace moonlet::protocol {

/// A request where its parts lie in the memory of the sender, who owns them all.
struct OutgoingRequest {
  Request header;
  char** list[2];             // argv and the environment, null-terminated
  uint32_t* length;           // of each string of both: room for header.argc + header.envc
  const int32_t* number;      // of the descriptors in the script, header.fdc, ascending
  const int32_t* descriptor;  // the same here, and one more: the working directory
};

/// Fills in what the header says of this protocol and this process: its pid, umask, nice value, name, ignored
/// signals and limits. Sets the umask twice: another thread that makes a file in between makes it with none.
void describe_process(Request& header);

/// The working directory as a request passes it: a descriptor, close-on-exec and the caller's to close, or -1
/// and errno.
int open_working_directory();

/// Measures the strings of both lists, when there is room for their lengths.
void measure(OutgoingRequest& request);

/// Sends it over `socket`, a connected stream socket that is blocking. False and errno if not all of it was
/// sent: then nothing will run.
bool send(int socket, const OutgoingRequest& request);

}  // namespace moonlet::protocol
