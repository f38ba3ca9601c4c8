# SPDX-License-Identifier: Apache-2.0
# One place for warnings, sanitizers and hardening; every target of ours calls
# tessera_target(NAME).
set(TESSERA_WARNINGS
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
    -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wcast-qual -Wformat=2
    -Wundef)

function(tessera_target name)
  target_compile_options(${name} PRIVATE ${TESSERA_WARNINGS})
  target_compile_definitions(${name} PRIVATE _POSIX_C_SOURCE=200809L
                             _FILE_OFFSET_BITS=64)
  # No contraction: results must not depend on the compiler's taste.
  target_compile_options(${name} PRIVATE -ffp-contract=off
                         -fno-omit-frame-pointer)
  if(TESSERA_WERROR)
    target_compile_options(${name} PRIVATE -Werror)
  endif()
  if(TESSERA_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${TESSERA_SANITIZE}
                           -fno-sanitize-recover=all)
    target_link_options(${name} PRIVATE -fsanitize=${TESSERA_SANITIZE})
  elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(${name} PRIVATE -fstack-protector-strong)
    target_compile_definitions(${name} PRIVATE _FORTIFY_SOURCE=2)
  endif()
  if(TESSERA_FUZZ)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# What a target makes depends on its own code: a header FILE that defines MACRO
# as a hash of the sources, made anew when one changes, so that nothing cached
# outlives the code that made it.
function(tessera_source_revision target file macro)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${file})
  list(SORT ARGN)
  list(JOIN ARGN "|" files)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DMACRO=${macro} "-DFILES=${files}"
            -P ${PROJECT_SOURCE_DIR}/cmake/SourceRevision.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/SourceRevision.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
