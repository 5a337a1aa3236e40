// What a child of moonletd hands to moonlet, which it executes: by descriptors, and not by arguments or
// variables, because those are the script's, and ps(1) shows them.
//
// The program is executed as kName in a directory that is open under the number N (execveat(2)). The kernel
// tells the program so: AT_EXECFN is then "/dev/fd/N/.//moonlet", which no other way to start it leads to.
#pragma once

namespace moonlet::protocol::handed {

constexpr char kDirectory[] = "/dev/fd/";
constexpr char kName[] = ".//moonlet";
constexpr char kOwnTitle[] = "moonlet";  // what a process is called that has executed that

/// Behind N. All of them are moonlet's to close, but kConnection.
enum Descriptor {
  kImage = 1,  // the image, or what is none: then the script runs through lua
  kTitle = 2,  // a pipe with what the process shall be called (prctl(2), PR_SET_NAME), if it is open
  kHanded = 3,
  kConnection =
      kHanded,  // to the client, if it is open: it shows that the script lives. It stays, close-on-exec
  kTelling = 4  // likewise: moonlet tells it how the script runs (ReportKind::kRuns)
};

/// Bytes of a name, with its zero.
constexpr int kTitleBytes = 16;

}  // namespace moonlet::protocol::handed
