#include "ctl/words.h"

namespace moonlet::ctl {

namespace {

bool is_space(char character) { return character == ' ' || character == '\t' || character == '\n'; }

// Takes a word off `from`, and closes it at `to`, which is never behind it. False where it has no end.
bool take_word(char*& from, char*& to) {
  char quote = '\0';
  for (; *from != '\0' && (quote != '\0' || !is_space(*from)); from++) {
    if (*from == quote) {
      quote = '\0';
    } else if (quote == '\0' && (*from == '\'' || *from == '"')) {
      quote = *from;
    } else {
      if (*from == '\\' && quote != '\'' && *++from == '\0') return false;
      *to++ = *from;
    }
  }
  if (quote != '\0') return false;
  if (*from != '\0') from++;
  *to++ = '\0';
  return true;
}

}  // namespace

int split_words(char* text, char** word, int room) {
  char* to = text;
  int count = 0;
  for (;;) {
    while (is_space(*text)) text++;
    if (*text == '\0') return count;
    if (count == room) return -1;
    word[count++] = to;
    if (!take_word(text, to)) return -1;
  }
}

}  // namespace moonlet::ctl
