# For systems whose own C library is musl (OpenWrt, Liminix, Alpine): there the client needs no musl-gcc, and no
# other C library, to be linked statically.

option(MOONLET_STATIC_CLIENT "Link moonlet statically against the C library of the compiler" OFF)
get_target_property(client_link_options moonlet_client_libc INTERFACE_LINK_OPTIONS)
if(MOONLET_STATIC_CLIENT AND NOT "-static" IN_LIST client_link_options)
  target_compile_options(moonlet_client_libc INTERFACE -fno-pie)
  target_link_options(moonlet_client_libc INTERFACE -static -no-pie)
endif()
