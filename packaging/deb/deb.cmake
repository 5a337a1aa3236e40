# cpack -G DEB, in a build directory: moonletLUA_VERSION-1_ARCHITECTURE.deb. scripts/debs calls it for each Lua. Packages of several Luas are
# installed side by side; which of them is "moonlet" is an alternative.

# A package falls back to an interpreter that Debian has under this very name. "lua" is none: it is an
# alternative, and may be moonlet.
if(NOT MOONLET_FALLBACK_NAME MATCHES "^lua(5\\.[1-5]|jit)$")
  return()
endif()
if(NOT MOONLET_SIDE_BY_SIDE)
  return()
endif()

set(CPACK_GENERATOR DEB)
set(package moonlet${MOONLET_SUFFIX})
set(CPACK_PACKAGE_NAME ${package})
set(CPACK_PACKAGE_VENDOR "The moonlet authors")
set(MOONLET_DEB_MAINTAINER "The moonlet authors <moonlet@localhost>" CACHE STRING
  "Who answers for the package: to be set by whoever gives it to others")
set(CPACK_PACKAGE_CONTACT ${MOONLET_DEB_MAINTAINER})
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
# What "cmake --install" installs, and what only this package has.
set(CPACK_INSTALL_CMAKE_PROJECTS
  "${CMAKE_BINARY_DIR};moonlet;ALL;/"
  "${CMAKE_BINARY_DIR};moonlet;deb;/")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION interpreters)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${MOONLET_LUA_NAME} scripts that start with their modules loaded")
# What was one package for one Lua.
set(CPACK_DEBIAN_PACKAGE_CONFLICTS moonlet)
set(CPACK_DEBIAN_PACKAGE_REPLACES moonlet)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"moonlet is a drop-in lua that maps an image into its own process: a file that
holds a Lua interpreter with modules of your choice loaded. Arguments,
environment, descriptors, signals, limits and exit status are those of lua.
moonlet --freeze makes an image, and so do the first launch with MOONLET_WARM,
and moonletd, which keeps it fresh.

Where there is none, a script runs through ${MOONLET_FALLBACK_NAME}. The service is
neither enabled nor started when this package is installed.

moonlet-bench tells whether a script gains by it, and moonletctl how a
moonletd is.")
# Libraries: what dpkg-shlibdeps finds. The fallback is a program of its own, named as Debian's package is.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ${MOONLET_FALLBACK_NAME})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script postinst prerm postrm conffiles)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${script} ${CMAKE_CURRENT_BINARY_DIR}/control/${script} @ONLY)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_BINARY_DIR}/control/${script})
endforeach()

set(documents ${CMAKE_INSTALL_DATADIR}/doc/${package})
set(examples ${documents}/examples)
# What people read; finish.cmake drops links to what is not among it.
install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${documents} COMPONENT deb EXCLUDE_FROM_ALL)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${documents}/docs COMPONENT deb EXCLUDE_FROM_ALL FILES_MATCHING PATTERN "*.md"
  PATTERN benchmarks EXCLUDE PATTERN examples EXCLUDE)
configure_file(${CMAKE_CURRENT_LIST_DIR}/README.Debian README.Debian @ONLY)
configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog changelog.Debian @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian ${CMAKE_CURRENT_BINARY_DIR}/README.Debian
  DESTINATION ${documents} COMPONENT deb EXCLUDE_FROM_ALL)
configure_file(${CMAKE_CURRENT_LIST_DIR}/lintian-overrides overrides/${package} @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/overrides/${package}
  DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides COMPONENT deb EXCLUDE_FROM_ALL)
foreach(scope system user)
  foreach(unit service socket)
    set(named ${CMAKE_CURRENT_BINARY_DIR}/${scope}/moonletd${MOONLET_SUFFIX}.${unit})
    name_after_lua(${CMAKE_CURRENT_SOURCE_DIR}/systemd/${scope}/moonletd.${unit} ${named})
    install(FILES ${named} DESTINATION lib/systemd/${scope} COMPONENT deb EXCLUDE_FROM_ALL)
  endforeach()
endforeach()
# The warm-up that the service runs: a text that does nothing until it is edited.
name_after_lua(${CMAKE_CURRENT_SOURCE_DIR}/moonletd.lua ${CMAKE_CURRENT_BINARY_DIR}/moonletd${MOONLET_SUFFIX}.lua)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/moonletd${MOONLET_SUFFIX}.lua DESTINATION /etc COMPONENT deb EXCLUDE_FROM_ALL)
install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/s6 ${CMAKE_CURRENT_SOURCE_DIR}/busybox
  DESTINATION ${examples} USE_SOURCE_PERMISSIONS COMPONENT deb EXCLUDE_FROM_ALL)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/examples/ DESTINATION ${examples} USE_SOURCE_PERMISSIONS COMPONENT deb EXCLUDE_FROM_ALL)

include(CPack)
