// SPDX-License-Identifier: Apache-2.0
// Split panels with a mistake in their synchronisation, made in the text of the
// kernel: the blocks of a launch pass their sums on through global memory, and
// what orders that (codegen/nvptx/finish.c) must be missed when it is not
// there. On the emulated driver only: a device need not show it.
#include "device.h"
#include "test.h"

enum { SEEDS = 4 };

static const char unordered[] = "of global memory not ordered after the ";

// With 16 tokens the k-slices' last barrier is behind all stores to slots, and
// thread 0's fence covers them; with 200 there are no k-slices.
enum { DECODE = 16, PREFILL = 200 };

typedef struct mistake {
  const char *label;
  uint32_t tokens;
  const char *from, *to;
  const char *says;  // NULL: it is none
} mistake;

static const mistake mistakes[] = {
    {"as it is", DECODE, "atom.acq_rel.gpu", "atom.acq_rel.gpu", NULL},
    {"as it is", PREFILL, "atom.acq_rel.gpu", "atom.acq_rel.gpu", NULL},
    {"a relaxed counter", DECODE, "atom.acq_rel.gpu", "atom.relaxed.gpu",
     unordered},
    {"a relaxed counter", PREFILL, "atom.acq_rel.gpu", "atom.relaxed.gpu",
     unordered},
    {"nothing released", PREFILL, "atom.acq_rel.gpu", "atom.acquire.gpu",
     unordered},
    {"nothing acquired", DECODE, "atom.acq_rel.gpu", "atom.release.gpu",
     unordered},
    {"nothing acquired", PREFILL, "atom.acq_rel.gpu", "atom.release.gpu",
     unordered},
    {"for the block alone", DECODE, "atom.acq_rel.gpu", "atom.acq_rel.cta",
     "their scopes do not include each other"},
    {"counted before all have stored", PREFILL,
     "fence.acq_rel.gpu;\n\tbar.sync \t0;", "fence.acq_rel.gpu;", unordered},
    {"slots read before the flag", DECODE, "bar.sync \t0;\n\tld.shared.b32",
     "ld.shared.b32", unordered},
    {"slots as read-only memory", DECODE, "@p ld.relaxed.gpu.global",
     "@p ld.global.nc", "read-only load of global memory"},
    // The barrier and the atomic order all that the ISA asks for: what is
    // released is cumulative. The fence is one more.
    {"without the fence", DECODE, "fence.acq_rel.gpu;", "", NULL},
    {"without the fence", PREFILL, "fence.acq_rel.gpu;", "", NULL},
    {"with a narrow fence", PREFILL, "fence.acq_rel.gpu;", "fence.acq_rel.cta;",
     NULL},
    {"weak reads of slots", DECODE, "@p ld.relaxed.gpu.global", "@p ld.global",
     NULL},
};

// Whether a race was found that says |words|.
static bool is_found(const driver *d, const char *words) {
  size_t count = d->tessera_emu_finding_count();
  for (size_t i = 0; i < count; ++i) {
    tessera_emu_finding finding = {.struct_size = sizeof(finding)};
    if (d->tessera_emu_get_finding(i, &finding) == 0 &&
        finding.kind == TESSERA_EMU_RACE &&
        strstr(finding.message, words) != NULL) {
      return true;
    }
  }
  return false;
}

static bool run_mistake(device *dev, const layer *l, const mistake *m) {
  device_edit(dev, m->from, m->to);
  for (uint64_t seed = 1; seed <= SEEDS; ++seed) {
    run_result result;
    run_options options = {.label = m->label,
                           .target = "sm_80",
                           .tokens = m->tokens,
                           .data_seed = seed};
    bool ok = run_layer(dev, l, &options, &result);
    if (result.cut == NULL || result.cut->reduction_count == 0) return false;
    if (m->says == NULL ? !ok : !is_found(&dev->d, m->says)) return false;
  }
  return true;
}

int main(int argc, char **argv) {
  device dev;
  if (argc < 2 || !device_open(&dev, argv[1], "h100")) return 1;
  if (!driver_is_emulated(&dev.d)) {
    fprintf(stderr, "skipped: not the emulated driver\n");
    return 77;
  }
  layer l;
  layer_options options = {.spec = {.rows = 256,
                                    .columns = 512,
                                    .tile = {128, 128},
                                    .weight_type = TSR_DTYPE_F16,
                                    .output_type = TSR_DTYPE_F16,
                                    .has_bias = true,
                                    .has_residual = true},
                           .mix = LAYER_RANDOM_50,
                           .workers = 7,
                           .split = true,
                           .seed = 7};
  CHECK(layer_create(&options, &l));
  for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); ++i) {
    bool ok = run_mistake(&dev, &l, &mistakes[i]);
    printf("%-32s %3u tokens: %s\n", mistakes[i].label, mistakes[i].tokens,
           ok ? "ok" : "FAILED");
    CHECK(ok);
  }
  layer_destroy(&l);
  device_close(&dev);
  return test_finish();
}
