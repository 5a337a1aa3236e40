// moonletd's own command line; what is lua's is left for the warm-up.
#pragma once

// Whether the collector has another mode than the incremental one.
#if MOONLET_LUA_CODE >= 504 && !defined(MOONLET_LUAJIT)
#define MOONLET_HAS_GENERATIONS 1
#else
#define MOONLET_HAS_GENERATIONS 0
#endif

namespace moonlet::zygote {

struct Options {
  const char* socket = nullptr;  // --socket
  const char* image = nullptr;   // --image, made beside what is served; "": none
  int mode = 0600;               // --mode, of the socket
  int max = 0;                   // --max, launches at once; 0: as many as there are descriptors for
  int spare = 0;                 // --spare, children forked ahead
  bool incremental = false;      // --gc=incremental, where there is another mode
  int idle_exit = 0;             // --idle-exit, in seconds without a launch; 0: never
  int reexec_every = 0;          // --reexec-every, in launches; 0: never
  bool trust = false;            // --trust: no file will change
  int compare_clients = -1;      // --compare-clients; -1: where moonletd has capabilities
  int ready_fd = -1;             // --ready-fd
  int argc = 0;                  // what is left for the warm-up, argv[0] included
  char** argv = nullptr;
};

/// Reads `argv` and moves what is lua's to its front. Prints and exits for --help, --version and for what
/// is wrong (status 1).
Options read_options(int argc, char** argv);

}  // namespace moonlet::zygote
