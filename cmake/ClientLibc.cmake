# The C library of the client: musl, statically, where musl-gcc is there, because most of what a user waits
# for is a program's own start. Defines the target moonlet_client_libc and MOONLET_CLIENT_STATIC.

add_library(moonlet_client_libc INTERFACE)
set(MOONLET_CLIENT_STATIC OFF)
find_program(MUSL_GCC musl-gcc)
if(MUSL_GCC AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_CROSSCOMPILING AND NOT MOONLET_SANITIZE)
  # musl-gcc is a script that calls gcc with a specs file; g++ takes the same file.
  file(STRINGS ${MUSL_GCC} specs_line REGEX "-specs")
  string(REGEX MATCH "[^\" ]*musl-gcc\\.specs" MUSL_SPECS "${specs_line}")
  if(EXISTS "${MUSL_SPECS}")
    set(MOONLET_CLIENT_STATIC ON)
    # The specs drop C++'s include directories: sources include C's headers alone.
    target_compile_options(moonlet_client_libc INTERFACE -specs=${MUSL_SPECS} -fno-pie -fno-stack-protector)
    target_link_options(moonlet_client_libc INTERFACE -specs=${MUSL_SPECS} -static -no-pie)
  endif()
endif()
