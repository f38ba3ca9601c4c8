// SPDX-License-Identifier: Apache-2.0
// numpy's .npz: a ZIP archive of .npy members, stored or deflated, 32 or 64
// bit. The reader works over a map, inflates member by member, checks every
// offset, size and checksum, and never allocates more than a member declares
// (which is checked against what its compressed size can hold). The writer is
// deterministic: fixed times, fixed order, no machine's trace.
#ifndef COMPILER_NPZ_H_
#define COMPILER_NPZ_H_

#include "compiler/npy.h"

// Thread-safe for reading once open.
typedef struct tsr_npz tsr_npz;

// Maps |path| and indexes its members. Messages name the path. |*out_npz| is
// NULL on failure.
TSR_MUST_USE tsr_status tsr_npz_open(const char *path, tsr_npz **out_npz,
                                     tsr_error *error);
// As above over |size| bytes at |data|, which must outlive the archive;
// |name| stands for the path in messages.
TSR_MUST_USE tsr_status tsr_npz_open_memory(const char *name,
                                            const uint8_t *data, size_t size,
                                            tsr_npz **out_npz,
                                            tsr_error *error);
void tsr_npz_close(tsr_npz *npz);  // NULL is legal

// Members whose name ends in ".npy", in the order of the archive.
uint32_t tsr_npz_count(const tsr_npz *npz);
// Without ".npy"; borrowed from |npz|.
const char *tsr_npz_name(const tsr_npz *npz, uint32_t index);
// False when there is no such member.
TSR_MUST_USE bool tsr_npz_find(const tsr_npz *npz, const char *name,
                               uint32_t *out_index);
// The member whose name is nearest to |name|, or NULL when none is near.
const char *tsr_npz_nearest(const tsr_npz *npz, const char *name);

// The header of a member (|out_array->data| is NULL). Cheap: inflates only the
// first bytes. The member's declared size is checked against it.
TSR_MUST_USE tsr_status tsr_npz_peek(const tsr_npz *npz, uint32_t index,
                                     tsr_npy *out_array, tsr_error *error);
// Inflates a member and checks its CRC. |out_array->data| points into
// |*out_memory|, which the caller frees with tsr_free (NULL on failure).
// Peek first and refuse a shape that is not the expected one: this allocates
// what the header declares.
TSR_MUST_USE tsr_status tsr_npz_read(const tsr_npz *npz, uint32_t index,
                                     tsr_npy *out_array, void **out_memory,
                                     tsr_error *error);
// The member as text: a 0-d unicode array, converted to UTF-8; |*out_text| is
// NUL-terminated and freed by the caller with tsr_free.
TSR_MUST_USE tsr_status tsr_npz_read_text(const tsr_npz *npz, uint32_t index,
                                          char **out_text, tsr_error *error);

// Writing. Members are deflated at once and appended; nothing but the index
// stays in memory.
typedef struct tsr_npz_writer tsr_npz_writer;

TSR_MUST_USE tsr_status tsr_npz_writer_create(const char *path,
                                              tsr_npz_writer **out_writer,
                                              tsr_error *error);
// |name| without ".npy". Names must be distinct.
TSR_MUST_USE tsr_status tsr_npz_writer_add(tsr_npz_writer *writer,
                                           const char *name, tsr_npy_type type,
                                           uint32_t rank, const uint64_t *shape,
                                           const void *data, tsr_error *error);
// A 0-d unicode array from UTF-8 |text|, as numpy.savez does with a str.
TSR_MUST_USE tsr_status tsr_npz_writer_add_text(tsr_npz_writer *writer,
                                                const char *name,
                                                const char *text,
                                                tsr_error *error);
// Writes the index and renames into place. The writer is closed whatever
// happens.
TSR_MUST_USE tsr_status tsr_npz_writer_commit(tsr_npz_writer *writer,
                                              tsr_error *error);
// Discards what was not committed. NULL is ignored.
void tsr_npz_writer_close(tsr_npz_writer *writer);

#endif  // COMPILER_NPZ_H_
