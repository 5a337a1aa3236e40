#include "lua/streams.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

namespace moonlet::streams {

namespace {

#if !defined(__GLIBC__)
bool on_terminal = false;  // the warm-up's standard output
#endif

// A stream that the warm-up has used has settled on a way of buffering that fits the warm-up's descriptor.
void renew(FILE* stream, int fd) {
#if defined(__GLIBC__)
  if (__fbufsize(stream) == 0) return;  // never used
#else
  // musl writes the first line at once, and only then looks for a terminal. A stream whose first line is still
  // to come is left alone, unless it may be one that has found a terminal.
  if (__flbf(stream) != 0 && !on_terminal) return;
#endif
  setvbuf(stream, nullptr, isatty(fd) != 0 ? _IOLBF : _IOFBF, BUFSIZ);
}

}  // namespace

void seal() {
#if !defined(__GLIBC__)
  on_terminal = isatty(STDOUT_FILENO) != 0;
#endif
  fflush(nullptr);
#if defined(__GLIBC__)
  // The stream goes on in its way of buffering until it leaves off writing. A seek makes it, even one that
  // fails.
  fseek(stdout, 0, SEEK_CUR);
  // A stream remembers where it stands in its file, and the next seek relies on that. A script has other files.
  stdin->_offset = stdout->_offset = stderr->_offset = -1;
#endif
  __fpurge(stdin);
}

void thaw() {
  renew(stdout, STDOUT_FILENO);
  clearerr(stdin);
}

}  // namespace moonlet::streams
