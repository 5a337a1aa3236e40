// What moonletd says to people is a tenth of it on MIPS. There a text that begins with a mark is packed by the
// assembler (cmake/as.in), and so the compiler still checks it as a format.
#pragma once

namespace moonlet {

#if defined(MOONLET_PACKED_TEXTS)

/// A literal that unpack() is for; arguments may follow it.
#define MOONLET_TEXT(...) "\1" __VA_ARGS__

/// The text as it was written, until the next call. One that is not packed stays as it is if it is ASCII.
const char* unpack(const char* text);

#else

#define MOONLET_TEXT(...) __VA_ARGS__
inline const char* unpack(const char* text) { return text; }

#endif

}  // namespace moonlet
