// The words of a command line that no shell reads.
#pragma once

#include <stddef.h>

namespace moonlet::ctl {

/// Splits `text`, in place, at spaces, tabs and newlines, into at most `room` words. Between two ' or two "
/// these are nothing special, and a backslash makes any character behind it one of the word's, but not between
/// two '. There are no variables, patterns or commands. Returns how many there are: -1 where a quote or a
/// backslash has no end, or where there are more.
int split_words(char* text, char** word, int room);

}  // namespace moonlet::ctl
