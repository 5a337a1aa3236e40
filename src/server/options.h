// moonletd's own command line; what is lua's is left for the warm-up.
#pragma once

namespace moonlet::server {

struct Options {
  const char* socket = nullptr;  // --socket
  const char* image = nullptr;   // --image; null: beside the socket
  int mode = 0600;               // --mode, of the socket
  int max = 0;                   // --max, forked launches at once; 0: as many as there are descriptors for
  int warm_up_seconds = 60;      // --warm-up-time
  int warm_up_megabytes = 0;     // --warm-up-memory; 0: no limit
  bool trust = false;            // --trust: no file will change
  int compare_clients = -1;      // --compare-clients; -1: where moonletd has capabilities
  int ready_fd = -1;             // --ready-fd
  int argc = 0;                  // what is left for the warm-up, argv[0] included
  char** argv = nullptr;
};

/// Reads `argv` and moves what is lua's to its front. Prints and exits for --help, --version and for what
/// is wrong (status 1).
Options read_options(int argc, char** argv);

}  // namespace moonlet::server
