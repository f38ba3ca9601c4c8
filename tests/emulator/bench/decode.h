// SPDX-License-Identifier: Apache-2.0
// The decode kernel that the speed of the emulator is stated for: 4096 x 4096
// bf16 weights times 8 columns, as weights come in fragment order.
#ifndef BENCH_DECODE_H_
#define BENCH_DECODE_H_

enum {
  DECODE_ROWS = 4096,
  DECODE_DEPTH = 4096,
  DECODE_COLUMNS = 8,
  DECODE_WARPS = 4,  // of a block; each takes a quarter of the depth
  DECODE_BLOCKS = DECODE_ROWS / 16,
  DECODE_TILES = DECODE_DEPTH / 16 / DECODE_WARPS,  // per warp
};

// Weights: tile (row tile, depth tile) after tile, 512 bytes each, lane l's
// four registers of A at 16 * l. Activations: depth tile after tile, lane l's
// two registers of B at 8 * l. Out: row-major f32, 4096 x 8.
static const char decode_text[] =
    ".version 8.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry decode(.param .u64 pw, .param .u64 px, .param .u64 py) {\n"
    ".shared .align 16 .b8 stage[8192];\n"  // 4 warps, 4 stages, 512 bytes
    ".shared .align 16 .b8 sums[2048];\n"   // 4 warps, 128 floats
    ".reg .b64 %w, %x, %y, %t;\n.reg .b32 %r<16>, %a<4>, %b<2>, %s<4>;\n"
    ".reg .f32 %f<8>;\n.reg .pred %p, %more;\n"
    "ld.param.u64 %w, [pw];\nld.param.u64 %x, [px];\nld.param.u64 %y, [py];\n"
    "mov.u32 %r0, %tid.x;\nshr.u32 %r1, %r0, 5;\nand.b32 %r2, %r0, 31;\n"
    "mov.u32 %r3, %ctaid.x;\n"
    // tile = block * 256 + warp * 64
    "shl.b32 %r4, %r3, 8;\nshl.b32 %r5, %r1, 6;\nadd.u32 %r4, %r4, %r5;\n"
    "mul.wide.u32 %t, %r4, 512;\nadd.u64 %w, %w, %t;\n"
    "mul.wide.u32 %t, %r2, 16;\nadd.u64 %w, %w, %t;\n"
    "mul.wide.u32 %t, %r5, 256;\nadd.u64 %x, %x, %t;\n"
    "mul.wide.u32 %t, %r2, 8;\nadd.u64 %x, %x, %t;\n"
    "mov.u32 %r6, stage;\nshl.b32 %r7, %r1, 11;\nadd.u32 %r6, %r6, %r7;\n"
    "shl.b32 %r7, %r2, 4;\nadd.u32 %r6, %r6, %r7;\n"
    "mov.f32 %f0, 0f00000000;\nmov.f32 %f1, 0f00000000;\n"
    "mov.f32 %f2, 0f00000000;\nmov.f32 %f3, 0f00000000;\n"
    "cp.async.cg.shared.global [%r6], [%w], 16;\ncp.async.commit_group;\n"
    "cp.async.cg.shared.global [%r6+512], [%w+512], 16;\n"
    "cp.async.commit_group;\n"
    "cp.async.cg.shared.global [%r6+1024], [%w+1024], 16;\n"
    "cp.async.commit_group;\n"
    "mov.u32 %r8, 0;\n"      // tile
    "mov.u32 %r9, 0;\n"      // its stage
    "mov.u32 %r10, 1536;\n"  // the stage to fill
    "NEXT:\n"
    "cp.async.wait_group 2;\n"
    "add.u32 %r11, %r6, %r9;\n"
    "ld.shared.v4.b32 {%a0, %a1, %a2, %a3}, [%r11];\n"
    "ld.global.nc.v2.b32 {%b0, %b1}, [%x];\n"
    "setp.lt.u32 %more, %r8, 61;\n"
    "add.u32 %r12, %r6, %r10;\n"
    "@%more cp.async.cg.shared.global [%r12], [%w+1536], 16;\n"
    "cp.async.commit_group;\n"
    "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
    "{%f0, %f1, %f2, %f3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, "
    "{%f0, %f1, %f2, %f3};\n"
    "add.u64 %w, %w, 512;\nadd.u64 %x, %x, 256;\n"
    "mov.u32 %r10, %r9;\n"
    "add.u32 %r9, %r9, 512;\nand.b32 %r9, %r9, 2047;\n"
    "add.u32 %r8, %r8, 1;\nsetp.lt.u32 %p, %r8, 64;\n@%p bra NEXT;\n"
    // The warps' sums, added by the first.
    "mov.u32 %r13, sums;\nshl.b32 %r14, %r0, 4;\nadd.u32 %r14, %r13, %r14;\n"
    "st.shared.v4.f32 [%r14], {%f0, %f1, %f2, %f3};\n"
    "bar.sync 0;\nsetp.ne.u32 %p, %r1, 0;\n@%p ret;\n"
    "mov.u32 %r8, 1;\n"
    "ADD: add.u32 %r14, %r14, 512;\n"
    "ld.shared.v4.f32 {%f4, %f5, %f6, %f7}, [%r14];\n"
    "add.f32 %f0, %f0, %f4;\nadd.f32 %f1, %f1, %f5;\n"
    "add.f32 %f2, %f2, %f6;\nadd.f32 %f3, %f3, %f7;\n"
    "add.u32 %r8, %r8, 1;\nsetp.lt.u32 %p, %r8, 4;\n@%p bra ADD;\n"
    // Row (block * 16 + lane / 4), columns lane % 4 * 2 and the next; and 8
    // rows below.
    "shl.b32 %r4, %r3, 4;\nshr.u32 %r5, %r2, 2;\nadd.u32 %r4, %r4, %r5;\n"
    "shl.b32 %r4, %r4, 3;\nand.b32 %r5, %r2, 3;\nshl.b32 %r5, %r5, 1;\n"
    "add.u32 %r4, %r4, %r5;\nmul.wide.u32 %t, %r4, 4;\nadd.u64 %y, %y, %t;\n"
    "st.global.v2.f32 [%y], {%f0, %f1};\n"
    "st.global.v2.f32 [%y+256], {%f2, %f3};\nret;\n}\n";

#endif  // BENCH_DECODE_H_
