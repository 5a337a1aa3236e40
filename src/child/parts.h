// Which parts that not everybody needs this moonletd was built with: the options MOONLET_... of CMakeLists.txt.
#pragma once

namespace moonlet {

#if defined(MOONLET_CONFINEMENT)
constexpr bool kComparesClients = true;
#else
constexpr bool kComparesClients = false;
#endif

// Where it does not, whoever is not the server's own user gets lua, as everybody does from a server that is not
// root.
#if defined(MOONLET_OTHER_USERS)
constexpr bool kServesOtherUsers = true;
#else
constexpr bool kServesOtherUsers = false;
#endif

}  // namespace moonlet
