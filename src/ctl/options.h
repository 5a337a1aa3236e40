// moonletctl's command line.
#pragma once

namespace moonlet::ctl {

enum class Task { kStatus, kStatusAsJson, kTop, kReload, kImages, kForget };

struct Options {
  Task task;
  const char* socket;  // --socket, or null
};

/// Reads `argv`. Prints and exits for --help, --version, and for what is wrong (status 125).
Options read_options(char** argv);

}  // namespace moonlet::ctl
