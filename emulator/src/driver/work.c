// SPDX-License-Identifier: Apache-2.0
// What operations of streams do when their turn comes. Work is never changed
// once made and counts its references: graphs and their launches share it.
#include "base/memory.h"
#include "driver/driver.h"

// Virtual seconds of what is not a kernel: a fixed cost and a rate. Pinned
// memory is reached at what a PCIe 4.0 x16 slot gives.
#define LAUNCH_SECONDS 2e-6
#define HOST_BYTES_PER_SECOND 25e9

tsr_work *tsr_work_create(tsr_work_kind kind, CUcontext context) {
  tsr_work *work = tsr_calloc(1, sizeof(*work));
  if (work == NULL) return NULL;
  work->kind = kind;
  work->references = 1;
  work->context = context;
  return work;
}

void tsr_work_retain(tsr_work *work) {
  ++work->references;
}

void tsr_event_release(CUevent event) {
  if (--event->references > 0) return;
  tsr_operation_release(event->operation);
  tsr_free(event->nodes);
  tsr_free(event);
}

void tsr_work_release(tsr_work *work) {
  if (work == NULL || --work->references > 0) return;
  switch (work->kind) {
    case TSR_WORK_KERNEL:
      tsr_free(work->as.kernel.params);
      tsr_module_release(work->as.kernel.function->module);
      break;
    case TSR_WORK_COPY:
      tsr_free(work->as.copy.snapshot);
      break;
    case TSR_WORK_RECORD:
    case TSR_WORK_WAIT:
      tsr_event_release(work->as.event);
      break;
    case TSR_WORK_GRAPH:
      for (uint32_t i = 0; i < work->as.graph.count; ++i) {
        tsr_work_release(work->as.graph.works[i]);
      }
      tsr_free(work->as.graph.works);
      break;
    default:
      break;
  }
  tsr_free(work);
}

// --- Copies and fills -------------------------------------------------------

// Still there? Memory may have been freed in the order of another stream.
static bool is_there(uint64_t address, uint64_t size) {
  tsr_place_kind kind;
  return tsr_memory_place(address, size, &kind) && kind != TSR_PLACE_PAGEABLE;
}

static CUresult run_copy(const tsr_copy *copy, double bandwidth,
                         double *out_seconds) {
  uint64_t extent = (copy->height - 1), last = copy->depth - 1;
  uint64_t read =
      last * copy->source_slice + extent * copy->source_pitch + copy->width;
  uint64_t written =
      last * copy->target_slice + extent * copy->target_pitch + copy->width;
  if ((copy->source_checked && !is_there(copy->source, read)) ||
      (copy->target_checked && !is_there(copy->target, written))) {
    tsr_driver_log("a copy of %llu bytes uses memory that was freed",
                   (unsigned long long)copy->width);
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  for (uint64_t z = 0; z < copy->depth; ++z) {
    for (uint64_t y = 0; y < copy->height; ++y) {
      uint64_t from =
          copy->source + z * copy->source_slice + y * copy->source_pitch;
      uint64_t to =
          copy->target + z * copy->target_slice + y * copy->target_pitch;
      memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from,
              copy->width);
      if (copy->target_checked) tsr_memory_wrote(to, copy->width);
    }
  }
  double bytes =
      (double)copy->width * (double)copy->height * (double)copy->depth;
  bool inside = copy->source_checked && copy->target_checked;
  *out_seconds =
      LAUNCH_SECONDS + bytes / (inside ? bandwidth / 2 : HOST_BYTES_PER_SECOND);
  return CUDA_SUCCESS;
}

static void fill_row(unsigned char *row, uint32_t value, uint32_t size,
                     uint64_t count) {
  if (size == 1) {
    memset(row, (int)(value & 0xff), count);
    return;
  }
  uint16_t half = (uint16_t)value;
  for (uint64_t i = 0; i < count; ++i) {
    memcpy(row + i * size, size == 2 ? (const void *)&half : &value, size);
  }
}

static CUresult run_fill(const tsr_work *work, double *out_seconds) {
  uint64_t row = work->as.fill.width * work->as.fill.element_size;
  uint64_t last = (work->as.fill.height - 1) * work->as.fill.pitch;
  if (!is_there(work->as.fill.target, last + row)) {
    tsr_driver_log("a fill uses memory that was freed");
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  for (uint64_t y = 0; y < work->as.fill.height; ++y) {
    uint64_t start = work->as.fill.target + y * work->as.fill.pitch;
    fill_row((unsigned char *)(uintptr_t)start, work->as.fill.value,
             work->as.fill.element_size, work->as.fill.width);
    tsr_memory_wrote(start, row);
  }
  *out_seconds = LAUNCH_SECONDS + (double)row * (double)work->as.fill.height /
                                      work->context->device->model->bandwidth;
  return CUDA_SUCCESS;
}

// --- Kernels ----------------------------------------------------------------

// Whether the launch's finding of |kind| says |words|: some kinds stand for
// several of the driver's codes.
static bool fault_says(const tsr_launch *launch, tessera_emu_finding_kind kind,
                       const char *words) {
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  for (size_t i = 0; tsr_report_get(tsr_the.report, i, &finding); ++i) {
    if (finding.launch == launch->number && finding.kind == kind &&
        strstr(finding.message, words) != NULL) {
      return true;
    }
  }
  return false;
}

static CUresult result_of_illegal(const tsr_launch *launch) {
  static const struct {
    const char *words;
    CUresult result;
  } kinds[] = {
      {"calls nest", CUDA_ERROR_HARDWARE_STACK_ERROR},
      {"call of what is no function", CUDA_ERROR_INVALID_PC},
      {"not in shared memory", CUDA_ERROR_INVALID_ADDRESS_SPACE},
  };
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
    if (fault_says(launch, TESSERA_EMU_ILLEGAL, kinds[i].words)) {
      return kinds[i].result;
    }
  }
  return CUDA_ERROR_ILLEGAL_INSTRUCTION;
}

static CUresult result_of_fault(const tsr_launch *launch) {
  switch (launch->fault) {
    case TESSERA_EMU_OUT_OF_BOUNDS:
    case TESSERA_EMU_READ_ONLY:
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    case TESSERA_EMU_MISALIGNED:
      return CUDA_ERROR_MISALIGNED_ADDRESS;
    case TESSERA_EMU_ILLEGAL:
      return result_of_illegal(launch);
    case TESSERA_EMU_TRAP:
      return fault_says(launch, TESSERA_EMU_TRAP, "assertion failed")
                 ? CUDA_ERROR_ASSERT
                 : CUDA_ERROR_LAUNCH_FAILED;
    case TESSERA_EMU_DEADLOCK:  // hardware would wait for ever
    case TESSERA_EMU_TIMEOUT:
      return CUDA_ERROR_LAUNCH_TIMEOUT;
    default:
      return CUDA_ERROR_LAUNCH_FAILED;
  }
}

static void make_launch(const tsr_work *work, tsr_launch *launch) {
  const tsr_device *device = work->context->device;
  memset(launch, 0, sizeof(*launch));
  launch->kernel = work->as.kernel.function->kernel;
  launch->device = device->model;
  launch->config = tsr_the.config;
  launch->number = ++tsr_the.next_launch;
  launch->threads = 1;
  for (int i = 0; i < 3; ++i) {
    launch->grid[i] = work->as.kernel.grid[i];
    launch->block[i] = work->as.kernel.block[i];
    launch->threads *= launch->block[i];
  }
  launch->warps = (launch->threads + TSR_LANES - 1) / TSR_LANES;
  launch->dynamic_shared = work->as.kernel.dynamic_shared;
  launch->params = work->as.kernel.params;
  launch->params_size = launch->kernel->params_size;
  launch->heap = device->heap;
  launch->report = tsr_the.report;
}

// Keeps what was counted and says how the launch ended.
static CUresult end_launch(const tsr_launch *launch) {
  tsr_driver_keep_profile(&launch->profile);
  if (launch->fault != 0) return result_of_fault(launch);
  if (launch->config.findings_fail != 0 && launch->findings > 0) {
    return CUDA_ERROR_LAUNCH_FAILED;
  }
  return CUDA_SUCCESS;
}

static CUresult engine_failed(tsr_status status, const tsr_error *error) {
  tsr_driver_log("launch not executed: %s", error->message);
  return tsr_result_of(status);
}

// What cooperative groups expect behind %envreg1 and %envreg2: the number of
// bytes, then the word that blocks meet at (cooperative_groups.h).
static tsr_status make_workspace(tsr_launch *launch, tsr_error *error) {
  const uint32_t words[2] = {sizeof(words), 0};
  tsr_status status =
      tsr_heap_allocate(launch->heap, sizeof(words), TSR_HEAP_DATA,
                        &launch->grid_workspace, error);
  if (status != TSR_OK) return status;
  memcpy((void *)(uintptr_t)launch->grid_workspace, words, sizeof(words));
  tsr_heap_mark_written(launch->heap, launch->grid_workspace, sizeof(words));
  return TSR_OK;
}

static CUresult run_kernel(const tsr_work *work, double *out_seconds) {
  tsr_launch launch;
  make_launch(work, &launch);
  tsr_error error = {0};
  tsr_status status = TSR_OK;
  if (work->as.kernel.cooperative) status = make_workspace(&launch, &error);
  if (status == TSR_OK) status = tsr_engine_run(&launch, &error);
  if (launch.grid_workspace != 0) {
    (void)tsr_heap_free(launch.heap, launch.grid_workspace);
  }
  if (status != TSR_OK) return engine_failed(status, &error);
  *out_seconds = LAUNCH_SECONDS + launch.profile.modelled_seconds;
  return end_launch(&launch);
}

CUresult tsr_work_run_pair(tsr_work *first, tsr_work *second,
                           double *out_seconds) {
  tsr_launch launches[2];
  make_launch(first, &launches[0]);
  make_launch(second, &launches[1]);
  tsr_error error = {0};
  tsr_status status =
      tsr_engine_run_dependent(&launches[0], &launches[1], &error);
  if (status != TSR_OK) return engine_failed(status, &error);
  *out_seconds = LAUNCH_SECONDS + launches[0].profile.modelled_seconds +
                 launches[1].profile.modelled_seconds;
  CUresult result = end_launch(&launches[0]);
  CUresult other = end_launch(&launches[1]);
  return result != CUDA_SUCCESS ? result : other;
}

// --- The rest ---------------------------------------------------------------

// The program's function runs without the lock, but may not call the driver.
static CUresult run_host(const tsr_work *work, CUstream stream) {
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult fault = work->context->fault;
  thread->in_callback = true;
  tsr_driver_unlock();
  if (work->kind == TSR_WORK_HOST) {
    work->as.host.function(work->as.host.data);
  } else {
    CUstream handle = stream == stream->context->legacy ? NULL : stream;
    work->as.host.callback(handle, fault, work->as.host.data);
  }
  tsr_driver_lock();
  thread->in_callback = false;
  return CUDA_SUCCESS;
}

bool tsr_work_ready(const tsr_work *work) {
  if (work->kind != TSR_WORK_WAIT_VALUE) return true;
  uint64_t size = work->as.value.size;
  if (!is_there(work->as.value.address, size)) return true;  // fails when run
  uint64_t now, want = work->as.value.value;
  const void *at = (const void *)(uintptr_t)work->as.value.address;
  bool wide = size == 8;
  now = wide ? __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE)
             : __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
  switch (work->as.value.flags & 3) {
    case CU_STREAM_WAIT_VALUE_GEQ:  // cyclic: the difference is not negative
      return wide ? (int64_t)(now - want) >= 0
                  : (int32_t)((uint32_t)now - (uint32_t)want) >= 0;
    case CU_STREAM_WAIT_VALUE_EQ:
      return now == want;
    case CU_STREAM_WAIT_VALUE_AND:
      return (now & want) != 0;
    default: {
      uint64_t nor = ~(now | want);
      return (wide ? nor : (uint32_t)nor) != 0;
    }
  }
}

static CUresult run_value(const tsr_work *work) {
  uint64_t address = work->as.value.address;
  if (!is_there(address, work->as.value.size)) {
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  if (work->kind == TSR_WORK_WAIT_VALUE) return CUDA_SUCCESS;
  void *at = (void *)(uintptr_t)address;
  if (work->as.value.size == 8) {
    __atomic_store_n((uint64_t *)at, work->as.value.value, __ATOMIC_RELEASE);
  } else {
    __atomic_store_n((uint32_t *)at, (uint32_t)work->as.value.value,
                     __ATOMIC_RELEASE);
  }
  tsr_memory_wrote(address, work->as.value.size);
  return CUDA_SUCCESS;
}

static CUresult run_graph(const tsr_work *work, CUstream stream, double start,
                          double *out_seconds) {
  for (uint32_t i = 0; i < work->as.graph.count; ++i) {
    double seconds = 0;
    CUresult result = tsr_work_run(work->as.graph.works[i], stream,
                                   start + *out_seconds, &seconds);
    if (result != CUDA_SUCCESS) return result;
    *out_seconds += seconds;
  }
  return CUDA_SUCCESS;
}

CUresult tsr_work_run(tsr_work *work, CUstream stream, double start,
                      double *out_seconds) {
  *out_seconds = 0;
  switch (work->kind) {
    case TSR_WORK_KERNEL:
      return run_kernel(work, out_seconds);
    case TSR_WORK_COPY:
      return run_copy(&work->as.copy, work->context->device->model->bandwidth,
                      out_seconds);
    case TSR_WORK_FILL:
      return run_fill(work, out_seconds);
    case TSR_WORK_HOST:
    case TSR_WORK_CALLBACK:
      return run_host(work, stream);
    case TSR_WORK_FREE:
      (void)tsr_memory_free(work->as.address);
      return CUDA_SUCCESS;
    case TSR_WORK_WRITE_VALUE:
    case TSR_WORK_WAIT_VALUE:
      return run_value(work);
    case TSR_WORK_GRAPH:
      return run_graph(work, stream, start, out_seconds);
    default:
      return CUDA_SUCCESS;
  }
}
