// What a child of moonletd has handed to this program, which it has executed (protocol/handed.h).
#pragma once

namespace moonlet::client {

/// The descriptor of the image, this program's to close; -1 if nothing was handed over. The process is called
/// as it shall be then.
int take_handed();

#if defined(MOONLET_TELLS_HOW)

/// Whether moonletd's client wants to know how its script runs.
bool is_to_tell_how();

/// Tells it, if so: 1 in an image, 0 by lua. Once, before anything of the script has run.
void tell_how(int in_image);

#else

inline bool is_to_tell_how() { return false; }
inline void tell_how(int) {}

#endif

}  // namespace moonlet::client
