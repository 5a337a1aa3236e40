// Layers: a script that was launched from an image becomes a zygote itself, whose image lies on top of that
// one, page for page (moonlet.serve, docs/lua-api.md).
#pragma once

#include "base/unique_fd.h"
#include "zygote/options.h"
#include "zygote/warm_state.h"

namespace moonlet::zygote {

class Launches;
struct LaunchRequest;

namespace layer {

#if defined(MOONLET_BUILTIN_MODULE)

/// In moonletd, before its warm-up: offers serve to Lua (lua/host.h). All three must live as long as the
/// warm-up.
void offer(const Options& options, UniqueFd& inherited, const WarmState& before);

/// In a zygote, before it serves: from here on its children can learn that its image is out of date.
void announce();

/// In a child that has become another user's process: takes that away.
void forget();

/// In a child, before its script is opened: where that needs not load the module before it becomes a layer,
/// what it reads counts from here on.
void begin_script();

/// Whether this process is a layer.
[[nodiscard]] bool is_layer();

/// Whether an image below this one has been replaced.
[[nodiscard]] bool is_outdated();

/// In a zygote whose image is about to be replaced, or given up: tells the layers on it, by SIGHUP where they
/// are among `launches`.
void outdate(const Launches& launches);

/// In a layer that gives up: its client ends with status 0, for a supervisor to start it anew from the image
/// below, while this process waits for its launches to end.
void part_from_client();

/// The launch that moonlet.run has left to be run, or null. Once.
const LaunchRequest* take_launch();

#else

inline void offer(const Options&, UniqueFd&, const WarmState&) {}
inline void announce() {}
inline void forget() {}
inline void begin_script() {}
constexpr bool is_layer() { return false; }
constexpr bool is_outdated() { return false; }
inline void outdate(const Launches&) {}
inline void part_from_client() {}
inline const LaunchRequest* take_launch() { return nullptr; }

#endif

}  // namespace layer

}  // namespace moonlet::zygote
