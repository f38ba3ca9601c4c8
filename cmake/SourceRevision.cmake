# SPDX-License-Identifier: Apache-2.0
# Run by tessera_source_revision: writes OUT, a header that defines MACRO as a
# 32-bit hash of FILES (separated by '|').
string(REPLACE "|" ";" files "${FILES}")
set(all "")
foreach(file IN LISTS files)
  file(SHA256 ${file} hash)
  string(APPEND all ${hash})
endforeach()
string(SHA256 all "${all}")
string(SUBSTRING ${all} 0 8 all)
file(WRITE ${OUT} "#define ${MACRO} 0x${all}u\n")
