// SPDX-License-Identifier: Apache-2.0
// What the files of decode/ share: the loader of a module, its symbols, and
// the state of a function being decoded. Families of instructions see
// decode/decode.h only (ops/control.c and ops/call.c are part of the decoder
// and see this).
#ifndef DECODE_INTERNAL_H_
#define DECODE_INTERNAL_H_

#include "decode/decode.h"

// --- Symbols (symbols.c)

typedef enum tsr_symbol_kind {
  TSR_SYMBOL_REGISTER,  // index: of the register
  TSR_SYMBOL_RANGE,     // %r<n>: index of the first, count of them
  TSR_SYMBOL_VARIABLE,  // of any memory space; index: see tsr_variable
  TSR_SYMBOL_FUNCTION,  // index: of the loader's functions
  TSR_SYMBOL_LABEL,     // index: of the function's labels
  TSR_SYMBOL_TARGETS,   // index: of the function's statements
  TSR_SYMBOL_PROTOTYPE,
} tsr_symbol_kind;

typedef struct tsr_symbol {
  tsr_ptx_str name;
  tsr_ptx_pos pos;
  tsr_symbol_kind kind;
  uint32_t scope;
  uint32_t index;
  uint32_t count;
} tsr_symbol;

// Names by scope; scope 0 is the module. Entries are never removed.
typedef struct tsr_symbols {
  tsr_symbol *entries;
  uint32_t count, capacity;
  uint32_t *slots;  // entry + 1; 0: free
  uint32_t slot_count;
} tsr_symbols;

void tsr_symbols_fini(tsr_symbols *symbols);
tsr_symbol *tsr_symbols_find(const tsr_symbols *symbols, uint32_t scope,
                             tsr_ptx_str name);
// NULL when out of memory. |name| must not be there yet.
tsr_symbol *tsr_symbols_add(tsr_symbols *symbols, uint32_t scope,
                            tsr_ptx_str name);
uint64_t tsr_hash_bytes(const char *data, uint32_t size, uint64_t seed);

// --- Variables and functions of a module (link.c)

// A variable in memory, of the module or of a function.
typedef struct tsr_variable {
  const tsr_ptx_variable *ast;
  uint64_t size;      // bytes; 0 when unsized
  uint64_t address;   // global, const: device address; shared: offset in the
                      // window; local, param: offset in frame or buffer
  bool is_undefined;  // extern, never defined here
  bool is_dynamic;    // .extern .shared x[]
  bool is_argument;   // a parameter or result of the function itself
  bool placed;        // shared: |address| is known
  bool by_functions;  // shared: used by a .func, in every kernel's layout
} tsr_variable;

// Sizes of what is passed in a call, in the order of the frame.
typedef struct tsr_signature {
  uint32_t result_count, param_count;
  uint32_t *sizes, *offsets;  // results, then parameters
  uint32_t bytes;             // of the whole area
} tsr_signature;

typedef struct tsr_callee {
  const tsr_ptx_function *ast;  // the definition where there is one
  tsr_function *function;       // NULL for an entry
  tsr_signature signature;
  bool is_called;     // undefined is an error then
  bool address_used;  // may be called through a register
} tsr_callee;

typedef struct tsr_loader {
  tsr_program *program;
  tsr_kernel *kernels;  // the program's
  tsr_arena scratch;    // AST and whatever dies with the loading
  const tsr_ptx_module *module;
  const tsr_device_model *device;
  tsr_ptx_log *log;
  tsr_error *error;
  bool out_of_memory;
  tsr_symbols symbols;
  tsr_variable *variables;
  uint32_t variable_count;
  tsr_callee *callees;
  uint32_t callee_count;
  uint32_t common_shared;  // end of the part that .funcs use
  uint32_t common_dynamic_align;
  uint32_t frame_align;
  struct tsr_opcode_table *opcodes;
  // Facts of each decoded body: kernels after the functions.
  struct tsr_body *bodies;
} tsr_loader;

// What the closure over calls needs of a decoded body.
typedef struct tsr_body {
  uint32_t *callees;  // indices of loader->callees
  uint32_t callee_count, callee_capacity;
  bool calls_indirectly;
  bool calls_system;  // its arguments need room behind the frame
  bool communicates, waits_dependents, launches_dependents;
  uint32_t units, local_bytes;
  uint64_t *shared;  // addresses of its own .shared variables, in order
  uint32_t shared_next;
  uint8_t state;  // of the walk
} tsr_body;

// Each reports its mistakes and returns false only when out of memory.
bool tsr_link_declare(tsr_loader *loader);
bool tsr_link_place(tsr_loader *loader);
// Static shared memory of |function|'s kernel: sets the addresses of what it
// uses and |kernel|'s sizes.
bool tsr_link_shared(tsr_loader *loader, const tsr_ptx_function *function,
                     tsr_body *body, tsr_kernel *kernel);
// The part that .funcs use, at the same offsets in every kernel.
bool tsr_link_common_shared(tsr_loader *loader);
uint64_t tsr_variable_bytes(tsr_loader *loader, const tsr_ptx_variable *ast);
uint64_t tsr_round_up(uint64_t value, uint64_t align);
bool tsr_signature_make(tsr_loader *loader, const tsr_ptx_variable *results,
                        uint32_t result_count, const tsr_ptx_variable *params,
                        uint32_t param_count, tsr_signature *out);

// --- A function being decoded

typedef struct tsr_register {
  tsr_ptx_type type;
  uint32_t vector;  // 1, or 2 and 4: components are registers index + 1 ...
} tsr_register;

typedef struct tsr_patch {  // a jump whose target is not known yet
  uint32_t op;
  uint32_t label;
  uint32_t *where;  // NULL: op's aux[0]
} tsr_patch;

typedef struct tsr_address_patch {
  uint32_t op, src;
  tsr_address *address;
} tsr_address_patch;

typedef struct tsr_label {
  tsr_ptx_str name;
  uint32_t target;
} tsr_label;

typedef struct tsr_pending {  // operations to put behind the instruction
  tsr_ref from, to;
  tsr_ptx_type type, to_type;
} tsr_pending;

enum { TSR_OP_CHUNK = 256, TSR_MODIFIER_LIMIT = 32, TSR_PENDING_LIMIT = 16 };
enum { TSR_ENDS_NOT, TSR_ENDS_HERE };

struct tsr_decoder {
  tsr_loader *loader;
  const tsr_ptx_function *ast;
  tsr_kernel *kernel;  // NULL: a .func
  tsr_function *function;
  tsr_body *body;
  const tsr_signature *signature;  // of a .func

  const tsr_ptx_instruction *instruction;
  tsr_ptx_instruction rewritten;
  bool taken[TSR_MODIFIER_LIMIT];
  bool passed, has_vectors;
  tsr_ref guard;
  uint32_t failures;  // log's count before the instruction
  tsr_pending pending[TSR_PENDING_LIMIT];
  uint32_t pending_count;

  uint32_t scope, scope_count;
  uint32_t *scope_parents;
  uint32_t scope_capacity;
  tsr_symbols symbols;
  tsr_variable *variables;
  uint32_t variable_count, variable_capacity;
  tsr_register *registers;
  uint32_t register_count, register_capacity;
  uint32_t plain_registers;  // declared without a range
  tsr_label *labels;
  uint32_t label_count, label_capacity;

  tsr_op **chunks;
  uint32_t chunk_count, chunk_capacity, op_count;
  // Per operation: whether what follows is not reached from it.
  uint8_t *ends;
  uint32_t ends_capacity;
  tsr_patch *patches;
  uint32_t patch_count, patch_capacity;
  tsr_address_patch *addresses;
  uint32_t address_count, address_capacity;

  unsigned char *pool;  // TSR_REGISTER_UNIT each
  uint32_t pool_units, pool_capacity;
  uint64_t *pool_keys;  // value of each unit
  uint8_t *pool_wide;
  uint32_t *pool_slots;
  uint32_t pool_slot_count, pool_entries;

  uint64_t frame_bytes;
  bool has_carry_flag;
  tsr_ref carry_flag;  // CC.CF
  // Registers of the .reg results and parameters of this .func, else
  // UINT32_MAX; results first.
  uint32_t *argument_registers;
};

// A register's reference before compaction.
static inline tsr_ref tsr_virtual_ref(uint32_t index) {
  return index * 8;
}
static inline uint32_t tsr_virtual_index(tsr_ref ref) {
  return ref / 8;
}

bool tsr_decode_out_of_memory(tsr_decoder *d);
bool tsr_decode_error_pos(tsr_decoder *d, tsr_ptx_pos pos, const char *format,
                          ...) TSR_PRINTF(3, 4);
// Makes room for one more element; false when out of memory.
bool tsr_decode_grow(tsr_decoder *d, void **array, uint32_t count,
                     uint32_t *capacity, size_t size);
tsr_op *tsr_decode_op(const tsr_decoder *d, uint32_t index);
// As tsr_emit without the guard: reads only, in front of the instruction.
tsr_op *tsr_emit_front(tsr_decoder *d, tsr_handler handler, uint32_t dst_count,
                       uint32_t src_count);
// Control does not go on behind |op| for the lanes that execute it.
void tsr_emit_ends(tsr_decoder *d, const tsr_op *op);
// The label's index becomes known in |*where| (in the program's arena) later.
bool tsr_emit_target(tsr_decoder *d, tsr_op *op, tsr_ptx_str name,
                     tsr_ptx_pos pos, uint32_t *where);

// A jump to an operation already emitted.
bool tsr_emit_jump(tsr_decoder *d, tsr_op *op, uint32_t target);

uint32_t tsr_register_new(tsr_decoder *d, tsr_ptx_type type, uint32_t vector);
// Declarations of a function (declare.c).
bool tsr_declare_variable(tsr_decoder *d, const tsr_ptx_variable *ast);
bool tsr_declare_labels(tsr_decoder *d);  // and all scopes
void tsr_scope_open(tsr_decoder *d);
void tsr_scope_close(tsr_decoder *d);
bool tsr_declare_frame(tsr_decoder *d);  // of a .func: results, parameters
tsr_symbol *tsr_lookup(const tsr_decoder *d, tsr_ptx_str name);
// The register called |name|, or UINT32_MAX.
uint32_t tsr_lookup_register(const tsr_decoder *d, tsr_ptx_str name,
                             char component);
const tsr_variable *tsr_lookup_variable(const tsr_decoder *d,
                                        const tsr_symbol *symbol);
void tsr_emit_pending(tsr_decoder *d);

// ops/control.c: the function's .reg parameters get their values; control that
// runs off the end of the text returns.
bool tsr_decode_entry(tsr_decoder *d);
bool tsr_decode_leave(tsr_decoder *d);
// ops/call.c: .reg parameters from the frame, .reg results to it.
bool tsr_call_frame_to_params(tsr_decoder *d);
bool tsr_call_results_to_frame(tsr_decoder *d);

// A whole function: statements to operations, then compaction.
bool tsr_decode_function_body(tsr_loader *loader, const tsr_ptx_function *ast,
                              const tsr_signature *signature,
                              tsr_kernel *kernel, tsr_function *function,
                              tsr_body *body);
struct tsr_opcode_table *tsr_opcode_table_make(tsr_loader *loader);

#endif  // DECODE_INTERNAL_H_
