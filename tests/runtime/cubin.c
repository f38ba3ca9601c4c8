// SPDX-License-Identifier: Apache-2.0
// See cubin.h. Offsets are those of Elf64_Ehdr and Elf64_Shdr (System V ABI,
// chapter 4), marks those of LLVM's BinaryFormat/ELF.h ("NVPTX specific
// e_flags"). The section of CUDA 13 is documented nowhere: it was read from
// what ptxas 13.0 writes for sm_90 and sm_90a, and is a list of entries of 4
// bytes like that of .nv.info. tests/e2e/cuda_cubin.py compares all of it with
// the ptxas that is found.
#include "cubin.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  HEADER = 64,
  SECTION = 64,
  OS_ABI = 7,
  ABI_VERSION = 8,
  TYPE = 16,     // 2 bytes
  MACHINE = 18,  // 2 bytes
  SECTIONS = 40,
  FLAGS = 48,
  SECTION_SIZE = 58,   // 2 bytes
  SECTION_COUNT = 60,  // 2 bytes
  EXECUTABLE = 2,      // ET_EXEC
  CUDA = 190,          // EM_CUDA
  // Of the section: 4 bytes of type, places of 8 bytes.
  SECTION_TYPE = 4,
  SECTION_OFFSET = 24,
  SECTION_LENGTH = 32,
  // Of an entry of .nv.compat: format, what, 2 bytes of value.
  COMPAT_LONG = 4,   // the format whose value is the size of what follows
  COMPAT_EXACT = 9,  // value 1: "a"
};

static const uint32_t planted_type = 0x80747874;  // from SHT_LOUSER on
static const uint32_t compat_type = 0x70000086;   // .nv.compat

static const struct {
  uint8_t os_abi, abi_version;
  unsigned shift;  // of the number, 8 bits
  uint32_t exact;  // "a"; 0: it is in .nv.compat
} encodings[] = {
    [CUBIN_V1] = {51, 7, 0, 0x800},
    [CUBIN_V2] = {65, 8, 8, 0x8},
    [CUBIN_V3] = {65, 8, 8, 0},
};

static uint64_t get(const void *image, size_t at, unsigned size) {
  const uint8_t *bytes = (const uint8_t *)image + at;
  uint64_t value = 0;
  for (unsigned i = size; i != 0; --i) value = value << 8 | bytes[i - 1];
  return value;
}

static void put(void *image, size_t at, uint64_t value, unsigned size) {
  uint8_t *bytes = (uint8_t *)image + at;
  for (unsigned i = 0; i < size; ++i) bytes[i] = (uint8_t)(value >> 8 * i);
}

// ---- Writing ----------------------------------------------------------------

// The bytes and a longer table of sections go behind what there is.
static void add_section(tsr_buffer *cubin, uint32_t type, const void *data,
                        size_t size) {
  uint8_t section[SECTION] = {0};
  size_t count = (size_t)get(cubin->data, SECTION_COUNT, 2);
  size_t old = (size_t)get(cubin->data, SECTIONS, 8);
  tsr_buffer table;
  tsr_buffer_init(&table);
  tsr_buffer_append(&table, cubin->data + old, count * SECTION);
  put(section, SECTION_TYPE, type, 4);
  put(section, SECTION_OFFSET, cubin->size, 8);
  put(section, SECTION_LENGTH, size, 8);
  tsr_buffer_append(&table, section, sizeof(section));
  tsr_buffer_append(cubin, data, size);
  while (cubin->size % 8 != 0) tsr_buffer_append_char(cubin, '\0');
  size_t place = cubin->size;
  tsr_buffer_append(cubin, table.data, table.size);
  if (table.failed || cubin->failed) abort();
  put(cubin->data, SECTIONS, place, 8);
  put(cubin->data, SECTION_SIZE, SECTION, 2);
  put(cubin->data, SECTION_COUNT, count + 1, 2);
  tsr_buffer_fini(&table);
}

void cubin_write(tsr_buffer *out, const char *architecture,
                 cubin_encoding encoding) {
  uint8_t header[HEADER] = "\177ELF\2\1\1";
  char *suffix = NULL;
  unsigned long number = strtoul(architecture + 3, &suffix, 10);
  bool is_exact = *suffix == 'a';
  uint8_t compat[] = {2, COMPAT_EXACT, is_exact, 0};
  uint32_t flags = (uint32_t)number << encodings[encoding].shift;
  if (is_exact) flags |= encodings[encoding].exact;
  header[OS_ABI] = encodings[encoding].os_abi;
  header[ABI_VERSION] = encodings[encoding].abi_version;
  put(header, TYPE, EXECUTABLE, 2);
  put(header, MACHINE, CUDA, 2);
  put(header, FLAGS, flags, 4);
  tsr_buffer_append(out, header, sizeof(header));
  if (out->failed) abort();
  if (encoding == CUBIN_V3) {
    add_section(out, compat_type, compat, sizeof(compat));
  }
}

void cubin_plant(tsr_buffer *cubin, const char *text) {
  add_section(cubin, planted_type, text, strlen(text) + 1);
}

// ---- Reading ----------------------------------------------------------------

// The first section of |type|, or NULL.
static const uint8_t *find_section(const void *image, uint32_t type,
                                   size_t *out_size) {
  size_t count = (size_t)get(image, SECTION_COUNT, 2);
  size_t table = (size_t)get(image, SECTIONS, 8);
  for (size_t i = 0; i < count; ++i) {
    size_t at = table + i * SECTION;
    if (get(image, at + SECTION_TYPE, 4) != type) continue;
    *out_size = (size_t)get(image, at + SECTION_LENGTH, 8);
    return (const uint8_t *)image + get(image, at + SECTION_OFFSET, 8);
  }
  *out_size = 0;
  return NULL;
}

static bool is_exact(const void *image) {
  size_t size;
  const uint8_t *compat = find_section(image, compat_type, &size);
  for (size_t at = 0; at + 4 <= size; at += 4) {
    uint64_t value = get(compat, at + 2, 2);
    if (compat[at] == COMPAT_LONG) {
      at += (size_t)value;
    } else if (compat[at + 1] == COMPAT_EXACT && value != 0) {
      return true;
    }
  }
  return false;
}

void cubin_architecture(const void *image, char out[16]) {
  uint32_t flags = (uint32_t)get(image, FLAGS, 4);
  (void)snprintf(out, 16, "?");
  if (memcmp(image, "\177ELF", 4) != 0 || get(image, MACHINE, 2) != CUDA) {
    return;
  }
  for (size_t i = 0; i <= CUBIN_V2; ++i) {  // V3 looks like it
    if (get(image, ABI_VERSION, 1) != encodings[i].abi_version) continue;
    bool exact = (flags & encodings[i].exact) != 0 || is_exact(image);
    (void)snprintf(out, 16, "sm_%u%s",
                   (unsigned)(flags >> encodings[i].shift & 0xff),
                   exact ? "a" : "");
  }
}

const char *cubin_text(const void *image) {
  size_t size;
  return (const char *)find_section(image, planted_type, &size);
}

bool cubin_fits(const char *architecture, unsigned capability) {
  unsigned number = 0;
  char suffix = '\0';
  if (sscanf(architecture, "sm_%u%c", &number, &suffix) < 1) return false;
  if (suffix == 'a') return number == capability;
  return number / 10 == capability / 10 && number <= capability;
}
