// SPDX-License-Identifier: Apache-2.0
// What special registers read (PTX ISA 10). There are clusters of one block
// only; time is virtual (exec/time.c).
#include "ops/special.h"

#include "decode/decode.h"
#include "exec/engine.h"

// Registers whose value is the same for all lanes, by selector.
enum {
  READ_NTID_X,
  READ_NTID_Y,
  READ_NTID_Z,
  READ_CTAID_X,
  READ_CTAID_Y,
  READ_CTAID_Z,
  READ_NCTAID_X,
  READ_NCTAID_Y,
  READ_NCTAID_Z,
  READ_WARPID,
  READ_NWARPID,
  READ_SMID,
  READ_NSMID,
  READ_GRIDID,
  READ_CLUSTERID_X,  // of clusters of one block: the block's
  READ_CLUSTERID_Y,
  READ_CLUSTERID_Z,
  READ_NCLUSTERID_X,
  READ_NCLUSTERID_Y,
  READ_NCLUSTERID_Z,
  READ_ZERO,
  READ_ONE,
  READ_CLOCK,
  READ_CLOCK_HI,
  READ_GLOBALTIMER,
  READ_GLOBALTIMER_HI,
  READ_TOTAL_SHARED,
  READ_AGGREGATE_SHARED,
  READ_DYNAMIC_SHARED,
  READ_RESERVED_BEGIN,
  READ_RESERVED_END,
  READ_WORKSPACE_HI,
  READ_WORKSPACE_LO,
};

static uint64_t read_time(const tsr_warp *warp, uint32_t selector) {
  switch (selector) {
    case READ_CLOCK:
      return tsr_engine_clock(warp);
    case READ_CLOCK_HI:
      return tsr_engine_clock(warp) >> 32;
    case READ_GLOBALTIMER:
      return tsr_engine_nanoseconds(warp);
    default:
      return tsr_engine_nanoseconds(warp) >> 32;
  }
}

// Shared memory as the device hands it out: units of 128 bytes (PTX ISA 10,
// %total_smem_size).
static uint32_t shared_bytes(const tsr_block *block, bool with_reserved) {
  uint32_t size = (block->shared_size + 127u) & ~127u;
  return size + (with_reserved ? TSR_SHARED_BASE : 0);
}

static uint64_t read_block(const tsr_warp *warp, uint32_t selector) {
  const tsr_block *block = warp->block;
  const tsr_launch *launch = block->launch;
  switch (selector) {
    case READ_WARPID:
      return warp->index;
    case READ_NWARPID:
      return launch->device->threads_per_multiprocessor / TSR_LANES;
    case READ_SMID:
      return block->sm;
    case READ_NSMID:
      return launch->device->multiprocessors;
    case READ_GRIDID:
      return launch->number;
    case READ_ONE:
      return 1;
    case READ_TOTAL_SHARED:
      return shared_bytes(block, false);
    case READ_AGGREGATE_SHARED:
      return shared_bytes(block, true);
    case READ_DYNAMIC_SHARED:
      return launch->dynamic_shared;
    case READ_RESERVED_END:
      return TSR_SHARED_BASE;
    case READ_WORKSPACE_HI:
      return launch->grid_workspace >> 32;
    case READ_WORKSPACE_LO:
      return launch->grid_workspace & UINT32_MAX;
    default:
      return 0;
  }
}

static uint64_t read_uniform(const tsr_warp *warp, uint32_t selector) {
  const tsr_block *block = warp->block;
  const tsr_launch *launch = block->launch;
  switch (selector) {
    case READ_NTID_X:
    case READ_NTID_Y:
    case READ_NTID_Z:
      return launch->block[selector - READ_NTID_X];
    case READ_CTAID_X:
    case READ_CTAID_Y:
    case READ_CTAID_Z:
      return block->index[selector - READ_CTAID_X];
    case READ_NCTAID_X:
    case READ_NCTAID_Y:
    case READ_NCTAID_Z:
      return launch->grid[selector - READ_NCTAID_X];
    case READ_CLUSTERID_X:
    case READ_CLUSTERID_Y:
    case READ_CLUSTERID_Z:
      return block->index[selector - READ_CLUSTERID_X];
    case READ_NCLUSTERID_X:
    case READ_NCLUSTERID_Y:
    case READ_NCLUSTERID_Z:
      return launch->grid[selector - READ_NCLUSTERID_X];
    case READ_CLOCK:
    case READ_CLOCK_HI:
    case READ_GLOBALTIMER:
    case READ_GLOBALTIMER_HI:
      return read_time(warp, selector);
    default:
      return read_block(warp, selector);
  }
}

static tsr_flow run_uniform32(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t value = (uint32_t)read_uniform(warp, op->aux[0]);
  uint32_t lanes[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) lanes[i] = value;
  tsr_put32(warp, op->dst[0], mask, lanes);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_uniform64(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint64_t value = read_uniform(warp, op->aux[0]);
  uint64_t lanes[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) lanes[i] = value;
  tsr_put64(warp, op->dst[0], mask, lanes);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_false(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_set_pred(warp, op->dst[0], mask, 0);
  return TSR_FLOW_NEXT;
}

static tsr_flow run_tid(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_put32(warp, op->dst[0], mask, warp->tid[op->aux[0]]);
  return TSR_FLOW_NEXT;
}

enum { LANE_ID, LANE_EQ, LANE_LE, LANE_LT, LANE_GE, LANE_GT };

static tsr_flow run_lane(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t lanes[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint32_t bit = 1u << i;
    uint32_t values[] = {i,       bit,        (bit - 1) | bit,
                         bit - 1, ~(bit - 1), ~((bit - 1) | bit)};
    lanes[i] = values[op->aux[0]];
  }
  tsr_put32(warp, op->dst[0], mask, lanes);
  return TSR_FLOW_NEXT;
}

typedef struct special {
  const char *name;
  tsr_handler run;
  uint32_t selector;  // of .x where the register is a vector
  bool vector;
  tsr_ptx_type type;
} special;

static const special specials[] = {
    {"%tid", run_tid, 0, true, TSR_PTX_U32},
    {"%ntid", run_uniform32, READ_NTID_X, true, TSR_PTX_U32},
    {"%ctaid", run_uniform32, READ_CTAID_X, true, TSR_PTX_U32},
    {"%nctaid", run_uniform32, READ_NCTAID_X, true, TSR_PTX_U32},
    {"%laneid", run_lane, LANE_ID, false, TSR_PTX_U32},
    {"%lanemask_eq", run_lane, LANE_EQ, false, TSR_PTX_U32},
    {"%lanemask_le", run_lane, LANE_LE, false, TSR_PTX_U32},
    {"%lanemask_lt", run_lane, LANE_LT, false, TSR_PTX_U32},
    {"%lanemask_ge", run_lane, LANE_GE, false, TSR_PTX_U32},
    {"%lanemask_gt", run_lane, LANE_GT, false, TSR_PTX_U32},
    {"%warpid", run_uniform32, READ_WARPID, false, TSR_PTX_U32},
    {"%nwarpid", run_uniform32, READ_NWARPID, false, TSR_PTX_U32},
    {"%smid", run_uniform32, READ_SMID, false, TSR_PTX_U32},
    {"%nsmid", run_uniform32, READ_NSMID, false, TSR_PTX_U32},
    {"%gridid", run_uniform64, READ_GRIDID, false, TSR_PTX_U64},
    {"%clusterid", run_uniform32, READ_CLUSTERID_X, true, TSR_PTX_U32},
    {"%nclusterid", run_uniform32, READ_NCLUSTERID_X, true, TSR_PTX_U32},
    {"%cluster_ctarank", run_uniform32, READ_ZERO, false, TSR_PTX_U32},
    {"%cluster_nctarank", run_uniform32, READ_ONE, false, TSR_PTX_U32},
    {"%is_explicit_cluster", run_false, 0, false, TSR_PTX_PRED},
    {"%clock", run_uniform32, READ_CLOCK, false, TSR_PTX_U32},
    {"%clock_hi", run_uniform32, READ_CLOCK_HI, false, TSR_PTX_U32},
    {"%clock64", run_uniform64, READ_CLOCK, false, TSR_PTX_U64},
    {"%globaltimer", run_uniform64, READ_GLOBALTIMER, false, TSR_PTX_U64},
    {"%globaltimer_lo", run_uniform32, READ_GLOBALTIMER, false, TSR_PTX_U32},
    {"%globaltimer_hi", run_uniform32, READ_GLOBALTIMER_HI, false, TSR_PTX_U32},
    {"%total_smem_size", run_uniform32, READ_TOTAL_SHARED, false, TSR_PTX_U32},
    {"%aggr_smem_size", run_uniform32, READ_AGGREGATE_SHARED, false,
     TSR_PTX_U32},
    {"%dynamic_smem_size", run_uniform32, READ_DYNAMIC_SHARED, false,
     TSR_PTX_U32},
    {"%reserved_smem_offset_begin", run_uniform32, READ_RESERVED_BEGIN, false,
     TSR_PTX_U32},
    {"%reserved_smem_offset_end", run_uniform32, READ_RESERVED_END, false,
     TSR_PTX_U32},
    {"%reserved_smem_offset_cap", run_uniform32, READ_RESERVED_END, false,
     TSR_PTX_U32},
    // Places in there, which nothing may access: a program that does finds out.
    {"%reserved_smem_offset_0", run_uniform32, READ_ZERO, false, TSR_PTX_U32},
    {"%reserved_smem_offset_1", run_uniform32, READ_ZERO, false, TSR_PTX_U32},
    {"%current_graph_exec", run_uniform64, READ_ZERO, false, TSR_PTX_U64},
};

// "%envreg<0..31>" are numbered; what they hold is the driver's business (PTX
// ISA 10): zero, but for the address of the memory with which cooperative
// groups synchronise a grid (driver_abi.h of the CUDA toolkit).
static bool is_numbered(tsr_ptx_str name, const char *prefix, uint32_t count) {
  uint32_t i = 0;
  for (; prefix[i] != '\0'; ++i) {
    if (i >= name.size || name.data[i] != prefix[i]) return false;
  }
  uint32_t digits = name.size - i;
  if (digits < 1 || digits > 2) return false;
  uint32_t value = 0;
  for (; i < name.size; ++i) {
    if (name.data[i] < '0' || name.data[i] > '9') return false;
    value = value * 10 + (uint32_t)(name.data[i] - '0');
  }
  return value < count;
}

// %cluster_ctaid.x, %cluster_nctaid.x: of clusters of one block.
static tsr_handler cluster_handler(tsr_ptx_str name, char component,
                                   uint32_t *out_selector) {
  if (component < 'x' || component > 'z') return NULL;
  if (tsr_ptx_str_equal(name, "%cluster_ctaid")) {
    *out_selector = READ_ZERO;
    return run_uniform32;
  }
  if (tsr_ptx_str_equal(name, "%cluster_nctaid")) {
    *out_selector = READ_ONE;
    return run_uniform32;
  }
  return NULL;
}

tsr_handler tsr_special_handler(tsr_ptx_str name, char component,
                                tsr_ptx_type *out_type,
                                uint32_t *out_selector) {
  *out_type = TSR_PTX_U32;
  *out_selector = READ_ZERO;
  for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); ++i) {
    const special *s = &specials[i];
    if (!tsr_ptx_str_equal(name, s->name)) continue;
    *out_type = s->type;
    *out_selector = s->selector;
    if (!s->vector) return component == 0 ? s->run : NULL;
    if (component < 'x' || component > 'z') return NULL;
    *out_selector += (uint32_t)(component - 'x');
    return s->run;
  }
  if (component == 0 && is_numbered(name, "%envreg", 32)) {
    if (tsr_ptx_str_equal(name, "%envreg1")) *out_selector = READ_WORKSPACE_HI;
    if (tsr_ptx_str_equal(name, "%envreg2")) *out_selector = READ_WORKSPACE_LO;
    return run_uniform32;
  }
  return cluster_handler(name, component, out_selector);
}
