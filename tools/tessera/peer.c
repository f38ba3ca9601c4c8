// SPDX-License-Identifier: Apache-2.0
// See peer.h. The declarations are those of the CBLAS standard.
#include "peer.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { CBLAS_ROW_MAJOR = 101, CBLAS_NO_TRANSPOSE = 111, CBLAS_TRANSPOSE = 112 };

typedef void (*sgemv_function)(int order, int transpose, int rows, int columns,
                               float alpha, const float *a, int lda,
                               const float *x, int incx, float beta, float *y,
                               int incy);
typedef void (*sgemm_function)(int order, int transpose_a, int transpose_b,
                               int m, int n, int k, float alpha, const float *a,
                               int lda, const float *b, int ldb, float beta,
                               float *c, int ldc);

struct tsr_peer {
  void *library;
  sgemv_function sgemv;
  sgemm_function sgemm;
  char description[160];
};

// ISO C has no conversion from an object's pointer to a function's.
#define LOOKUP(peer, member, name)                            \
  do {                                                        \
    void *symbol = dlsym((peer)->library, name);              \
    memcpy(&(peer)->member, &symbol, sizeof((peer)->member)); \
  } while (0)

static void describe(tsr_peer *peer, void (*set_threads)(int),
                     char *(*get_config)(void), uint32_t thread_count) {
  if (set_threads != NULL) set_threads((int)thread_count);
  (void)snprintf(peer->description, sizeof(peer->description), "%s",
                 get_config != NULL ? get_config() : "OpenBLAS");
}

tsr_status tsr_peer_open(uint32_t thread_count, tsr_peer **out_peer,
                         tsr_error *error) {
  *out_peer = NULL;
  tsr_peer *peer = tsr_calloc(1, sizeof(*peer));
  if (peer == NULL) return tsr_error_out_of_memory(error);
  // Idle threads of it otherwise spin for long and slow down what is measured
  // next to it. Read once, when the library is loaded.
  (void)setenv("OPENBLAS_THREAD_TIMEOUT", "4", 0);
  peer->library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  tsr_status status = TSR_OK;
  if (peer->library != NULL) {
    struct {
      void *library;
      void (*set_threads)(int);
      char *(*get_config)(void);
    } optional = {.library = peer->library};
    LOOKUP(peer, sgemv, "cblas_sgemv");
    LOOKUP(peer, sgemm, "cblas_sgemm");
    LOOKUP(&optional, set_threads, "openblas_set_num_threads");
    LOOKUP(&optional, get_config, "openblas_get_config");
    describe(peer, optional.set_threads, optional.get_config, thread_count);
  }
  if (peer->sgemv == NULL || peer->sgemm == NULL) {
    status = tsr_error_set(error, TSR_UNSUPPORTED,
                           "cannot load libopenblas.so.0 (Debian: "
                           "libopenblas0-pthread)");
  }
  if (status == TSR_OK) {
    *out_peer = peer;
  } else {
    tsr_peer_close(peer);
  }
  return status;
}

void tsr_peer_close(tsr_peer *peer) {
  // The library stays: its threads cannot be unloaded safely.
  tsr_free(peer);
}

const char *tsr_peer_description(const tsr_peer *peer) {
  return peer->description;
}

void tsr_peer_run(const tsr_peer *peer, const tsr_peer_product *p) {
  int rows = (int)p->rows;
  int columns = (int)p->columns;
  if (p->tokens == 1) {
    peer->sgemv(CBLAS_ROW_MAJOR, CBLAS_NO_TRANSPOSE, rows, columns, 1.0f,
                p->weights, columns, p->input, 1, 0.0f, p->output, 1);
  } else {
    peer->sgemm(CBLAS_ROW_MAJOR, CBLAS_NO_TRANSPOSE, CBLAS_TRANSPOSE,
                (int)p->tokens, rows, columns, 1.0f, p->input, columns,
                p->weights, columns, 0.0f, p->output, rows);
  }
}
