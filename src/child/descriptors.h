// Closing and moving descriptors by the range.
#pragma once

#include <stddef.h>

namespace moonlet {

/// Closes every descriptor of this process from `first` up but `kept_list[0..count)`, in any order; -1 stands
/// for none. Without close_range(2) (before Linux 5.9) by the list in /proc.
void close_all_but(int first, const int* kept_list, int count);

/// The directory of this process' descriptors.
inline constexpr char kOpenDescriptors[] = "/proc/self/fd";

/// Calls `each` with every entry of a directory whose entries are numbers; of kOpenDescriptors but the one that
/// the listing takes. False if it cannot be read.
bool for_each_number(const char* path, void (*each)(int number, void* context), void* context);

/// Opens /dev/null in place of what is closed of the descriptors 0 to 2.
void open_standard_descriptors();

/// Reads what a file of /proc begins with into `text`, of `size` bytes, as a string: "" if there is none.
void read_text(const char* path, char* text, size_t size);

}  // namespace moonlet
