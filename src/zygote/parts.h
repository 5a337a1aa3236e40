// Which parts that not everybody needs this moonletd was built with: the options MOONLET_... of CMakeLists.txt.
#pragma once

namespace moonlet::zygote {

#if defined(MOONLET_CONFINEMENT)
constexpr bool kComparesClients = true;
#else
constexpr bool kComparesClients = false;
#endif

#if defined(MOONLET_IDLE_EXIT)
constexpr bool kEndsWhenIdle = true;
#else
constexpr bool kEndsWhenIdle = false;
#endif

#if defined(MOONLET_REEXEC_EVERY)
constexpr bool kCountsLaunches = true;
#else
constexpr bool kCountsLaunches = false;
#endif

// Where it does not, whoever is not the zygote's own user gets lua, as everybody does from a zygote that is not
// root.
#if defined(MOONLET_OTHER_USERS)
constexpr bool kServesOtherUsers = true;
#else
constexpr bool kServesOtherUsers = false;
#endif

}  // namespace moonlet::zygote
