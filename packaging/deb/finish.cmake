# Run by cpack between installing and packing: what Debian has compressed is compressed, without a name or a
# time in it, so that the same sources make the same files.

# Without either a package is made that does not name the libraries it needs.
find_program(SHLIBDEPS dpkg-shlibdeps)
find_program(FILE_TYPE file)
if(NOT SHLIBDEPS OR NOT FILE_TYPE)
  message(FATAL_ERROR "cpack -G DEB needs dpkg-shlibdeps and file: apt install dpkg-dev file")
endif()

set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)
file(GLOB pages ${share}/man/man*/*.[1-9])
foreach(page ${pages} ${share}/doc/moonlet/changelog.Debian)
  execute_process(COMMAND gzip -9nf ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# Debian's zsh has another name for the completions of packages, and does not look into site-functions.
file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)
