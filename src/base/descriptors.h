// Closing and moving descriptors by the range.
#pragma once

#include <stddef.h>

namespace moonlet {

/// Closes every descriptor of this process from `first` up but `kept_list[0..count)`, in any order; -1 stands
/// for none. Without close_range(2) (before Linux 5.9) by the list in /proc.
void close_all_but(int first, const int* kept_list, int count);

/// Opens /dev/null in place of what is closed of the descriptors 0 to 2.
void open_standard_descriptors();

/// Reads what a file of /proc begins with into `text`, of `size` bytes, as a string: "" if there is none.
void read_text(const char* path, char* text, size_t size);

}  // namespace moonlet
