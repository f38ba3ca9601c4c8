# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: the library, its header,
# and what pkg-config and find_package(Tessera) need. The prefix is found from
# where these files lie, so an installed tree may be moved.
include(CMakePackageConfigHelpers)

install(TARGETS tessera EXPORT TesseraTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/tessera
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# The emulated CUDA driver, in a folder of its own for LD_LIBRARY_PATH: nothing
# that looks for a real driver may find it by chance.
set(cuda_emu_dir ${CMAKE_INSTALL_LIBDIR}/tessera/cuda-emu)
install(TARGETS tessera_cuda_emu LIBRARY DESTINATION ${cuda_emu_dir})
install(TARGETS tessera_cuda_stub LIBRARY DESTINATION ${cuda_emu_dir}/stubs)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/emulator/installed)
file(CREATE_LINK libtessera-cuda-emu.so
     ${PROJECT_BINARY_DIR}/emulator/installed/libcuda.so.1 SYMBOLIC)
install(FILES ${PROJECT_BINARY_DIR}/emulator/installed/libcuda.so.1
  DESTINATION ${cuda_emu_dir})
install(FILES ${PROJECT_SOURCE_DIR}/emulator/include/tessera/cuda_emu.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tessera)
# The commands are installed by tools/. LLVM may lie outside the loader's path.
if(TARGET tesserac)
  set_target_properties(tesserac PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tessera)
install(EXPORT TesseraTargets NAMESPACE Tessera:: DESTINATION ${package_dir})
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/TesseraConfig.cmake.in
  ${PROJECT_BINARY_DIR}/TesseraConfig.cmake INSTALL_DESTINATION ${package_dir})
# 0.x releases promise nothing to each other.
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/TesseraConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/TesseraConfig.cmake
  ${PROJECT_BINARY_DIR}/TesseraConfigVersion.cmake
  DESTINATION ${package_dir})

set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH TESSERA_PC_TO_PREFIX /prefix/${pkgconfig_dir} /prefix)
string(REGEX REPLACE "/$" "" TESSERA_PC_TO_PREFIX "${TESSERA_PC_TO_PREFIX}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/tessera.pc.in
               ${PROJECT_BINARY_DIR}/tessera.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tessera.pc DESTINATION ${pkgconfig_dir})
