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
file(GLOB changelog ${share}/doc/*/changelog.Debian)
foreach(page ${pages} ${changelog})
  execute_process(COMMAND gzip -9nf ${page} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# Debian's zsh has another name for the completions of packages, and does not look into site-functions.
file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)

# Links between documents work here; of a link to what is not in the package stays the text, and of a picture nothing.
file(GLOB_RECURSE documents ${share}/doc/*.md)
foreach(document ${documents})
  file(READ ${document} text)
  cmake_path(GET document PARENT_PATH directory)
  string(REGEX MATCHALL "[(][A-Za-z0-9_./-]+(#[a-z0-9-]+)?[)]" targets "${text}")
  list(REMOVE_DUPLICATES targets)
  foreach(target ${targets})
    string(REGEX REPLACE "^[(](.*)[)]$" "\\1" target ${target})
    string(REGEX REPLACE "#.*" "" file ${target})
    if(file STREQUAL "" OR EXISTS ${directory}/${file})
      continue()
    endif()
    string(REPLACE "." "[.]" pattern ${target})
    string(REGEX REPLACE "!\\[[^]]*\\][(]${pattern}[)]\n*" "" text "${text}")
    string(REGEX REPLACE "\\[([^]]*)\\][(]${pattern}[)]" "\\1" text "${text}")
  endforeach()
  file(WRITE ${document} "${text}")
endforeach()
