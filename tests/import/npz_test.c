// SPDX-License-Identifier: Apache-2.0
// npy headers and zip archives, one defect each.
#include "compiler/npz.h"

#include <stdlib.h>

#include "base/memory.h"
#include "test.h"

static char header_bytes[256];

// A version 1 header around |dictionary|; returns its size.
static size_t make_header(const char *dictionary) {
  size_t size = strlen(dictionary);
  memcpy(header_bytes, "\x93NUMPY\x01\x00", 8);
  header_bytes[8] = (char)size;
  header_bytes[9] = 0;
  memcpy(header_bytes + 10, dictionary, size);
  return size + 10;
}

static const char *parse(const char *dictionary) {
  static tsr_error error;
  tsr_npy array;
  error = (tsr_error){.status = TSR_OK};
  size_t size = make_header(dictionary);
  tsr_status status =
      tsr_npy_parse_header((const uint8_t *)header_bytes, size, &array, &error);
  CHECK_EQ(status, error.status);
  return status == TSR_OK ? "ok" : error.message;
}

#define DICTIONARY_ERROR                                      \
  "npy header: not the dictionary that numpy writes (descr, " \
  "fortran_order, shape)"

static void test_dictionaries(void) {
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,'shape':(2,3)}"), "ok");
  CHECK_STR(parse("{\"shape\": (), 'fortran_order': False, 'descr': '|u1', }"),
            "ok");
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,'shape':(2)}"),
            DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False}"), DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','descr':'<f4','fortran_order':False,"
                  "'shape':(2,)}"),
            DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,'shape':(2,-3)}"),
            DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,'shape':(2,)} x"),
            DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,"
                  "'shape':(1,1,1,1,1,1,1,1,1)}"),
            DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,"
                  "'shape':(99999999999999999999,)}"),
            DICTIONARY_ERROR);
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,"
                  "'shape':(4294967296,4294967296)}"),
            "npy header: the shape's product overflows");
  CHECK_STR(parse("{'descr':'<f4','fortran_order':False,"
                  "'shape':(4611686018427387904,)}"),
            "npy header: the shape's product overflows");
  CHECK_STR(parse("{'descr':'>f4','fortran_order':False,'shape':(2,)}"),
            "npy type '>f4' is not supported (little-endian bool, uint8, "
            "uint16, int32, int64, float16, float32, float64 and text are)");
  CHECK_STR(parse("{'descr':'<f4','fortran_order':True,'shape':(2,2)}"),
            "the array is in Fortran order; save numpy.ascontiguousarray(a) "
            "instead");
  CHECK_STR(parse("{'descr':'<f4','fortran_order':True,'shape':(1,2)}"), "ok");
}

static void test_npy_data(void) {
  _Alignas(16) uint8_t bytes[128];
  tsr_buffer file;
  tsr_buffer_init(&file);
  const uint64_t shape[2] = {2, 3};
  tsr_npy_write_header(TSR_NPY_UINT8, 2, shape, &file);
  CHECK_EQ(file.size % 64, 0);
  tsr_buffer_append(&file, "abcdef", 6);
  tsr_npy array;
  CHECK_EQ(tsr_npy_parse((const uint8_t *)file.data, file.size, &array, NULL),
           TSR_OK);
  CHECK_EQ(array.count, 6);
  CHECK(memcmp(array.data, "abcdef", 6) == 0);
  tsr_error error = {.status = TSR_OK};
  CHECK_EQ(
      tsr_npy_parse((const uint8_t *)file.data, file.size - 1, &array, &error),
      TSR_CORRUPT);
  CHECK_STR(error.message, "npy data: 5 bytes where the header declares 6");
  CHECK(array.data == NULL);
  for (size_t size = 0; size < 64; ++size) {  // truncated headers
    CHECK_EQ(tsr_npy_parse((const uint8_t *)file.data, size, &array, NULL),
             TSR_CORRUPT);
  }
  file.data[6] = 4;
  error = (tsr_error){.status = TSR_OK};
  CHECK_EQ(tsr_npy_parse((const uint8_t *)file.data, file.size, &array, &error),
           TSR_UNSUPPORTED);
  CHECK_STR(error.message,
            "npy format version 4.0 is not supported (1.0 to 3.0 are)");
  tsr_buffer_fini(&file);
  size_t size =
      make_header("{'descr':'<f4','fortran_order':False,'shape':(1,)} ");
  memcpy(bytes, header_bytes, size);
  error = (tsr_error){.status = TSR_OK};
  CHECK(size % 4 != 0);
  CHECK_EQ(tsr_npy_parse(bytes, size + 4, &array, &error), TSR_UNSUPPORTED);
  CHECK(strstr(error.message, "not aligned to its elements") != NULL);
}

// An archive of two members in a buffer, made by our writer.
static void make_archive(tsr_buffer *out) {
  static const uint8_t first[1000] = {1, 2, 3};
  static const float second[4] = {1, 2, 3, 4};
  const char *path = "npz_test.npz";
  tsr_npz_writer *writer = NULL;
  const uint64_t shapes[2] = {1000, 4};
  CHECK_EQ(tsr_npz_writer_create(path, &writer, NULL), TSR_OK);
  CHECK_EQ(tsr_npz_writer_add(writer, "first", TSR_NPY_UINT8, 1, &shapes[0],
                              first, NULL),
           TSR_OK);
  CHECK_EQ(tsr_npz_writer_add(writer, "second", TSR_NPY_FLOAT32, 1, &shapes[1],
                              second, NULL),
           TSR_OK);
  CHECK_EQ(tsr_npz_writer_commit(writer, NULL), TSR_OK);
  tsr_map map;
  CHECK_EQ(tsr_map_open(path, &map, NULL), TSR_OK);
  tsr_buffer_init(out);
  tsr_buffer_append(out, map.data, map.size);
  tsr_map_close(&map);
  remove(path);
}

static char message[512];

// Opens the bytes and reads every member; "ok" or the error's message.
static const char *read_all(const void *data, size_t size) {
  tsr_error error = {.status = TSR_OK};
  tsr_npz *npz = NULL;
  tsr_status status = tsr_npz_open_memory("t.npz", data, size, &npz, &error);
  uint32_t count = status == TSR_OK ? tsr_npz_count(npz) : 0;
  for (uint32_t i = 0; i < count && status == TSR_OK; ++i) {
    tsr_npy array;
    void *memory = NULL;
    status = tsr_npz_read(npz, i, &array, &memory, &error);
    tsr_free(memory);
  }
  tsr_npz_close(npz);
  snprintf(message, sizeof(message), "%s",
           status == TSR_OK ? "ok" : error.message);
  return message;
}

// Patches |size| bytes behind the |occurrence|th |signature| and reads.
static const char *patched(const tsr_buffer *archive, const char *signature,
                           int occurrence, size_t offset, const char *bytes,
                           size_t size) {
  char *copy = malloc(archive->size);
  memcpy(copy, archive->data, archive->size);
  for (size_t at = 0; at + 4 <= archive->size; ++at) {
    if (memcmp(copy + at, signature, 4) == 0 && occurrence-- == 0) {
      memcpy(copy + at + offset, bytes, size);
    }
  }
  const char *text = read_all(copy, archive->size);
  free(copy);
  return text;
}

#define LOCAL "PK\3\4"
#define CENTRAL "PK\1\2"
#define END "PK\5\6"

static void test_archives(void) {
  tsr_buffer archive;
  make_archive(&archive);
  CHECK_STR(read_all(archive.data, archive.size), "ok");
  CHECK_STR(read_all("", 0),
            "t.npz: zip archive: no end record (truncated, or not an npz/zip "
            "file)");
  CHECK_STR(read_all(archive.data, archive.size - 1),
            "t.npz: zip archive: no end record (truncated, or not an npz/zip "
            "file)");
  CHECK_STR(read_all(archive.data + 1, archive.size - 1),
            "t.npz: zip archive: the central directory lies outside the file");
  CHECK_STR(patched(&archive, END, 0, 10, "\1", 1),
            "t.npz: zip archive: spans several disks");
  CHECK_STR(patched(&archive, END, 0, 8, "\1\0\1", 3),
            "t.npz: zip archive: the central directory holds more than its "
            "entries");
  CHECK_STR(patched(&archive, END, 0, 8, "\xff\0\xff", 3),
            "t.npz: zip archive: more entries than the central directory "
            "holds");
  CHECK_STR(patched(&archive, CENTRAL, 0, 8, "\1", 1),
            "t.npz: zip member 'first.npy' is encrypted");
  CHECK_STR(patched(&archive, CENTRAL, 0, 10, "\x0e", 1),
            "t.npz: zip member 'first.npy' uses compression method 14 (stored "
            "and deflate are supported)");
  CHECK_STR(patched(&archive, CENTRAL, 0, 10, "\0", 1),
            "t.npz: zip member 'first.npy' is stored, yet its sizes differ");
  CHECK_STR(patched(&archive, CENTRAL, 0, 24, "\xff\xff\xff\x7f", 4) + 0,
            message);
  CHECK(strncmp(message,
                "t.npz: zip member 'first.npy' declares 2147483647 bytes, more "
                "than its ",
                70) == 0);
  CHECK_STR(patched(&archive, CENTRAL, 0, 20, "\xff\xff\xff\x7f", 4),
            "t.npz: zip member 'first.npy' runs past the end of the data");
  CHECK_STR(patched(&archive, CENTRAL, 0, 24, "\xff\xff\xff\xff", 4),
            "t.npz: zip member 'first.npy': its zip64 sizes are missing");
  CHECK_STR(patched(&archive, CENTRAL, 0, 42, "\1", 1),
            "t.npz: zip member 'first.npy': no local header at byte 1");
  CHECK_STR(patched(&archive, LOCAL, 0, 30, "F", 1),
            "t.npz: zip member 'first.npy': local and central headers differ");
  CHECK_STR(patched(&archive, CENTRAL, 0, 16, "????", 4),
            "t.npz: first.npy: the checksum (CRC-32) does not match");
  CHECK_STR(patched(&archive, CENTRAL, 0, 24, "\x67", 1),
            "t.npz: first.npy: the member has 1127 bytes where its npy header "
            "declares 1128");
  tsr_buffer_fini(&archive);
}

// Every truncation and every flipped byte ends in a status, never in a crash.
static void test_damage(void) {
  tsr_buffer archive;
  make_archive(&archive);
  for (size_t size = 0; size < archive.size; ++size) {
    CHECK(strcmp(read_all(archive.data, size), "ok") != 0);
  }
  for (size_t i = 0; i < archive.size; ++i) {
    archive.data[i] ^= 0x55;
    (void)read_all(archive.data, archive.size);
    archive.data[i] ^= 0x55;
  }
  CHECK_STR(read_all(archive.data, archive.size), "ok");
  tsr_buffer_fini(&archive);
}

static void test_out_of_memory(void) {
  tsr_buffer archive;
  make_archive(&archive);
  uint64_t nth = 0;
  const char *text = "";
  do {
    (void)tsr_memory_fail_at(++nth);
    text = read_all(archive.data, archive.size);
    (void)tsr_memory_fail_at(0);
    CHECK(strcmp(text, "ok") == 0 || strcmp(text, "out of memory") == 0);
  } while (strcmp(text, "ok") != 0 && nth < 1000);
  CHECK(nth > 8);
  tsr_buffer_fini(&archive);
}

int main(void) {
  test_dictionaries();
  test_npy_data();
  test_archives();
  test_damage();
  test_out_of_memory();
  return test_finish();
}
