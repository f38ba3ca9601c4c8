// SPDX-License-Identifier: Apache-2.0
// Libraries (text that becomes a module in each context that asks for it) and
// the linker, which only hands PTX on: one text in, the same text out.
#include "base/memory.h"
#include "driver/driver.h"

struct CUkern_st {
  tsr_object object;
  CUkernel next;
  CUlibrary library;
  char *name;
};

struct CUlib_st {
  tsr_object object;
  char *text;
  size_t size;
  CUkernel kernels;
};

static CUlibrary find_library(CUlibrary handle) {
  return tsr_object_get(handle, TSR_OBJECT_LIBRARY);
}

// The library's module in |context|; loads it when there is none yet.
static CUresult instance(CUlibrary library, CUcontext context,
                         CUmodule *out_module) {
  for (CUmodule at = context->instances; at != NULL; at = at->next_instance) {
    if (at->library != library) continue;
    *out_module = at;
    return CUDA_SUCCESS;
  }
  CUmodule module = NULL;
  CUresult result = tsr_module_load(context, library->text, library->size, 0,
                                    NULL, NULL, &module);
  if (result != CUDA_SUCCESS) return result;
  module->library = library;
  module->next_instance = context->instances;
  context->instances = module;
  *out_module = module;
  return CUDA_SUCCESS;
}

static CUresult current_instance(CUlibrary library, CUmodule *out_module) {
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  return instance(library, context, out_module);
}

void tsr_library_forget(CUmodule module) {
  if (module->library == NULL) return;
  CUmodule *link = &module->context->instances;
  while (*link != module) link = &(*link)->next_instance;
  *link = module->next_instance;
}

void tsr_library_destroy(CUlibrary library) {
  tsr_object_remove(&library->object);
  CUcontext context;
  for (context = tsr_the.contexts; context != NULL; context = context->next) {
    for (CUmodule at = context->instances; at != NULL;) {
      CUmodule next = at->next_instance;
      if (at->library == library) tsr_module_unload(at);
      at = next;
    }
  }
  while (library->kernels != NULL) {
    CUkernel kernel = library->kernels;
    library->kernels = kernel->next;
    tsr_object_remove(&kernel->object);
    tsr_free(kernel->name);
    tsr_free(kernel);
  }
  tsr_free(library->text);
  tsr_free(library);
}

// Libraries of programs that the vendor's compiler made carry fat binaries;
// text is checked when a context is current.
CUresult tsr_cuLibraryLoadData(CUlibrary *out_library, const void *image,
                               CUjit_option *options, void **values,
                               unsigned count, CUlibraryOption *library_options,
                               void **library_values, unsigned library_count) {
  if (out_library == NULL || image == NULL ||
      (library_count > 0 &&
       (library_options == NULL || library_values == NULL))) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUlibrary library = tsr_calloc(1, sizeof(*library));
  char *text = tsr_strdup(image);
  if (library == NULL || text == NULL) {
    tsr_free(library);
    tsr_free(text);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  library->text = text;
  library->size = strlen(text);
  tsr_object_add(&library->object, TSR_OBJECT_LIBRARY, NULL);
  CUcontext context;
  if (tsr_ctx_current(&context) == CUDA_SUCCESS) {
    CUmodule module = NULL;
    CUresult result = tsr_module_load(context, text, library->size, count,
                                      options, values, &module);
    if (result != CUDA_SUCCESS) {
      tsr_library_destroy(library);
      return result;
    }
    module->library = library;
    module->next_instance = context->instances;
    context->instances = module;
  }
  *out_library = library;
  return CUDA_SUCCESS;
}

CUresult tsr_cuLibraryLoadFromFile(CUlibrary *out_library, const char *path,
                                   CUjit_option *options, void **values,
                                   unsigned count,
                                   CUlibraryOption *library_options,
                                   void **library_values,
                                   unsigned library_count) {
  if (out_library == NULL || path == NULL) return CUDA_ERROR_INVALID_VALUE;
  char *text;
  size_t size;
  CUresult result = tsr_file_read(path, &text, &size);
  if (result != CUDA_SUCCESS) return result;
  result =
      tsr_cuLibraryLoadData(out_library, text, options, values, count,
                            library_options, library_values, library_count);
  tsr_free(text);
  return result;
}

CUresult tsr_cuLibraryUnload(CUlibrary handle) {
  CUlibrary library = find_library(handle);
  if (library == NULL) return CUDA_ERROR_INVALID_HANDLE;
  tsr_run_all();
  tsr_library_destroy(library);
  return CUDA_SUCCESS;
}

static CUresult get_kernel(CUlibrary library, const char *name,
                           CUkernel *out_kernel) {
  for (CUkernel at = library->kernels; at != NULL; at = at->next) {
    if (strcmp(at->name, name) == 0) return *out_kernel = at, CUDA_SUCCESS;
  }
  CUkernel kernel = tsr_calloc(1, sizeof(*kernel));
  char *copy = tsr_strdup(name);
  if (kernel == NULL || copy == NULL) {
    tsr_free(kernel);
    tsr_free(copy);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  kernel->library = library;
  kernel->name = copy;
  kernel->next = library->kernels;
  library->kernels = kernel;
  tsr_object_add(&kernel->object, TSR_OBJECT_KERNEL, NULL);
  *out_kernel = kernel;
  return CUDA_SUCCESS;
}

// Some context of device 0 or the current one to look into the text with.
static CUresult any_instance(CUlibrary library, CUmodule *out_module) {
  CUcontext context;
  if (tsr_ctx_current(&context) != CUDA_SUCCESS) {
    for (context = tsr_the.contexts; context != NULL; context = context->next) {
      if (context->fault == CUDA_SUCCESS) break;
    }
    if (context == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  }
  return instance(library, context, out_module);
}

CUresult tsr_cuLibraryGetKernel(CUkernel *out_kernel, CUlibrary handle,
                                const char *name) {
  if (out_kernel == NULL || name == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUlibrary library = find_library(handle);
  if (library == NULL) return CUDA_ERROR_INVALID_HANDLE;
  CUmodule module = NULL;
  CUresult result = any_instance(library, &module);
  if (result != CUDA_SUCCESS) return result;
  if (tsr_program_kernel(module->program, name) == NULL) {
    return CUDA_ERROR_NOT_FOUND;
  }
  return get_kernel(library, name, out_kernel);
}

CUresult tsr_cuLibraryGetKernelCount(unsigned *out_count, CUlibrary handle) {
  if (out_count == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUlibrary library = find_library(handle);
  if (library == NULL) return CUDA_ERROR_INVALID_HANDLE;
  CUmodule module = NULL;
  CUresult result = any_instance(library, &module);
  if (result == CUDA_SUCCESS) *out_count = module->program->kernel_count;
  return result;
}

CUresult tsr_cuLibraryEnumerateKernels(CUkernel *out_kernels, unsigned count,
                                       CUlibrary handle) {
  if (out_kernels == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUlibrary library = find_library(handle);
  if (library == NULL) return CUDA_ERROR_INVALID_HANDLE;
  CUmodule module = NULL;
  CUresult result = any_instance(library, &module);
  for (uint32_t i = 0;
       result == CUDA_SUCCESS && i < count && i < module->program->kernel_count;
       ++i) {
    result = get_kernel(library, module->program->kernels[i].function.name,
                        &out_kernels[i]);
  }
  return result;
}

CUresult tsr_cuLibraryGetModule(CUmodule *out_module, CUlibrary handle) {
  if (out_module == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUlibrary library = find_library(handle);
  if (library == NULL) return CUDA_ERROR_INVALID_HANDLE;
  return current_instance(library, out_module);
}

CUresult tsr_cuLibraryGetGlobal(CUdeviceptr *out_address, size_t *out_size,
                                CUlibrary handle, const char *name) {
  CUmodule module = NULL;
  CUresult result = tsr_cuLibraryGetModule(&module, handle);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuModuleGetGlobal_v2(out_address, out_size, module, name);
}

// Managed variables are not part of PTX text as such: none is found.
CUresult tsr_cuLibraryGetManaged(CUdeviceptr *out_address, size_t *out_size,
                                 CUlibrary handle, const char *name) {
  (void)out_address, (void)out_size;
  if (name == NULL) return CUDA_ERROR_INVALID_VALUE;
  return find_library(handle) == NULL ? CUDA_ERROR_INVALID_HANDLE
                                      : CUDA_ERROR_NOT_FOUND;
}

// --- Kernels ----------------------------------------------------------------

static CUresult kernel_function(CUkernel kernel, CUfunction *out_function) {
  CUmodule module = NULL;
  CUresult result = current_instance(kernel->library, &module);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuModuleGetFunction(out_function, module, kernel->name);
}

CUresult tsr_function_get(CUfunction handle, CUfunction *out_function) {
  *out_function = tsr_object_get(handle, TSR_OBJECT_FUNCTION);
  if (*out_function != NULL) return CUDA_SUCCESS;
  CUkernel kernel = tsr_object_get(handle, TSR_OBJECT_KERNEL);
  if (kernel == NULL) return CUDA_ERROR_INVALID_HANDLE;
  return kernel_function(kernel, out_function);
}

static CUkernel find_kernel(CUkernel handle) {
  return tsr_object_get(handle, TSR_OBJECT_KERNEL);
}

CUresult tsr_cuKernelGetFunction(CUfunction *out_function, CUkernel handle) {
  if (out_function == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUkernel kernel = find_kernel(handle);
  if (kernel == NULL) return CUDA_ERROR_INVALID_HANDLE;
  return kernel_function(kernel, out_function);
}

CUresult tsr_cuKernelGetLibrary(CUlibrary *out_library, CUkernel handle) {
  if (out_library == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUkernel kernel = find_kernel(handle);
  if (kernel == NULL) return CUDA_ERROR_INVALID_HANDLE;
  *out_library = kernel->library;
  return CUDA_SUCCESS;
}

CUresult tsr_cuKernelGetName(const char **out_name, CUkernel handle) {
  if (out_name == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUkernel kernel = find_kernel(handle);
  if (kernel == NULL) return CUDA_ERROR_INVALID_HANDLE;
  *out_name = kernel->name;
  return CUDA_SUCCESS;
}

// The kernel as a function of |ordinal|'s primary or current context.
static CUresult function_on(CUkernel handle, CUdevice ordinal,
                            CUfunction *out_function) {
  CUkernel kernel = find_kernel(handle);
  if (kernel == NULL) return CUDA_ERROR_INVALID_HANDLE;
  tsr_device *device = tsr_device_get(ordinal);
  if (device == NULL) return CUDA_ERROR_INVALID_DEVICE;
  CUcontext context;
  if (tsr_ctx_current(&context) != CUDA_SUCCESS || context->device != device) {
    context = device->primary;
  }
  if (context == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  CUmodule module = NULL;
  CUresult result = instance(kernel->library, context, &module);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuModuleGetFunction(out_function, module, kernel->name);
}

CUresult tsr_cuKernelGetAttribute(int *out_value, CUfunction_attribute name,
                                  CUkernel handle, CUdevice ordinal) {
  CUfunction function = NULL;
  CUresult result = function_on(handle, ordinal, &function);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuFuncGetAttribute(out_value, name, function);
}

CUresult tsr_cuKernelSetAttribute(CUfunction_attribute name, int value,
                                  CUkernel handle, CUdevice ordinal) {
  CUfunction function = NULL;
  CUresult result = function_on(handle, ordinal, &function);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuFuncSetAttribute(function, name, value);
}

CUresult tsr_cuKernelSetCacheConfig(CUkernel handle, CUfunc_cache cache,
                                    CUdevice ordinal) {
  CUfunction function = NULL;
  CUresult result = function_on(handle, ordinal, &function);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuFuncSetCacheConfig(function, cache);
}

CUresult tsr_cuKernelGetParamInfo(CUkernel handle, size_t index,
                                  size_t *out_offset, size_t *out_size) {
  CUkernel kernel = find_kernel(handle);
  if (kernel == NULL) return CUDA_ERROR_INVALID_HANDLE;
  CUmodule module = NULL;
  CUresult result = any_instance(kernel->library, &module);
  if (result != CUDA_SUCCESS) return result;
  CUfunction function = NULL;
  result = tsr_cuModuleGetFunction(&function, module, kernel->name);
  if (result != CUDA_SUCCESS) return result;
  return tsr_cuFuncGetParamInfo(function, index, out_offset, out_size);
}

// --- The linker -------------------------------------------------------------

struct CUlinkState_st {
  tsr_object object;
  char *text;  // NULL until something was added
  size_t size;
};

CUresult tsr_cuLinkCreate_v2(unsigned count, CUjit_option *options,
                             void **values, CUlinkState *out_link) {
  if (out_link == NULL || (count > 0 && (options == NULL || values == NULL))) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUcontext context;
  CUresult result = tsr_ctx_current(&context);
  if (result != CUDA_SUCCESS) return result;
  CUlinkState link = tsr_calloc(1, sizeof(*link));
  if (link == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  tsr_object_add(&link->object, TSR_OBJECT_LINK, NULL);
  *out_link = link;
  return CUDA_SUCCESS;
}

CUresult tsr_cuLinkAddData_v2(CUlinkState handle, CUjitInputType type,
                              void *data, size_t size, const char *name,
                              unsigned count, CUjit_option *options,
                              void **values) {
  (void)name, (void)count, (void)options, (void)values;
  CUlinkState link = tsr_object_get(handle, TSR_OBJECT_LINK);
  if (link == NULL) return CUDA_ERROR_INVALID_HANDLE;
  if (data == NULL || size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_JIT_INPUT_PTX) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  if (link->text != NULL) {
    tsr_driver_log("linking several texts into one module is not done");
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  char *text = tsr_malloc(size + 1);
  if (text == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  memcpy(text, data, size);
  text[size] = '\0';
  link->text = text;
  link->size = strlen(text);
  return CUDA_SUCCESS;
}

CUresult tsr_cuLinkAddFile_v2(CUlinkState handle, CUjitInputType type,
                              const char *path, unsigned count,
                              CUjit_option *options, void **values) {
  if (path == NULL) return CUDA_ERROR_INVALID_VALUE;
  char *text;
  size_t size;
  CUresult result = tsr_file_read(path, &text, &size);
  if (result != CUDA_SUCCESS) return result;
  result = tsr_cuLinkAddData_v2(handle, type, text, size, path, count, options,
                                values);
  tsr_free(text);
  return result;
}

// The result belongs to the link, as the driver's does.
CUresult tsr_cuLinkComplete(CUlinkState handle, void **out_image,
                            size_t *out_size) {
  CUlinkState link = tsr_object_get(handle, TSR_OBJECT_LINK);
  if (link == NULL) return CUDA_ERROR_INVALID_HANDLE;
  if (out_image == NULL || link->text == NULL) return CUDA_ERROR_INVALID_VALUE;
  *out_image = link->text;
  if (out_size != NULL) *out_size = link->size + 1;
  return CUDA_SUCCESS;
}

void tsr_link_destroy(CUlinkState link) {
  tsr_object_remove(&link->object);
  tsr_free(link->text);
  tsr_free(link);
}

CUresult tsr_cuLinkDestroy(CUlinkState handle) {
  CUlinkState link = tsr_object_get(handle, TSR_OBJECT_LINK);
  if (link == NULL) return CUDA_ERROR_INVALID_HANDLE;
  tsr_link_destroy(link);
  return CUDA_SUCCESS;
}
