# The C library of the client: musl, statically, where musl-gcc or a musl sysroot is there, because most of what
# a user waits for is a program's own start. Defines the target moonlet_client_libc, and MOONLET_CLIENT_START: the
# client's own start, where src/client/freestanding.cc knows the machine.

add_library(moonlet_client_libc INTERFACE)
set(MOONLET_CLIENT_START "")
set(MUSL_SPECS "")  # none in a cross build: cmake/musl-cross.cmake compiles all with musl's
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_CROSSCOMPILING)
  find_program(MUSL_GCC musl-gcc)
  if(MUSL_GCC)
    # musl-gcc is a script that calls gcc with a specs file; g++ takes the same file.
    file(STRINGS ${MUSL_GCC} specs_line REGEX "-specs")
    string(REGEX MATCH "[^\" ]*musl-gcc\\.specs" MUSL_SPECS "${specs_line}")
  endif()
endif()
if(MUSL_SPECS OR MOONLET_MUSL)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64|mips|mipsel)$")
    set(MOONLET_CLIENT_START src/client/freestanding.cc)
    if(MOONLET_MUSL AND CMAKE_SYSTEM_PROCESSOR MATCHES "^mips")
      list(APPEND MOONLET_CLIENT_START src/client/strings.cc)
    endif()
  endif()
  if(MUSL_SPECS)
    # They drop C++'s include directories: sources include C's headers alone.
    target_compile_options(moonlet_client_libc INTERFACE -specs=${MUSL_SPECS})
    target_link_options(moonlet_client_libc INTERFACE -specs=${MUSL_SPECS})
  endif()
  target_compile_options(moonlet_client_libc INTERFACE -fno-pie -fno-stack-protector -flto)
  target_link_options(moonlet_client_libc INTERFACE -static -no-pie -flto)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^mips")
    # Nothing is shared: no table of addresses, whose every use costs an instruction.
    target_compile_options(moonlet_client_libc INTERFACE -mno-abicalls)
    target_link_options(moonlet_client_libc INTERFACE -mno-abicalls -Wl,--no-warn-mismatch -flto-partition=one
      -Wl,-T,${CMAKE_SOURCE_DIR}/cmake/moonlet.ld)
  endif()
endif()
if(NOT MUSL_SPECS AND NOT MOONLET_MUSL)
  # Statically too, where that can be: a program that has libraries lying about cannot freeze what it starts in its own process.
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_LINK_OPTIONS -static)
  check_c_source_compiles("#include <string.h>
    int main(int argc, char** argv) { return (int)strlen(argv[argc - 1]); }" MOONLET_HAS_STATIC_LIBC)
  unset(CMAKE_REQUIRED_LINK_OPTIONS)
  if(MOONLET_HAS_STATIC_LIBC)
    target_compile_options(moonlet_client_libc INTERFACE -fno-pie)
    target_link_options(moonlet_client_libc INTERFACE -static -no-pie)
  else()
    message(WARNING "There is no C library for static programs: moonlet --freeze will not work")
  endif()
endif()
