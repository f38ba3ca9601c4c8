// SPDX-License-Identifier: Apache-2.0
// One file or many seen as one list of tensors. An index names its shards
// itself, so their names are checked to stay in its folder.
#include "compiler/checkpoint.h"

#include <string.h>

#include "base/memory.h"
#include "convert.h"
#include "json.h"
#include "safetensors.h"

typedef struct shard {
  tsr_safetensors file;
  char *name;    // as in the index; owned
  bool is_open;  // |file| holds something
  bool owns_map;
} shard;

struct tsr_checkpoint {
  shard *shards;  // owned
  uint32_t shard_count;
  const tsr_tensor **tensors;  // owned; pointees live in the shards
  uint32_t count;
  tsr_names names;
};

static tsr_status open_shard(const char *path, shard *out_shard,
                             tsr_error *error) {
  tsr_map map;
  tsr_status status = tsr_map_open(path, &map, error);
  if (status != TSR_OK) return status;
  status = tsr_safetensors_open(path, map, &out_shard->file, error);
  out_shard->is_open = out_shard->owns_map = status == TSR_OK;
  if (status != TSR_OK) tsr_map_close(&map);
  return status;
}

static void close_shard(shard *s) {
  tsr_map map = s->file.map;
  if (s->is_open) tsr_safetensors_close(&s->file);
  if (s->owns_map) tsr_map_close(&map);
  tsr_free(s->name);
}

// Takes every tensor of the only shard.
static tsr_status list_single(tsr_checkpoint *checkpoint, tsr_error *error) {
  const tsr_safetensors *file = &checkpoint->shards[0].file;
  checkpoint->tensors = tsr_calloc(file->count, sizeof(*checkpoint->tensors));
  if (checkpoint->tensors == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = tsr_names_init(&checkpoint->names, file->count, error);
  if (status != TSR_OK) return status;
  for (uint32_t i = 0; i < file->count; ++i) {
    checkpoint->tensors[i] = &file->tensors[i];
    tsr_names_add(&checkpoint->names, file->tensors[i].name, i);
  }
  checkpoint->count = file->count;
  (void)tsr_names_sort(&checkpoint->names);
  return TSR_OK;
}

static shard *find_shard(tsr_checkpoint *checkpoint, const char *name) {
  for (uint32_t i = 0; i < checkpoint->shard_count; ++i) {
    if (strcmp(checkpoint->shards[i].name, name) == 0) {
      return &checkpoint->shards[i];
    }
  }
  return NULL;
}

// An index being read.
typedef struct index_reader {
  tsr_checkpoint *checkpoint;
  const char *path;    // of the index, for messages
  const char *folder;  // of its shards
} index_reader;

static tsr_status add_shard(const index_reader *reader, const char *name,
                            shard **out_shard, tsr_error *error) {
  tsr_checkpoint *checkpoint = reader->checkpoint;
  shard *added = &checkpoint->shards[checkpoint->shard_count];
  char *path = tsr_path_join(reader->folder, name);
  added->name = tsr_strdup(name);
  tsr_status status = TSR_OK;
  if (path == NULL || added->name == NULL) {
    status = tsr_error_out_of_memory(error);
  }
  ++checkpoint->shard_count;
  if (status == TSR_OK) status = open_shard(path, added, error);
  tsr_free(path);
  *out_shard = added;
  return status;
}

// One line of the weight_map.
static tsr_status add_mapped(const index_reader *reader, const char *name,
                             const json_t *where, tsr_error *error) {
  tsr_checkpoint *checkpoint = reader->checkpoint;
  const char *shard_name = json_string_value(where);
  if (shard_name == NULL || !tsr_path_is_contained(shard_name)) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "%s: the shard of '%s' is '%s', which is not a name "
                         "inside the index's folder",
                         reader->path, name,
                         shard_name == NULL ? "" : shard_name);
  }
  tsr_status status = TSR_OK;
  shard *found = find_shard(checkpoint, shard_name);
  if (found == NULL) status = add_shard(reader, shard_name, &found, error);
  if (status != TSR_OK) return status;
  uint32_t index = 0;
  if (!tsr_names_find(&found->file.names, name, &index)) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "%s: tensor '%s' is not in its shard '%s'",
                         reader->path, name, shard_name);
  }
  const tsr_tensor *tensor = &found->file.tensors[index];
  tsr_names_add(&checkpoint->names, tensor->name, checkpoint->count);
  checkpoint->tensors[checkpoint->count++] = tensor;
  return TSR_OK;
}

static size_t count_shards(json_t *map) {
  size_t count = 0;
  const char *last = "";
  const char *name;
  json_t *where;
  // Runs of the same name count once: an upper bound that stays small.
  json_object_foreach(map, name, where) {
    const char *text = json_string_value(where);
    if (text == NULL) text = "";
    count += strcmp(text, last) != 0;
    last = text;
  }
  return count;
}

static tsr_status read_weight_map(const index_reader *reader, json_t *map,
                                  tsr_error *error) {
  tsr_checkpoint *checkpoint = reader->checkpoint;
  size_t count = json_object_size(map);
  checkpoint->shards = tsr_calloc(count_shards(map), sizeof(shard));
  checkpoint->tensors = tsr_calloc(count, sizeof(*checkpoint->tensors));
  if (checkpoint->shards == NULL || checkpoint->tensors == NULL) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status =
      tsr_names_init(&checkpoint->names, (uint32_t)count, error);
  const char *name;
  json_t *where;
  json_object_foreach(map, name, where) {
    if (status == TSR_OK) status = add_mapped(reader, name, where, error);
  }
  if (status == TSR_OK) (void)tsr_names_sort(&checkpoint->names);
  return status;
}

static tsr_status read_index(tsr_checkpoint *checkpoint, const char *path,
                             tsr_error *error) {
  tsr_map map;
  tsr_status status = tsr_map_open(path, &map, error);
  if (status != TSR_OK) return status;
  json_t *root = NULL;
  char *folder = tsr_path_directory(path);
  const index_reader reader = {checkpoint, path, folder};
  if (folder == NULL) status = tsr_error_out_of_memory(error);
  if (status == TSR_OK) {
    status = tsr_json_parse_object(path, (const char *)map.data, map.size,
                                   &root, error);
  }
  json_t *weight_map = json_object_get(root, "weight_map");
  if (status == TSR_OK && !json_is_object(weight_map)) {
    status = tsr_error_set(error, TSR_CORRUPT,
                           "%s: it has no weight_map object", path);
  }
  if (status == TSR_OK) status = read_weight_map(&reader, weight_map, error);
  json_decref(root);
  tsr_free(folder);
  tsr_map_close(&map);
  return status;
}

static tsr_status read_single(tsr_checkpoint *checkpoint, const char *path,
                              tsr_error *error) {
  checkpoint->shards = tsr_calloc(1, sizeof(shard));
  if (checkpoint->shards == NULL) return tsr_error_out_of_memory(error);
  checkpoint->shard_count = 1;
  tsr_status status = open_shard(path, &checkpoint->shards[0], error);
  if (status == TSR_OK) status = list_single(checkpoint, error);
  return status;
}

static bool has_suffix(const char *text, const char *suffix) {
  size_t size = strlen(text);
  size_t suffix_size = strlen(suffix);
  return size >= suffix_size && strcmp(text + size - suffix_size, suffix) == 0;
}

// What |path| stands for: itself, or the usual file of a folder. Owned.
static char *resolve(const char *path) {
  if (!tsr_path_is_directory(path)) return tsr_strdup(path);
  char *index = tsr_path_join(path, "model.safetensors.index.json");
  if (index == NULL || tsr_path_exists(index)) return index;
  tsr_free(index);
  return tsr_path_join(path, "model.safetensors");
}

tsr_status tsr_checkpoint_open(const char *path,
                               tsr_checkpoint **out_checkpoint,
                               tsr_error *error) {
  *out_checkpoint = NULL;
  tsr_checkpoint *checkpoint = tsr_calloc(1, sizeof(*checkpoint));
  char *file = resolve(path);
  tsr_status status = TSR_OK;
  if (checkpoint == NULL || file == NULL) {
    status = tsr_error_out_of_memory(error);
  } else if (has_suffix(file, ".json")) {
    status = read_index(checkpoint, file, error);
  } else {
    status = read_single(checkpoint, file, error);
  }
  tsr_free(file);
  if (status == TSR_OK) {
    *out_checkpoint = checkpoint;
  } else {
    tsr_checkpoint_close(checkpoint);
  }
  return status;
}

tsr_status tsr_checkpoint_open_memory(const char *name, const uint8_t *data,
                                      size_t size,
                                      tsr_checkpoint **out_checkpoint,
                                      tsr_error *error) {
  *out_checkpoint = NULL;
  tsr_checkpoint *checkpoint = tsr_calloc(1, sizeof(*checkpoint));
  if (checkpoint == NULL) return tsr_error_out_of_memory(error);
  checkpoint->shards = tsr_calloc(1, sizeof(shard));
  tsr_status status = TSR_OK;
  if (checkpoint->shards == NULL) {
    status = tsr_error_out_of_memory(error);
  } else {
    checkpoint->shard_count = 1;
    status = tsr_safetensors_open(name, (tsr_map){data, size},
                                  &checkpoint->shards[0].file, error);
    checkpoint->shards[0].is_open = status == TSR_OK;
    // The caller's memory, not a file's: giving its pages back would clear it.
    const tsr_safetensors *file = &checkpoint->shards[0].file;
    for (uint32_t i = 0; i < file->count; ++i) file->tensors[i].map = NULL;
  }
  if (status == TSR_OK) status = list_single(checkpoint, error);
  if (status == TSR_OK) {
    *out_checkpoint = checkpoint;
  } else {
    tsr_checkpoint_close(checkpoint);
  }
  return status;
}

void tsr_checkpoint_close(tsr_checkpoint *checkpoint) {
  if (checkpoint == NULL) return;
  tsr_names_fini(&checkpoint->names);
  for (uint32_t i = 0; i < checkpoint->shard_count; ++i) {
    close_shard(&checkpoint->shards[i]);
  }
  tsr_free(checkpoint->shards);
  tsr_free(checkpoint->tensors);
  tsr_free(checkpoint);
}

const char *tsr_checkpoint_file(const tsr_checkpoint *checkpoint,
                                uint32_t index) {
  return index < checkpoint->shard_count ? checkpoint->shards[index].file.path
                                         : NULL;
}

uint32_t tsr_checkpoint_count(const tsr_checkpoint *checkpoint) {
  return checkpoint->count;
}

const tsr_tensor *tsr_checkpoint_tensor(const tsr_checkpoint *checkpoint,
                                        uint32_t index) {
  return checkpoint->tensors[index];
}

const tsr_tensor *tsr_checkpoint_find(const tsr_checkpoint *checkpoint,
                                      const char *name) {
  uint32_t index = 0;
  if (!tsr_names_find(&checkpoint->names, name, &index)) return NULL;
  return checkpoint->tensors[index];
}

const char *tsr_checkpoint_nearest(const tsr_checkpoint *checkpoint,
                                   const char *name) {
  return tsr_names_nearest(&checkpoint->names, name);
}

bool tsr_tensor_dtype(const tsr_tensor *tensor, tsr_dtype *out_dtype) {
  switch (tensor->element) {
    case TSR_ELEMENT_F32:
      *out_dtype = TSR_DTYPE_F32;
      return true;
    case TSR_ELEMENT_F16:
      *out_dtype = TSR_DTYPE_F16;
      return true;
    case TSR_ELEMENT_BF16:
      *out_dtype = TSR_DTYPE_BF16;
      return true;
    default:
      return false;
  }
}

void tsr_tensor_read(const tsr_tensor *tensor, uint64_t first, uint64_t count,
                     float *values) {
  tsr_dtype type = TSR_DTYPE_F32;
  if (!tsr_tensor_dtype(tensor, &type)) return;
  const uint8_t *data = tensor->data + first * tsr_dtype_size(type);
  tsr_convert_to_float(type, data, (size_t)count, values);
}

void tsr_tensor_drop(const tsr_tensor *tensor, uint64_t offset, uint64_t size) {
  if (tensor->map == NULL || tensor->map->data == NULL) return;
  // Rows are not whole pages: from the granule in which the range begins (its
  // first part was read before) to the last that is complete. What is dropped
  // too early only costs a fault.
  const size_t granule = 65536;
  size_t begin = (size_t)(tensor->data - tensor->map->data) + (size_t)offset;
  size_t end = begin + (size_t)size;
  if (offset + size != tensor->size) end -= end % granule;
  begin -= begin % granule;
  if (begin < end) tsr_map_drop(tensor->map, begin, end - begin);
}
