// SPDX-License-Identifier: Apache-2.0
// Loads a module: parse, link, decode every body, then what only the whole
// call graph tells of a kernel (depth of its stacks, whether its blocks
// communicate).
#include <stdio.h>

#include "base/memory.h"
#include "decode/internal.h"
#include "exec/engine.h"

static bool no_memory(tsr_loader *loader) {
  loader->out_of_memory = true;
  return false;
}

static const char *copy_name(tsr_loader *loader, tsr_ptx_str name) {
  const char *copy =
      tsr_arena_strndup(&loader->program->arena, name.data, name.size);
  if (copy == NULL) (void)no_memory(loader);
  return copy;
}

// --- Target

// sm_X runs on every later device; "a" on that very one; "f" on later members
// of the same family (PTX ISA 11.1.2).
static bool runs_on(const tsr_ptx_module *module,
                    const tsr_device_model *device) {
  uint32_t have = device->sm_major * 10 + device->sm_minor;
  switch (module->target_variant) {
    case 'a':
      return module->target == have;
    case 'f':
      return module->target <= have && module->target / 10 == have / 10;
    default:
      return module->target <= have;
  }
}

// --- Kernels

static bool kernel_params(tsr_loader *loader, const tsr_ptx_function *ast,
                          tsr_kernel *kernel) {
  tsr_param *params = tsr_arena_alloc_array(
      &loader->program->arena, ast->param_count + 1, sizeof(*params));
  if (params == NULL) return no_memory(loader);
  uint64_t offset = 0;
  for (uint32_t i = 0; i < ast->param_count; ++i) {
    const tsr_ptx_variable *one = &ast->params[i];
    offset = tsr_round_up(offset, one->align);
    uint64_t size = tsr_variable_bytes(loader, one);
    // 32,764 bytes: PTX ISA 5.1.6.1, from sm_70 on.
    if (offset + size > 32764) {
      tsr_ptx_log_error(loader->log, one->pos,
                        "parameters of '%.*s' take more than 32764 bytes",
                        (int)ast->name.size, ast->name.data);
      return true;
    }
    params[i] = (tsr_param){.name = copy_name(loader, one->name),
                            .offset = (uint32_t)offset,
                            .size = (uint32_t)size,
                            .align = one->align};
    if (params[i].name == NULL) return false;
    offset += size;
  }
  kernel->params = params;
  kernel->param_count = ast->param_count;
  kernel->params_size = (uint32_t)offset;
  return true;
}

static bool decode_kernel(tsr_loader *loader, const tsr_ptx_function *ast,
                          tsr_kernel *kernel, tsr_body *body) {
  kernel->program = loader->program;
  kernel->ptx_version = loader->program->ptx_version;
  kernel->function.name = copy_name(loader, ast->name);
  for (int i = 0; i < 3; ++i) {
    kernel->max_threads[i] = ast->max_threads[i];
    kernel->required_threads[i] = ast->required_threads[i];
    kernel->required_cluster[i] = ast->required_cluster[i];
  }
  kernel->min_blocks = ast->min_blocks;
  kernel->max_registers = ast->max_registers;
  uint32_t errors = loader->log->error_count;
  if (kernel->function.name == NULL || !kernel_params(loader, ast, kernel) ||
      !tsr_link_shared(loader, ast, body, kernel)) {
    return false;
  }
  if (loader->log->error_count != errors) return true;
  return tsr_decode_function_body(loader, ast, NULL, kernel, &kernel->function,
                                  body);
}

// --- The call graph

enum { NOT_SEEN, OPEN, DONE };
enum {
  SYSTEM_BYTES = 256,  // arguments of the system's functions
  // A thread's stack where functions recurse; a device's default is 1 KiB
  // (cuCtxSetLimit), and one that overflows it must show.
  RECURSION_BYTES = 64 * 1024,
};

typedef struct depth {
  uint64_t units, local;
} depth;

typedef struct walk {
  tsr_loader *loader;
  depth *deepest;  // per callee
  bool cyclic;
  uint32_t max_units, max_local;  // of any frame seen
  bool communicates, waits, launches;
} walk;

static depth walk_body(walk *w, tsr_body *body);

static depth walk_callee(walk *w, uint32_t index) {
  tsr_body *body = &w->loader->bodies[index];
  if (body->state == OPEN) {
    w->cyclic = true;
    return (depth){0, 0};
  }
  if (body->state == NOT_SEEN) {
    body->state = OPEN;
    w->deepest[index] = walk_body(w, body);
    body->state = DONE;
  }
  return w->deepest[index];
}

static void deepen(depth *most, depth one) {
  if (one.units > most->units) most->units = one.units;
  if (one.local > most->local) most->local = one.local;
}

static depth walk_body(walk *w, tsr_body *body) {
  depth most = {0, 0};
  w->communicates |= body->communicates;
  w->waits |= body->waits_dependents;
  w->launches |= body->launches_dependents;
  if (body->units > w->max_units) w->max_units = body->units;
  if (body->local_bytes > w->max_local) w->max_local = body->local_bytes;
  if (body->calls_system) most.local = SYSTEM_BYTES;
  for (uint32_t i = 0; i < body->callee_count; ++i) {
    deepen(&most, walk_callee(w, body->callees[i]));
  }
  for (uint32_t i = 0; body->calls_indirectly && i < w->loader->callee_count;
       ++i) {
    if (w->loader->callees[i].address_used) deepen(&most, walk_callee(w, i));
  }
  return (depth){most.units + body->units, most.local + body->local_bytes};
}

static void close_kernel(walk *w, tsr_kernel *kernel, tsr_body *body) {
  for (uint32_t i = 0; i < w->loader->callee_count; ++i) {
    w->loader->bodies[i].state = NOT_SEEN;
  }
  w->cyclic = w->communicates = w->waits = w->launches = false;
  w->max_units = w->max_local = 0;
  depth most = walk_body(w, body);
  uint64_t frames = TSR_CALL_DEPTH + 1;
  if (w->cyclic) {  // as deep as the engine goes, or as the stack is large
    uint64_t stack = RECURSION_BYTES > 2 * (uint64_t)w->max_local
                         ? RECURSION_BYTES
                         : 2 * (uint64_t)w->max_local;
    most = (depth){frames * w->max_units, frames * w->max_local + SYSTEM_BYTES};
    if (most.local > stack) most.local = stack;
  }
  kernel->stack_units = (uint32_t)most.units;
  kernel->local_bytes = (uint32_t)most.local;
  kernel->communicates = w->communicates;
  kernel->uses_dependents_wait = w->waits;
  kernel->launches_dependents = w->launches;
}

// --- Bodies

static bool make_functions(tsr_loader *loader) {
  tsr_program *program = loader->program;
  const tsr_function **list = tsr_arena_alloc_array(
      &program->arena, loader->callee_count + 1, sizeof(const tsr_function *));
  if (list == NULL) return no_memory(loader);
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    tsr_callee *callee = &loader->callees[i];
    if (callee->ast->is_entry || !callee->ast->has_body) continue;
    callee->function =
        tsr_arena_alloc(&program->arena, sizeof(*callee->function));
    tsr_signature *signature =
        tsr_arena_alloc(&program->arena, sizeof(*signature));
    if (callee->function == NULL || signature == NULL) {
      return no_memory(loader);
    }
    *signature = callee->signature;
    callee->function->signature = signature;
    callee->function->name = copy_name(loader, callee->ast->name);
    if (callee->function->name == NULL) return false;
    list[i] = callee->function;
  }
  program->functions = list;
  program->function_count = loader->callee_count;
  return true;
}

static bool decode_functions(tsr_loader *loader) {
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    tsr_callee *callee = &loader->callees[i];
    if (callee->function == NULL) continue;
    if (!tsr_decode_function_body(loader, callee->ast, &callee->signature, NULL,
                                  callee->function, &loader->bodies[i])) {
      return false;
    }
  }
  return true;
}

static bool decode_kernels(tsr_loader *loader) {
  tsr_program *program = loader->program;
  uint32_t count = 0;
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    count += loader->callees[i].ast->is_entry;
  }
  tsr_kernel *kernels =
      tsr_arena_alloc_array(&program->arena, count + 1, sizeof(*kernels));
  if (kernels == NULL) return no_memory(loader);
  program->kernels = loader->kernels = kernels;
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    const tsr_ptx_function *ast = loader->callees[i].ast;
    if (!ast->is_entry) continue;
    if (!ast->has_body) {
      tsr_ptx_log_error(loader->log, ast->pos, "entry '%.*s' has no body",
                        (int)ast->name.size, ast->name.data);
      continue;
    }
    if (!decode_kernel(loader, ast, &kernels[program->kernel_count++],
                       &loader->bodies[i])) {
      return false;
    }
  }
  return true;
}

static bool close_kernels(tsr_loader *loader) {
  walk w = {.loader = loader};
  w.deepest = tsr_arena_alloc_array(&loader->scratch, loader->callee_count + 1,
                                    sizeof(*w.deepest));
  if (w.deepest == NULL) return no_memory(loader);
  uint32_t kernel = 0;
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    if (!loader->callees[i].ast->is_entry) continue;
    close_kernel(&w, &loader->kernels[kernel++], &loader->bodies[i]);
  }
  return true;
}

// Every frame begins at a multiple of the largest alignment in any.
static void align_frames(tsr_loader *loader) {
  loader->frame_align = 16;
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    const tsr_ptx_function *ast = loader->callees[i].ast;
    for (uint32_t k = 0; k < ast->statement_count; ++k) {
      const tsr_ptx_statement *statement = &ast->statements[k];
      if (statement->kind == TSR_PTX_STATEMENT_VARIABLE &&
          statement->as.variable.space != TSR_PTX_SPACE_SHARED &&
          statement->as.variable.align > loader->frame_align) {
        loader->frame_align = statement->as.variable.align;
      }
    }
  }
}

static bool build(tsr_loader *loader) {
  if (!tsr_link_declare(loader)) return false;
  loader->bodies = tsr_arena_alloc_array(
      &loader->scratch, loader->callee_count + 1, sizeof(*loader->bodies));
  loader->opcodes = tsr_opcode_table_make(loader);
  if (loader->bodies == NULL || loader->opcodes == NULL) {
    return no_memory(loader);
  }
  align_frames(loader);
  if (!tsr_link_place(loader) || !make_functions(loader) ||
      !tsr_link_common_shared(loader) || !decode_functions(loader) ||
      !decode_kernels(loader)) {
    return false;
  }
  return loader->log->error_count > 0 || close_kernels(loader);
}

// --- Loading

static tsr_status check_module(tsr_loader *loader) {
  const tsr_ptx_module *module = loader->module;
  tsr_program *program = loader->program;
  program->ptx_version = module->version_major * 10 + module->version_minor;
  program->target = module->target;
  program->target_variant = module->target_variant;
  if (!runs_on(module, loader->device)) {
    return tsr_error_set(loader->error, TSR_MISMATCH,
                         "the module is for %.*s, the device is sm_%u%u",
                         (int)module->target_name.size,
                         module->target_name.data, loader->device->sm_major,
                         loader->device->sm_minor);
  }
  return TSR_OK;
}

static tsr_status load(tsr_loader *loader, const char *text, uint64_t size) {
  tsr_status status = tsr_ptx_parse(text, size, &loader->scratch, loader->log,
                                    &loader->module, loader->error);
  if (status == TSR_OK) status = check_module(loader);
  if (status != TSR_OK) return status;
  if (!build(loader) || loader->out_of_memory) {
    return tsr_error_out_of_memory(loader->error);
  }
  if (loader->log->error_count > 0) {
    return tsr_error_set(loader->error, TSR_CORRUPT,
                         "PTX: %u mistakes; see "
                         "the log",
                         loader->log->error_count);
  }
  return TSR_OK;
}

tsr_status tsr_program_load(const char *text, uint64_t size,
                            const tsr_device_model *device, tsr_heap *heap,
                            tsr_ptx_log *log, tsr_program **out_program,
                            tsr_error *error) {
  *out_program = NULL;
  tsr_program *program = tsr_calloc(1, sizeof(*program));
  if (program == NULL) return tsr_error_out_of_memory(error);
  tsr_arena_init(&program->arena);
  program->heap = heap;
  tsr_error unused = {0};
  tsr_loader loader = {.program = program,
                       .device = device,
                       .log = log,
                       .error = error != NULL ? error : &unused};
  tsr_arena_init(&loader.scratch);
  tsr_status status = load(&loader, text, size);
  tsr_symbols_fini(&loader.symbols);
  tsr_arena_fini(&loader.scratch);
  if (status == TSR_OK) {
    *out_program = program;
  } else {
    tsr_program_destroy(program);
  }
  return status;
}

void tsr_program_destroy(tsr_program *program) {
  if (program == NULL) return;
  for (uint32_t i = 0; i < program->global_count; ++i) {
    (void)tsr_heap_free(program->heap, program->globals[i].address);
  }
  tsr_arena_fini(&program->arena);
  tsr_free(program);
}

const tsr_kernel *tsr_program_kernel(const tsr_program *program,
                                     const char *name) {
  for (uint32_t i = 0; i < program->kernel_count; ++i) {
    if (strcmp(program->kernels[i].function.name, name) == 0) {
      return &program->kernels[i];
    }
  }
  return NULL;
}

const tsr_global *tsr_program_global(const tsr_program *program,
                                     const char *name) {
  for (uint32_t i = 0; i < program->global_count; ++i) {
    if (strcmp(program->globals[i].name, name) == 0) {
      return &program->globals[i];
    }
  }
  return NULL;
}
