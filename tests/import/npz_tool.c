// SPDX-License-Identifier: Apache-2.0
// What our npz reader and writer do, laid open for numpy to judge:
//   npz_tool unpack IN.npz DIR        every member to DIR/<index>.npy
//   npz_tool copy IN.npz OUT.npz      read and written again
//   npz_tool npy IN.npy OUT.npy       the same for one array
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "compiler/npz.h"

static int failed(const tsr_error *error) {
  fprintf(stderr, "%s\n", error->message);
  return 1;
}

static tsr_status unpack_member(const tsr_npz *npz, uint32_t index,
                                const char *directory, tsr_error *error) {
  char path[4096];
  tsr_npy array;
  void *memory = NULL;
  tsr_status status = tsr_npz_read(npz, index, &array, &memory, error);
  if (status != TSR_OK) return status;
  printf("%u %s\n", index, tsr_npz_name(npz, index));
  snprintf(path, sizeof(path), "%s/%u.npy", directory, index);
  if (array.type != TSR_NPY_UNICODE) {
    status = tsr_npy_write(path, array.type, array.rank, array.shape,
                           array.data, error);
  }
  tsr_free(memory);
  return status;
}

static tsr_status copy_member(const tsr_npz *npz, uint32_t index,
                              tsr_npz_writer *writer, tsr_error *error) {
  tsr_npy array;
  void *memory = NULL;
  const char *name = tsr_npz_name(npz, index);
  tsr_status status = tsr_npz_peek(npz, index, &array, error);
  if (status != TSR_OK) return status;
  if (array.type == TSR_NPY_UNICODE) {
    char *text = NULL;
    status = tsr_npz_read_text(npz, index, &text, error);
    if (status == TSR_OK) {
      status = tsr_npz_writer_add_text(writer, name, text, error);
    }
    tsr_free(text);
    return status;
  }
  status = tsr_npz_read(npz, index, &array, &memory, error);
  if (status == TSR_OK) {
    status = tsr_npz_writer_add(writer, name, array.type, array.rank,
                                array.shape, array.data, error);
  }
  tsr_free(memory);
  return status;
}

static int run_npz(const char *verb, const char *in, const char *out) {
  tsr_error error = {.status = TSR_OK};
  tsr_npz *npz = NULL;
  tsr_npz_writer *writer = NULL;
  bool is_copy = strcmp(verb, "copy") == 0;
  tsr_status status = tsr_npz_open(in, &npz, &error);
  if (status == TSR_OK && is_copy) {
    status = tsr_npz_writer_create(out, &writer, &error);
  }
  for (uint32_t i = 0; status == TSR_OK && i < tsr_npz_count(npz); ++i) {
    status = is_copy ? copy_member(npz, i, writer, &error)
                     : unpack_member(npz, i, out, &error);
  }
  if (status == TSR_OK && is_copy) {
    status = tsr_npz_writer_commit(writer, &error);
  } else {
    tsr_npz_writer_close(writer);
  }
  tsr_npz_close(npz);
  return status == TSR_OK ? 0 : failed(&error);
}

static int run_npy(const char *in, const char *out) {
  tsr_error error = {.status = TSR_OK};
  tsr_map map;
  tsr_npy array;
  tsr_status status = tsr_npy_open(in, &map, &array, &error);
  if (status != TSR_OK) return failed(&error);
  status = tsr_npy_write(out, array.type, array.rank, array.shape, array.data,
                         &error);
  tsr_map_close(&map);
  return status == TSR_OK ? 0 : failed(&error);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  if (strcmp(argv[1], "npy") == 0) return run_npy(argv[2], argv[3]);
  return run_npz(argv[1], argv[2], argv[3]);
}
