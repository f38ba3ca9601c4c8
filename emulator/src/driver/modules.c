// SPDX-License-Identifier: Apache-2.0
// Modules from PTX text, their functions and variables. Binary images are
// refused with a reason in the log: nothing here executes machine code.
#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "driver/driver.h"

// --- Options of the just-in-time compiler -----------------------------------

typedef struct jit_options {
  char *error_log, *info_log;
  size_t error_size, info_size;
  void **error_size_out, **info_size_out, **wall_time;
} jit_options;

static bool read_options(unsigned count, const CUjit_option *names,
                         void **values, jit_options *out) {
  *out = (jit_options){0};
  if (count > 0 && (names == NULL || values == NULL)) return false;
  for (unsigned i = 0; i < count; ++i) {
    if ((unsigned)names[i] >= CU_JIT_NUM_OPTIONS) return false;
    switch (names[i]) {
      case CU_JIT_ERROR_LOG_BUFFER:
        out->error_log = values[i];
        break;
      case CU_JIT_INFO_LOG_BUFFER:
        out->info_log = values[i];
        break;
      case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        out->error_size = (size_t)(uintptr_t)values[i];
        out->error_size_out = &values[i];
        break;
      case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
        out->info_size = (size_t)(uintptr_t)values[i];
        out->info_size_out = &values[i];
        break;
      case CU_JIT_WALL_TIME:
        out->wall_time = &values[i];
        break;
      default:
        break;  // of a compiler; the others have no meaning here
    }
  }
  return true;
}

// Gives the log, cut to the buffer, and how much of it was used.
static void put_log(const char *text, char *log, size_t size, void **out) {
  size_t used = 0;
  if (log != NULL && size > 0) {
    used = strlen(text);
    if (used > size - 1) used = size - 1;
    memcpy(log, text, used);
    log[used] = '\0';
    if (used > 0) ++used;
  }
  if (out != NULL) *out = (void *)(uintptr_t)used;
}

static void put_logs(const jit_options *options, const char *errors,
                     const char *infos) {
  put_log(errors, options->error_log, options->error_size,
          options->error_size_out);
  put_log(infos, options->info_log, options->info_size, options->info_size_out);
  if (options->wall_time != NULL) {
    float none = 0;  // a float in the pointer's place
    memcpy(options->wall_time, &none, sizeof(none));
  }
}

// --- Images -----------------------------------------------------------------

// What an image is if it is not text; NULL for text. |out_result|: how the
// driver refuses what it has no code for.
static const char *binary_kind(const void *image, size_t size,
                               CUresult *out_result) {
  static const struct {
    const char *start;
    size_t size;
    const char *name;
    CUresult result;
  } kinds[] = {
      {"\x7f"
       "ELF",
       4, "a cubin", CUDA_ERROR_NO_BINARY_FOR_GPU},
      {"\x50\xed\x55\xba", 4, "a fat binary", CUDA_ERROR_NO_BINARY_FOR_GPU},
      {"\xb1\x43\x62\x46", 4, "a fat binary", CUDA_ERROR_NO_BINARY_FOR_GPU},
      {"BC\xc0\xde", 4, "NVVM bitcode", CUDA_ERROR_INVALID_SOURCE},
      {"\xed\x43\x4e\x7f", 4, "NVVM code", CUDA_ERROR_INVALID_SOURCE},
  };
  const unsigned char *bytes = image;
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
    size_t at = 0;  // stops at the end of a shorter text
    while (at < kinds[i].size && at < size &&
           bytes[at] == (unsigned char)kinds[i].start[at]) {
      ++at;
    }
    if (at < kinds[i].size) continue;
    *out_result = kinds[i].result;
    return kinds[i].name;
  }
  return NULL;
}

// The result of a text that was refused: what is wrong with it is in the log.
static CUresult refused(tsr_status status, const tsr_ptx_log *log,
                        const tsr_error *error) {
  if (status == TSR_MISMATCH) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  if (status != TSR_CORRUPT) return tsr_result_of(status);
  (void)error;
  const char *text = tsr_buffer_text(&log->errors);
  if (strstr(text, "PTX version") != NULL &&
      strstr(text, "not supported") != NULL) {
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  return CUDA_ERROR_INVALID_PTX;
}

static CUresult load_program(CUcontext context, const void *image, size_t size,
                             const jit_options *options,
                             tsr_program **out_program) {
  CUresult result = CUDA_SUCCESS;
  const char *kind = binary_kind(image, size, &result);
  if (kind != NULL) {
    char text[128];
    (void)snprintf(text, sizeof(text),
                   "error: this is %s; only PTX text can be executed\n", kind);
    put_logs(options, text, "");
    tsr_driver_log("module refused: this is %s; only PTX text can be executed",
                   kind);
    return result;
  }
  tsr_ptx_log log = {0};
  tsr_error error = {0};
  tsr_status status =
      tsr_program_load(image, size, context->device->model,
                       context->device->heap, &log, out_program, &error);
  const char *errors = tsr_buffer_text(&log.errors);
  if (status != TSR_OK && *errors == '\0') errors = error.message;
  put_logs(options, errors, tsr_buffer_text(&log.infos));
  if (status != TSR_OK) {
    result = refused(status, &log, &error);
    tsr_driver_log("module refused: %.*s", (int)strcspn(errors, "\n"), errors);
  }
  tsr_ptx_log_fini(&log);
  return result;
}

// --- Modules ----------------------------------------------------------------

// Dynamic shared memory a block may ask for before the limit is raised.
static uint32_t default_dynamic(const tsr_device_model *model,
                                const tsr_kernel *kernel) {
  return kernel->static_shared >= model->shared_per_block
             ? 0
             : model->shared_per_block - kernel->static_shared;
}

static CUresult make_functions(CUmodule module) {
  const tsr_program *program = module->program;
  size_t count = program->kernel_count == 0 ? 1 : program->kernel_count;
  module->functions = tsr_calloc(count, sizeof(*module->functions));
  if (module->functions == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  for (uint32_t i = 0; i < program->kernel_count; ++i) {
    CUfunction function = &module->functions[i];
    function->module = module;
    function->kernel = &program->kernels[i];
    function->carveout = -1;
    function->max_dynamic_shared =
        default_dynamic(module->context->device->model, function->kernel);
  }
  return CUDA_SUCCESS;
}

CUresult tsr_module_load(CUcontext context, const void *image, size_t size,
                         unsigned option_count, const CUjit_option *options,
                         void **values, CUmodule *out_module) {
  jit_options jit;
  if (!read_options(option_count, options, values, &jit)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUmodule module = tsr_calloc(1, sizeof(*module));
  if (module == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  module->references = 1;
  module->context = context;
  CUresult result = load_program(context, image, size, &jit, &module->program);
  if (result == CUDA_SUCCESS) result = make_functions(module);
  if (result != CUDA_SUCCESS) {
    tsr_module_release(module);
    return result;
  }
  tsr_object_add(&module->object, TSR_OBJECT_MODULE, context);
  *out_module = module;
  return CUDA_SUCCESS;
}

void tsr_module_release(CUmodule module) {
  if (--module->references > 0) return;
  tsr_program_destroy(module->program);
  tsr_free(module->functions);
  tsr_free(module);
}

void tsr_module_unload(CUmodule module) {
  tsr_object_remove(&module->object);
  for (uint32_t i = 0; i < module->program->kernel_count; ++i) {
    if (module->functions[i].named) {
      tsr_object_remove(&module->functions[i].object);
    }
  }
  tsr_library_forget(module);
  tsr_module_release(module);
}

CUresult tsr_cuModuleLoadDataEx(CUmodule *out_module, const void *image,
                                unsigned count, CUjit_option *options,
                                void **values) {
  if (out_module == NULL || image == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result == CUDA_SUCCESS) result = tsr_capture_forbid();
  if (result != CUDA_SUCCESS) return result;
  return tsr_module_load(context, image, strlen(image), count, options, values,
                         out_module);
}

CUresult tsr_cuModuleLoadData(CUmodule *out_module, const void *image) {
  return tsr_cuModuleLoadDataEx(out_module, image, 0, NULL, NULL);
}

CUresult tsr_cuModuleLoadFatBinary(CUmodule *out_module, const void *image) {
  if (out_module == NULL || image == NULL) return CUDA_ERROR_INVALID_VALUE;
  tsr_driver_log(
      "module refused: this is a fat binary; only PTX text can be executed");
  return CUDA_ERROR_NO_BINARY_FOR_GPU;
}

CUresult tsr_file_read(const char *path, char **out_text, size_t *out_size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return CUDA_ERROR_FILE_NOT_FOUND;
  tsr_buffer text;
  tsr_buffer_init(&text);
  char part[4096];
  size_t got;
  while ((got = fread(part, 1, sizeof(part), file)) > 0) {
    tsr_buffer_append(&text, part, got);
  }
  bool damaged = ferror(file) != 0;
  (void)fclose(file);
  tsr_buffer_append_char(&text, '\0');
  if (text.failed || damaged) {
    CUresult result =
        damaged ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_ERROR_OUT_OF_MEMORY;
    tsr_buffer_fini(&text);
    return result;
  }
  *out_text = text.data;
  *out_size = text.size - 1;
  return CUDA_SUCCESS;
}

CUresult tsr_cuModuleLoad(CUmodule *out_module, const char *path) {
  if (out_module == NULL || path == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  char *text;
  size_t size;
  result = tsr_file_read(path, &text, &size);
  if (result != CUDA_SUCCESS) return result;
  result = tsr_module_load(context, text, size, 0, NULL, NULL, out_module);
  tsr_free(text);
  return result;
}

static CUmodule find_module(CUmodule handle) {
  return tsr_object_get(handle, TSR_OBJECT_MODULE);
}

CUresult tsr_cuModuleUnload(CUmodule handle) {
  CUmodule module = find_module(handle);
  if (module == NULL || module->library != NULL) {
    return CUDA_ERROR_INVALID_HANDLE;
  }
  CUresult result = tsr_capture_forbid();
  if (result == CUDA_SUCCESS) result = tsr_run_context(module->context);
  if (result == CUDA_SUCCESS) tsr_module_unload(module);
  return result;
}

CUresult tsr_cuModuleGetLoadingMode(CUmoduleLoadingMode *out_mode) {
  if (out_mode == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_mode = CU_MODULE_EAGER_LOADING;
  return CUDA_SUCCESS;
}

// --- What is in them --------------------------------------------------------

CUfunction tsr_module_function(CUmodule module, uint32_t index) {
  CUfunction function = &module->functions[index];
  if (!function->named) {
    function->named = true;
    tsr_object_add(&function->object, TSR_OBJECT_FUNCTION, module->context);
  }
  return function;
}

CUresult tsr_cuModuleGetFunction(CUfunction *out_function, CUmodule handle,
                                 const char *name) {
  if (out_function == NULL || name == NULL || *name == '\0') {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUmodule module = find_module(handle);
  if (module == NULL) return CUDA_ERROR_INVALID_HANDLE;
  const tsr_kernel *kernel = tsr_program_kernel(module->program, name);
  if (kernel == NULL) return CUDA_ERROR_NOT_FOUND;
  *out_function = tsr_module_function(
      module, (uint32_t)(kernel - module->program->kernels));
  return CUDA_SUCCESS;
}

CUresult tsr_cuModuleGetFunctionCount(unsigned *out_count, CUmodule handle) {
  if (out_count == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUmodule module = find_module(handle);
  if (module == NULL) return CUDA_ERROR_INVALID_HANDLE;
  *out_count = module->program->kernel_count;
  return CUDA_SUCCESS;
}

CUresult tsr_cuModuleEnumerateFunctions(CUfunction *out_functions,
                                        unsigned count, CUmodule handle) {
  if (out_functions == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUmodule module = find_module(handle);
  if (module == NULL) return CUDA_ERROR_INVALID_HANDLE;
  for (uint32_t i = 0; i < count && i < module->program->kernel_count; ++i) {
    out_functions[i] = tsr_module_function(module, i);
  }
  return CUDA_SUCCESS;
}

CUresult tsr_cuModuleGetGlobal_v2(CUdeviceptr *out_address, size_t *out_size,
                                  CUmodule handle, const char *name) {
  if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUmodule module = find_module(handle);
  if (module == NULL) return CUDA_ERROR_INVALID_HANDLE;
  const tsr_global *global = tsr_program_global(module->program, name);
  if (global == NULL) return CUDA_ERROR_NOT_FOUND;
  if (out_address != NULL) *out_address = global->address;
  if (out_size != NULL) *out_size = global->size;
  return CUDA_SUCCESS;
}
