// Closing and moving descriptors by the range.
#pragma once

namespace moonlet::zygote {

/// Closes every descriptor of this process from `first` up but `kept_list[0..count)`, in any order; -1 stands
/// for none. Without close_range(2) (before Linux 5.9) by the list in /proc.
void close_all_but(int first, const int* kept_list, int count);

/// Calls `each` with every open descriptor of this process but the one that the listing takes; false if
/// /proc cannot be read.
bool for_each_descriptor(void (*each)(int descriptor, void* context), void* context);

}  // namespace moonlet::zygote
