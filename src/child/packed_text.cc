#include "child/packed_text.h"

#include <stdint.h>

#if defined(MOONLET_PACKED_TEXTS)

// From the assembler: what each letter from 128 on stands for.
extern "C" [[gnu::visibility("hidden")]] const uint8_t text_pairs[][2];

namespace moonlet {

namespace {

char* expand(char* to, unsigned letter) {
  if (letter < 128) {
    *to = static_cast<char>(letter);
    return to + 1;
  }
  const uint8_t* const pair = text_pairs[letter - 128];
  return expand(expand(to, pair[0]), pair[1]);
}

}  // namespace

const char* unpack(const char* text) {
  static char unpacked[512];
  char* to = unpacked;
  do {
    to = expand(to, static_cast<uint8_t>(*text));
  } while (*text++ != '\0');
  return unpacked;
}

}  // namespace moonlet

#endif
