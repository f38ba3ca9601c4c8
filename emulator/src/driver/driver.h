// SPDX-License-Identifier: Apache-2.0
// The driver's objects. One lock (taken by entry.c around every function of
// the interface) guards all of them; it is let go only while a callback of the
// program runs. A handle is the address of an object that begins with
// tsr_object and is known to the registry, so that what a caller passes is
// checked before it is looked into.
#ifndef DRIVER_DRIVER_H_
#define DRIVER_DRIVER_H_

#include "check/report.h"
#include "decode/program.h"
#include "driver/call.h"
#include "exec/devices.h"
#include "exec/engine.h"
#include "memory/heap.h"

enum { TSR_DEVICES_MAX = 16, TSR_CONTEXT_DEPTH = 64 };

typedef enum tsr_object_kind {
  TSR_OBJECT_CONTEXT = 1,
  TSR_OBJECT_STREAM,
  TSR_OBJECT_EVENT,
  TSR_OBJECT_MODULE,
  TSR_OBJECT_FUNCTION,
  TSR_OBJECT_LIBRARY,
  TSR_OBJECT_KERNEL,
  TSR_OBJECT_GRAPH,
  TSR_OBJECT_NODE,
  TSR_OBJECT_EXEC,
  TSR_OBJECT_POOL,
  TSR_OBJECT_LINK,
} tsr_object_kind;

typedef struct tsr_object {
  tsr_object_kind kind;
  struct tsr_object *next;  // in its bucket of the registry
  CUcontext owner;          // may be NULL
} tsr_object;

// registry.c
void tsr_object_add(tsr_object *object, tsr_object_kind kind, CUcontext owner);
void tsr_object_remove(tsr_object *object);
// |handle| when it names a live object of |kind|, else NULL.
void *tsr_object_get(const void *handle, tsr_object_kind kind);
// Any live object of |kind| of |owner| (NULL: whoever's); NULL when there is
// none.
void *tsr_object_any(tsr_object_kind kind, CUcontext owner);

// --- Devices and contexts ---------------------------------------------------

typedef struct tsr_device {
  const tsr_device_model *model;
  tsr_heap *heap;     // NULL until the first context
  CUcontext primary;  // NULL when not active
  uint32_t primary_references, primary_flags;
  CUmemoryPool default_pool, pool;  // NULL until asked for
} tsr_device;

struct CUctx_st {
  tsr_object object;
  uint32_t references;  // the registry's and one per place in a thread's stack
  bool destroyed;
  bool primary;
  tsr_device *device;
  CUdevice ordinal;
  uint32_t flags, attached;
  uint64_t id;
  CUresult fault;    // sticky
  CUstream streams;  // all, linked by |next|
  CUstream legacy;
  size_t limits[TSR_LIMIT_COUNT];
  CUfunc_cache cache;
  CUmodule instances;  // of libraries
  CUcontext next;      // of all that are not destroyed
};

enum { TSR_PRIORITY_LEAST = 0, TSR_PRIORITY_GREATEST = -5 };

// Of one thread of the program.
typedef struct tsr_thread {
  struct tsr_thread *next, **link;  // all of them
  CUcontext stack[TSR_CONTEXT_DEPTH];
  uint32_t depth;
  bool per_thread;   // the call in progress means its own default stream by 0
  bool in_callback;  // of a stream: may not call the driver
  CUstreamCaptureMode capture_mode;
} tsr_thread;

typedef struct tsr_memory tsr_memory;

typedef struct tsr_driver {
  bool configured;  // the environment has been read
  bool initialised;
  tessera_emu_config config;
  tsr_device devices[TSR_DEVICES_MAX];
  uint32_t device_count;
  bool bad_environment;
  tsr_report *report;
  char *log_path, *profile_path, *print_path;
  tessera_emu_profile *profiles;  // a ring
  uint32_t profile_capacity, profile_count, profile_first;
  tsr_memory *memories;  // sorted by address
  uint32_t memory_count, memory_capacity;
  uint64_t next_id, next_launch, next_choice;
  double host_time;  // virtual seconds
  tsr_thread *threads;
  CUcontext contexts;
} tsr_driver;

extern tsr_driver tsr_the;

// state.c. Reads the environment once.
void tsr_driver_configure(void);
CUresult tsr_driver_start(void);  // cuInit's work
void tsr_driver_stop(void);       // everything is forgotten
// This thread's record; NULL when out of memory.
tsr_thread *tsr_thread_get(void);
void tsr_driver_keep_profile(const tessera_emu_profile *profile);
// A line "tessera-cuda-emu: ..." for the log of findings, if there is one.
void tsr_driver_log(const char *format, ...) TSR_PRINTF(1, 2);
uint64_t tsr_driver_choice(void);  // a number drawn from the seed
CUresult tsr_result_of(tsr_status status);

// entry.c
void tsr_driver_lock(void);
void tsr_driver_unlock(void);
// Lets the lock go until tsr_driver_wake is called.
void tsr_driver_wait(void);
void tsr_driver_wake(void);
void tsr_calls_clear(void);
int tsr_calls_fail(const char *name, size_t size, uint64_t nth, int result);

// context.c
// The current context; CUDA_ERROR_INVALID_CONTEXT without one.
CUresult tsr_ctx_current(CUcontext *out_context);
CUresult tsr_ctx_create(tsr_device *device, uint32_t flags, bool primary,
                        CUcontext *out_context);
void tsr_ctx_destroy(CUcontext context);
void tsr_ctx_release(CUcontext context);       // one reference
tsr_device *tsr_device_get(CUdevice ordinal);  // NULL: no such device

// --- Memory -----------------------------------------------------------------

typedef enum tsr_memory_kind {
  TSR_MEMORY_DEVICE,
  TSR_MEMORY_POOL,
  TSR_MEMORY_HOST,
  TSR_MEMORY_REGISTERED,
  TSR_MEMORY_MANAGED,
} tsr_memory_kind;

struct tsr_memory {
  uint64_t address, size, id;
  tsr_memory_kind kind;
  uint32_t flags;
  CUcontext context;
  CUmemoryPool pool;
  bool freeing;  // cuMemFreeAsync was called
};

struct CUmemPoolHandle_st {
  tsr_object object;
  CUdevice ordinal;
  uint64_t threshold, used, high, limit;
  int reuse[3];
  bool is_default;
};

// memory.c
// The record that |address| lies in; NULL when there is none.
tsr_memory *tsr_memory_find(uint64_t address);
CUresult tsr_memory_free(uint64_t address);  // whatever kind it is
// Ends what belongs to |context| (NULL: everything).
void tsr_memory_free_all(CUcontext context);
// |pool|: NULL for none.
CUresult tsr_memory_allocate(CUcontext context, size_t size, CUmemoryPool pool,
                             CUdeviceptr *out_address);

typedef enum tsr_place_kind {
  TSR_PLACE_PAGEABLE,  // ordinary host memory
  TSR_PLACE_HOST,      // pinned, registered, managed
  TSR_PLACE_DEVICE,
} tsr_place_kind;
// What kind of memory [address, address + size) is; false when it is neither
// wholly inside one allocation nor wholly outside of all.
bool tsr_memory_place(uint64_t address, uint64_t size,
                      tsr_place_kind *out_kind);
// Makes pinned memory known to one more device's heap; false: out of memory.
bool tsr_memory_register_all(tsr_heap *heap);
// Host-side writes for the checker of uninitialised reads.
void tsr_memory_wrote(uint64_t address, uint64_t size);

// --- Modules ----------------------------------------------------------------

struct CUfunc_st {
  tsr_object object;
  CUmodule module;
  const tsr_kernel *kernel;
  uint32_t max_dynamic_shared;
  int carveout;
  CUfunc_cache cache;
  bool named;  // handed out, thus registered
};

struct CUmod_st {
  tsr_object object;
  uint32_t references;  // the handle's and one per work that uses it
  CUcontext context;
  CUlibrary library;       // it is an instance of; NULL for none
  CUmodule next_instance;  // in the context
  tsr_program *program;
  CUfunction functions;  // one per kernel of the program
};

// modules.c
CUresult tsr_module_load(CUcontext context, const void *image, size_t size,
                         unsigned option_count, const CUjit_option *options,
                         void **values, CUmodule *out_module);
void tsr_module_release(CUmodule module);
void tsr_module_unload(CUmodule module);
CUfunction tsr_module_function(CUmodule module, uint32_t index);
// A file's bytes, terminated; to be freed.
CUresult tsr_file_read(const char *path, char **out_text, size_t *out_size);
// libraries.c. |handle| may also be a CUkernel: its function in the current
// context.
CUresult tsr_function_get(CUfunction handle, CUfunction *out_function);
void tsr_library_forget(CUmodule module);  // it is about to be unloaded
void tsr_library_destroy(CUlibrary library);
void tsr_link_destroy(CUlinkState link);

// --- Work -------------------------------------------------------------------

typedef enum tsr_work_kind {
  TSR_WORK_NOTHING,
  TSR_WORK_KERNEL,
  TSR_WORK_COPY,
  TSR_WORK_FILL,
  TSR_WORK_HOST,
  TSR_WORK_CALLBACK,
  TSR_WORK_RECORD,
  TSR_WORK_WAIT,
  TSR_WORK_FREE,
  TSR_WORK_WRITE_VALUE,
  TSR_WORK_WAIT_VALUE,
  TSR_WORK_GRAPH,
} tsr_work_kind;

typedef struct tsr_copy {
  uint64_t source, target;  // of the first byte
  uint64_t source_pitch, source_slice, target_pitch, target_slice;
  uint64_t width, height, depth;
  bool source_checked, target_checked;  // not pageable: must still be there
  unsigned char *snapshot;              // owned; the source was pageable
} tsr_copy;

// What an operation does; shared by graph nodes and the launches of them.
// Never changed once made.
typedef struct tsr_work {
  tsr_work_kind kind;
  uint32_t references;
  CUcontext context;
  union {
    struct {
      CUfunction function;
      uint32_t grid[3], block[3], dynamic_shared;
      bool cooperative;
      bool programmatic;  // may overlap with the kernel before it
      unsigned char *params;
    } kernel;
    tsr_copy copy;
    struct {
      uint64_t target, pitch, width, height;  // width in elements
      uint32_t value, element_size;
    } fill;
    struct {
      CUhostFn function;
      CUstreamCallback callback;
      void *data;
    } host;
    CUevent event;
    uint64_t address;
    struct {
      uint64_t address, value;
      uint32_t flags, size;
    } value;
    struct {
      struct tsr_work **works;  // in an order that can be executed
      uint32_t count;
    } graph;
  } as;
} tsr_work;

// An operation of a stream.
typedef struct tsr_operation {
  uint32_t references;
  bool done;
  CUstream stream;  // while not done
  struct tsr_operation *next;
  tsr_work *work;  // NULL once done
  struct tsr_operation **after;
  uint32_t after_count;
  double submitted, end;  // virtual seconds
} tsr_operation;

struct CUevent_st {
  tsr_object object;
  uint32_t references;  // the handle's and those of work that names it
  CUcontext context;
  uint32_t flags, queries;
  tsr_operation *operation;  // that last recorded it
  // Last recorded while |capture| was in progress: what comes behind it.
  CUgraph capture;
  uint64_t capture_id;
  CUgraphNode *nodes;
  uint32_t node_count;
};

struct CUstream_st {
  tsr_object object;
  CUstream next;
  CUcontext context;
  tsr_thread *owner;  // of a per-thread default stream
  uint32_t flags, queries, pending;
  int priority;
  uint64_t id;
  bool zombie;  // destroyed with work left
  tsr_operation *head, *tail;
  double time;  // when its last operation ended
  // Capture: NULL when none is in progress.
  CUgraph capture;
  bool origin, invalid, foreign;  // foreign: the graph is the caller's
  CUstreamCaptureMode mode;
  tsr_thread *capturer;
  uint64_t capture_id;
  CUgraphNode *nodes;  // what the next operation depends on
  uint32_t node_count;
};

// work.c
tsr_work *tsr_work_create(tsr_work_kind kind, CUcontext context);
void tsr_work_retain(tsr_work *work);
void tsr_work_release(tsr_work *work);  // NULL is ignored
void tsr_event_release(CUevent event);
// Does |work| now; gives the virtual seconds it takes. |start|: when it begins.
CUresult tsr_work_run(tsr_work *work, CUstream stream, double start,
                      double *out_seconds);
// Two kernels, the second of which may overlap with the first.
CUresult tsr_work_run_pair(tsr_work *first, tsr_work *second,
                           double *out_seconds);
// Whether a WAIT_VALUE is satisfied.
bool tsr_work_ready(const tsr_work *work);

// launch.c
// Checks a launch and copies its parameters.
CUresult tsr_launch_make(CUcontext context, CUfunction function,
                         const CUlaunchConfig *config, void **params,
                         void **extra, tsr_work **out_work);
// memcpy.c: checks and makes the work of a copy. |is_async| decides what
// pageable memory means; *out_wait: the caller must wait for it.
CUresult tsr_copy_make(CUcontext context, const CUDA_MEMCPY3D *copy,
                       bool snapshot, tsr_work **out_work, bool *out_wait);
CUresult tsr_fill_make(CUcontext context, uint64_t target, uint64_t pitch,
                       uint32_t value, uint32_t element_size, uint64_t width,
                       uint64_t height, tsr_work **out_work);

// streams.c
// |handle| as a stream of the current context: 0 and the special values mean
// default streams. CUDA_ERROR_INVALID_HANDLE, _INVALID_CONTEXT.
CUresult tsr_stream_get(CUstream handle, CUstream *out_stream);
CUresult tsr_stream_create(CUcontext context, uint32_t flags, int priority,
                           CUstream *out_stream);
void tsr_stream_free(CUstream stream);
// A thread ends: its default streams stay with their contexts.
void tsr_stream_disown(const tsr_thread *thread);
// Appends |work| (whose reference is taken over, also on failure) to |stream|,
// or to the graph that it captures. |out_operation| may be NULL; a reference,
// NULL when captured.
CUresult tsr_stream_enqueue(CUstream stream, tsr_work *work,
                            tsr_operation **out_operation);
void tsr_operation_release(tsr_operation *operation);  // NULL is ignored
// It is done, or never will be: lets go of what it holds and of the queue's
// reference. (An event that it records holds it in turn.)
void tsr_operation_finish(tsr_operation *operation);

// executor.c
// Runs until |operation| is done.
CUresult tsr_run_operation(CUcontext context, tsr_operation *operation);
CUresult tsr_run_stream(CUstream stream);
CUresult tsr_run_context(CUcontext context);
// Waits for what other threads execute.
void tsr_run_all(void);
// Runs |stream| as far as it can without waiting, until |keep| operations are
// left. Does nothing while another thread executes.
void tsr_run_ready(CUstream stream, uint32_t keep);

// --- Capture and graphs -----------------------------------------------------

struct CUgraphNode_st {
  tsr_object object;
  CUgraph graph;
  CUgraphNode next;  // in the graph's list, in order of making
  CUgraphNodeType type;
  tsr_work *work;
  CUgraph child;        // GRAPH: owned copy
  CUgraphNode origin;   // it was cloned from; may be gone
  CUgraphNode *before;  // dependencies
  uint32_t before_count;
  void **values;  // owned; a kernel's parameters, once asked for
  uint32_t mark;  // of walks
};

struct CUgraph_st {
  tsr_object object;
  CUgraphNode first, *last;
  uint32_t count;
};

// graph.c
CUgraph tsr_graph_create(void);
void tsr_graph_destroy(CUgraph graph);
// |work|'s reference is taken over, also on failure.
CUresult tsr_graph_add(CUgraph graph, const CUgraphNode *before, size_t count,
                       CUgraphNodeType type, tsr_work *work,
                       CUgraphNode *out_node);
// No edge has a kind of its own.
bool tsr_graph_plain_edges(const CUgraphEdgeData *edges, size_t count);
// graph_exec.c
void tsr_exec_destroy(CUgraphExec exec);
// graph_nodes.c: work from the parameters of a node. |full|: the struct of
// CUDA 12.
CUgraphNodeType tsr_graph_node_type(tsr_work_kind kind);
CUresult tsr_graph_kernel(const CUDA_KERNEL_NODE_PARAMS *params, bool full,
                          tsr_work **out_work);
CUresult tsr_graph_copy(const CUDA_MEMCPY3D *params, CUcontext context,
                        tsr_work **out_work);
CUresult tsr_graph_fill(const CUDA_MEMSET_NODE_PARAMS *params,
                        CUcontext context, tsr_work **out_work);
CUresult tsr_graph_host(const CUDA_HOST_NODE_PARAMS *params,
                        tsr_work **out_work);
CUresult tsr_graph_event(CUevent event, tsr_work_kind kind,
                         tsr_work **out_work);

// capture.c
// For calls that are not allowed while a capture is in progress that the
// thread's mode protects: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, and the
// capture is spoilt.
CUresult tsr_capture_forbid(void);
// The same for one stream's own capture.
CUresult tsr_capture_forbid_stream(CUstream stream);
CUresult tsr_capture_add(CUstream stream, tsr_work *work);
// Using the legacy stream while a blocking stream of |context| captures.
CUresult tsr_capture_forbid_legacy(CUcontext context);
CUresult tsr_capture_record(CUstream stream, CUevent event);
// |event| was recorded by a capture: |stream| joins it.
CUresult tsr_capture_join(CUstream stream, CUevent event);
void tsr_capture_drop(CUstream stream);  // the stream goes away

#endif  // DRIVER_DRIVER_H_
