// SPDX-License-Identifier: Apache-2.0
// The one door to jansson for files that we did not write: duplicate keys are
// refused, memory goes through base/memory.h.
#ifndef COMPILER_IMPORT_JSON_H_
#define COMPILER_IMPORT_JSON_H_

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

// Parses |size| bytes of |text| as one JSON object. |what| begins the message
// of a failure. The caller releases |*out_object| with json_decref.
TSR_MUST_USE tsr_status tsr_json_parse_object(const char *what,
                                              const char *text, size_t size,
                                              json_t **out_object,
                                              tsr_error *error);

#endif  // COMPILER_IMPORT_JSON_H_
