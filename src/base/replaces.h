// How a function of this program takes the place of libc's: it is exported under the same name, which whoever
// is linked later finds first. Where libraries are hooked instead (src/freeze/hooks.h) it has a name of its
// own.
#pragma once

#if defined(MOONLET_HOOKS)
#define MOONLET_REPLACES(name) moonlet_##name
#define MOONLET_EXPORTED [[gnu::visibility("hidden")]]
#else
#define MOONLET_REPLACES(name) name
#define MOONLET_EXPORTED [[gnu::visibility("default")]]
#endif

/// Of a function that is called when a sanitizer's runtime is not ready for checks: it calls some of libc's
/// functions before.
#define MOONLET_UNCHECKED [[gnu::no_sanitize("address", "undefined")]]
