#include "measure/capture.h"

#include "measure/fail.h"

#include <errno.h>
#include <string.h>

namespace moonlet::bench {

namespace {

FILE* temporary_file() {
  FILE* const file = tmpfile();
  if (file == nullptr) fail("create a temporary file: %s", strerror(errno));
  return file;
}

}  // namespace

Capture capture(const Command& command) {
  Capture done = {temporary_file(), temporary_file(), 0};
  done.status = launch(command, {null_device(), fileno(done.out), fileno(done.error)}).status;
  rewind(done.out);
  rewind(done.error);
  return done;
}

bool same_contents(FILE* left, FILE* right) {
  bool same = true;
  for (int byte = 0; same && byte != EOF;) {
    byte = getc(left);
    same = byte == getc(right);
  }
  rewind(left);
  rewind(right);
  return same;
}

const char* first_line(FILE* file, char* buffer, int size) {
  *buffer = '\0';
  if (fgets(buffer, size, file) != nullptr) buffer[strcspn(buffer, "\n")] = '\0';
  rewind(file);
  return buffer;
}

void close(const Capture& capture) {
  fclose(capture.out);
  fclose(capture.error);
}

}  // namespace moonlet::bench
