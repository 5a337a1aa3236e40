// What the client itself must know of a command line; the rest is read by the server's child, as lua would.
#pragma once

namespace moonlet::client {

struct CommandLine {
  char** argv;  // without moonlet's own options; argv[0] stays
  int argc;
  const char* socket;  // --socket, or null
  const char* image;   // --image, or null
  int descriptor;      // of take_handed()
  bool freezes;        // --freeze: all is moonlet-lua's to read
  bool rehearses;      // --rehearse: thaw `image`, whatever it asks (image/launch.h)
  bool interactive;    // lua would start its read-eval-print loop, or it needs what only lua can do
};

/// Reads argv (null-terminated, argv[0] present) and moves argv[0] over moonlet's own leading options.
/// Prints and exits for --help and --version, and becomes moonletctl for what that does.
CommandLine read_command_line(int argc, char** argv);

}  // namespace moonlet::client
