// SPDX-License-Identifier: Apache-2.0
// tesserac compile, in the files compile*.c: one struct that the stages fill,
// each stage a function that takes it. A status is a failure of the machine;
// mistakes in the plan and its inputs are in the compilation's diagnostics.
#ifndef TESSERAC_COMPILE_H_
#define TESSERAC_COMPILE_H_

#include "base/file.h"
#include "codegen/codegen.h"
#include "codegen/cuda.h"
#include "common/cli.h"
#include "common/progress.h"
#include "compiler/bundle.h"
#include "frontend/frontend.h"
#include "tesserac/cache.h"
#include "tesserac/trace.h"

// In order; --stop-after names the last one that runs.
typedef enum tsr_stage {
  TSR_STAGE_PARSE,
  TSR_STAGE_CHECK,
  TSR_STAGE_IMPORT,
  TSR_STAGE_SCHEDULE,
  TSR_STAGE_PACK,
  TSR_STAGE_CODEGEN,  // kernels, and where they are wanted cubins
  TSR_STAGE_BUNDLE,
} tsr_stage;

// What --emit can name, as bits.
typedef enum tsr_emission {
  TSR_EMISSION_TOKENS = 1 << 0,
  TSR_EMISSION_AST = 1 << 1,
  TSR_EMISSION_PLAN = 1 << 2,
  TSR_EMISSION_SCHEDULE = 1 << 3,
  TSR_EMISSION_LL = 1 << 4,
  TSR_EMISSION_ASM = 1 << 5,
  TSR_EMISSION_OBJ = 1 << 6,
  TSR_EMISSION_WEIGHTS = 1 << 7,
  TSR_EMISSION_HEADER = 1 << 8,
  TSR_EMISSION_PTX = 1 << 9,
  TSR_EMISSION_CUBIN = 1 << 10,
} tsr_emission;

enum { TSR_VARIANT_LIMIT = 16 };

// How one layer came to be packed, for --why and the summary.
typedef struct tsr_layer_report {
  tsr_reuse reuse;
  unsigned changed;  // bits of tsr_key_part
} tsr_layer_report;

// One kernel for one variant.
typedef struct tsr_object_report {
  tsr_cache_result cache;
  tsr_emitted emitted;
} tsr_object_report;

// One CUDA kernel for one target.
typedef struct tsr_cuda_report {
  tsr_cache_result cache;
  tsr_cuda_emitted emitted;
  tsr_cuda_resources resources;  // from tsr_compile_assemble on
} tsr_cuda_report;

// One CUDA target's module: the kernels that were chosen for it.
typedef struct tsr_cuda_module {
  tsr_buffer ptx;
  tsr_buffer cubin;  // empty without ptxas
  tsr_cache_result cache;
} tsr_cuda_module;

// How a layer's shares came out in the decode cut of one class of device.
typedef struct tsr_cuda_share {
  uint32_t multiprocessors;
  uint32_t workers;
  uint32_t partials;
  double byte_imbalance;  // largest share over the mean
  double time_imbalance;  // likewise, of the prefill cut of as many workers
  tsr_buffer cuts;        // --emit=ptx: the class's tile runs, as text
} tsr_cuda_share;

enum { TSR_CUDA_SHARE_LIMIT = 8 };

// What is known of a layer for CUDA, beside its packed form.
typedef struct tsr_cuda_layer {
  uint64_t stream_bytes;
  uint64_t time;  // mma instructions per 8 tokens
  uint64_t steps;
  tsr_cuda_share shares[TSR_CUDA_SHARE_LIMIT];
  uint32_t share_count;
} tsr_cuda_layer;

typedef struct tsr_compile {
  const tsr_cli *cli;

  // The command line.
  const char *plan_path;
  char *output;    // owned; bundle, or the folder of emissions, or NULL
  unsigned emit;   // set of tsr_emission; 0: write a bundle
  tsr_stage last;  // inclusive
  uint32_t threads;
  bool verbose, why, single_file, no_cache;
  const char *temps;  // --save-temps: folder, or NULL
  tsr_cache cache;
  tsr_trace *trace;

  // parse, check, import
  tsr_compilation *compilation;
  tsr_ast *ast;
  tsr_plan *plan;
  tsr_inputs *inputs;
  const tsr_variant *variants[TSR_VARIANT_LIMIT];  // host
  uint32_t variant_count;
  const tsr_cuda_target *cuda_targets[TSR_VARIANT_LIMIT];
  uint32_t cuda_target_count;

  // schedule, pack
  tsr_previous *previous;
  tsr_staging staging;  // the bundle, or where emitted weights go
  tsr_packing *archive;
  tsr_bundle_file weights;
  tsr_bundle_layer *layers;     // [plan->layer_count]
  tsr_layer_report *reports;    // likewise
  tsr_cuda_layer *cuda_layers;  // likewise; NULL without CUDA targets
  tsr_buffer schedules;         // --emit=schedule

  // codegen
  tsr_kernel *kernels;  // distinct, in order of first use
  tsr_hash *kernel_keys;
  uint32_t kernel_count, kernel_capacity;
  tsr_object_report *objects;     // [kernel][variant]
  tsr_cuda_kernel *cuda_kernels;  // likewise
  tsr_hash *cuda_keys;
  uint32_t *cuda_chosen;  // [kernel]: bit i: for cuda_targets[i]
  uint32_t cuda_kernel_count, cuda_kernel_capacity;
  tsr_cuda_report *cuda_objects;  // [kernel][target]; of those not chosen zeros
  uint32_t *cuda_jobs;            // indices of those that were chosen
  uint32_t cuda_job_count;
  tsr_cuda_module *cuda_modules;  // [target]
  tsr_buffer ptxas;               // path; empty: none
  tsr_buffer ptxas_version;
} tsr_compile;

// Reads and checks the plan and opens what it names.
TSR_MUST_USE tsr_status tsr_compile_front(tsr_compile *c, tsr_error *error);
// Import, schedule and (if |last| says so) pack, layer by layer.
TSR_MUST_USE tsr_status tsr_compile_layers(tsr_compile *c, tsr_error *error);
// Chooses the kernels of every layer, then compiles each for each variant.
TSR_MUST_USE tsr_status tsr_compile_kernels(tsr_compile *c, tsr_error *error);
// Finds ptxas, before the work that would be for nothing without it.
TSR_MUST_USE tsr_status tsr_compile_tools(tsr_compile *c, tsr_error *error);
// Joins each CUDA target's kernels and, where there is ptxas, assembles them:
// after it resources are known and nothing is written yet.
TSR_MUST_USE tsr_status tsr_compile_assemble(tsr_compile *c, tsr_error *error);
// --explain, --resources: on standard output. The second also holds the gates
// --max-spill and --min-occupancy against the kernels.
TSR_MUST_USE tsr_status tsr_compile_explain(tsr_compile *c, tsr_error *error);
TSR_MUST_USE tsr_status tsr_compile_resources(tsr_compile *c, tsr_error *error);
// Whether what --resources and the gates ask for can be told: a gate that
// cannot be checked does not pass.
TSR_MUST_USE tsr_status tsr_compile_check_gates(const tsr_compile *c,
                                                tsr_error *error);
// Whether --resources or a gate asks for what only ptxas knows.
bool tsr_compile_wants_resources(const tsr_compile *c);
// The command line of these four: 0, or a usage error's exit code.
int tsr_compile_check_reports(const tsr_compile *c);
// Writes the images below |root| and describes them in |bundle|.
TSR_MUST_USE tsr_status tsr_compile_images(const tsr_compile *c,
                                           const char *root, tsr_bundle *bundle,
                                           tsr_error *error);
// Writes all members, puts the bundle in its place.
TSR_MUST_USE tsr_status tsr_compile_bundle(tsr_compile *c, tsr_error *error);
// Writes what --emit asked for, as far as the stages have made it.
TSR_MUST_USE tsr_status tsr_compile_emit(tsr_compile *c, tsr_error *error);
// -MD, -MF.
TSR_MUST_USE tsr_status tsr_compile_depfile(tsr_compile *c, tsr_error *error);
// Summary, and --why.
void tsr_compile_summary(const tsr_compile *c);

// True when a mistake has been reported: the later stages do not run.
bool tsr_compile_is_wrong(const tsr_compile *c);
static inline const tsr_object_report *tsr_compile_object(const tsr_compile *c,
                                                          uint32_t kernel,
                                                          uint32_t variant) {
  return &c->objects[(size_t)kernel * c->variant_count + variant];
}
static inline tsr_cuda_report *tsr_compile_cuda_object(const tsr_compile *c,
                                                       uint32_t kernel,
                                                       uint32_t target) {
  return &c->cuda_objects[(size_t)kernel * c->cuda_target_count + target];
}
// Whether the plan for |target| has |kernel|: else there is no object.
static inline bool tsr_compile_cuda_has(const tsr_compile *c, uint32_t kernel,
                                        uint32_t target) {
  return (c->cuda_chosen[kernel] >> target & 1u) != 0;
}
// The kernels of |target|, ascending; at most cuda_kernel_count. The count.
uint32_t tsr_compile_cuda_held(const tsr_compile *c, uint32_t target,
                               uint32_t *out_kernels);
// Keeps what is needed of |tables| in |out|, which is zeroed.
void tsr_compile_cuda_layer(const tsr_compile *c,
                            const tsr_nvidia_tables *tables,
                            tsr_cuda_layer *out);
// The shares of the class of device that stands for |target|, or the nearest.
const tsr_cuda_share *tsr_compile_cuda_share(const tsr_cuda_layer *layer,
                                             const tsr_cuda_target *target);
// What the cost model asks of layer |layer| for |target|: the shares of the
// class of device that stands for it, or of the nearest.
tsr_cuda_facts tsr_compile_cuda_facts(const tsr_compile *c, uint32_t layer,
                                      const tsr_cuda_target *target);
// What a layer's kernels depend on, its token range left open.
tsr_kernel_spec tsr_compile_spec(const tsr_bundle_layer *layer);
// The manifest's struct, filled as far as the stages have made it; arrays are
// in the compilation's arena.
TSR_MUST_USE tsr_status tsr_compile_describe(const tsr_compile *c,
                                             tsr_bundle *out_bundle,
                                             tsr_error *error);

#endif  // TESSERAC_COMPILE_H_
