#include "lua/streams.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

namespace moonlet::streams {

namespace {

bool is_chosen = false;  // how standard output is buffered

#if defined(__GLIBC__)
bool was_used = false;  // the warm-up's standard output
#else
bool on_terminal = false;  // likewise
#endif

// A stream that the warm-up has used has settled on a way of buffering that fits the warm-up's descriptor.
bool is_settled(FILE* stream) {
#if defined(__GLIBC__)
  (void)stream;
  return was_used;
#else
  // musl writes the first line at once, and only then looks for a terminal. A stream whose first line is still
  // to come is left alone, unless it may be one that has found a terminal.
  return __flbf(stream) == 0 || on_terminal;
#endif
}

}  // namespace

void note_buffering(const void* stream) {
  if (stream == stdout) is_chosen = true;
}

void seal() {
#if !defined(__GLIBC__)
  on_terminal = isatty(STDOUT_FILENO) != 0;
#endif
  fflush(nullptr);
#if defined(__GLIBC__)
  // A stream that was used goes on in its way of buffering until it leaves off writing. A seek makes it, even
  // one that fails.
  was_used = __fbufsize(stdout) != 0;
  if (was_used) fseek(stdout, 0, SEEK_CUR);
  // A stream remembers where it stands in its file, and the next seek relies on that. A script has other files.
  stdin->_offset = stdout->_offset = stderr->_offset = -1;
#endif
  __fpurge(stdin);
  clearerr(stdin);
}

void thaw() {
  if (!is_chosen && is_settled(stdout))
    setvbuf(stdout, nullptr, isatty(STDOUT_FILENO) != 0 ? _IOLBF : _IOFBF, BUFSIZ);
}

}  // namespace moonlet::streams
