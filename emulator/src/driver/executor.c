// SPDX-License-Identifier: Apache-2.0
// Runs what streams have queued. Operations run when something waits for them:
// a result that was read too early is then always stale, as it may be on a
// device. What is needed runs in the order that the program has asked for;
// what else is ready runs before it, or not, as the seed has it.
//
// One thread executes at a time. It holds the driver's lock but for callbacks
// of the program and while it waits for a value; others wait until it is done.
#include <time.h>

#include "base/memory.h"
#include "driver/driver.h"

static bool executing;

static void begin(void) {
  while (executing) tsr_driver_wait();
  executing = true;
}

static void end(void) {
  executing = false;
  tsr_driver_wake();
}

void tsr_run_all(void) {
  begin();
  end();
}

void tsr_operation_release(tsr_operation *operation) {
  if (operation == NULL || --operation->references > 0) return;
  for (uint32_t i = 0; i < operation->after_count; ++i) {
    tsr_operation_release(operation->after[i]);
  }
  tsr_free(operation->after);
  tsr_work_release(operation->work);
  tsr_free(operation);
}

void tsr_operation_finish(tsr_operation *operation) {
  operation->done = true;
  operation->stream = NULL;
  for (uint32_t i = 0; i < operation->after_count; ++i) {
    tsr_operation_release(operation->after[i]);
  }
  tsr_free(operation->after);
  operation->after = NULL;
  operation->after_count = 0;
  tsr_work_release(operation->work);
  operation->work = NULL;
  tsr_operation_release(operation);
}

static const tsr_operation *undone(const tsr_operation *operation) {
  for (uint32_t i = 0; i < operation->after_count; ++i) {
    if (!operation->after[i]->done) return operation->after[i];
  }
  return NULL;
}

static bool is_ready(const CUstream stream) {
  return stream->head != NULL && undone(stream->head) == NULL &&
         tsr_work_ready(stream->head->work);
}

// The stream whose head has to run first for |operation| to get its turn.
// Operations depend on earlier ones only, so this comes to an end.
static CUstream needed_for(const tsr_operation *operation) {
  const tsr_operation *head = operation->stream->head;
  const tsr_operation *before;
  while ((before = undone(head)) != NULL) head = before->stream->head;
  return head->stream;
}

static double start_of(const tsr_operation *operation) {
  double start = operation->stream->time;
  if (operation->submitted > start) start = operation->submitted;
  for (uint32_t i = 0; i < operation->after_count; ++i) {
    if (operation->after[i]->end > start) start = operation->after[i]->end;
  }
  return start;
}

// Takes the head off its queue.
static void finish_head(CUstream stream, double time) {
  tsr_operation *head = stream->head;
  stream->time = time;
  head->end = time;
  stream->head = head->next;
  if (stream->head == NULL) stream->tail = NULL;
  --stream->pending;
  tsr_operation_finish(head);
  if (stream->zombie && stream->head == NULL) tsr_stream_free(stream);
}

// Whether |second| may overlap with the kernel in front of it.
static bool is_pair(const tsr_operation *first) {
  const tsr_operation *second = first->next;
  return first->work->kind == TSR_WORK_KERNEL && second != NULL &&
         second->work->kind == TSR_WORK_KERNEL &&
         second->work->as.kernel.programmatic &&
         !first->work->as.kernel.cooperative &&
         !second->work->as.kernel.cooperative && undone(second) == NULL;
}

// After a fault nothing runs any more; callbacks are told, memory is freed.
static bool runs_after_fault(tsr_work_kind kind) {
  return kind == TSR_WORK_CALLBACK || kind == TSR_WORK_FREE;
}

static void run_head(CUstream stream) {
  tsr_operation *head = stream->head;
  CUcontext context = stream->context;
  double start = start_of(head), seconds = 0;
  bool pair = false;
  if (context->fault == CUDA_SUCCESS || runs_after_fault(head->work->kind)) {
    pair = is_pair(head);
    CUresult result =
        pair ? tsr_work_run_pair(head->work, head->next->work, &seconds)
             : tsr_work_run(head->work, stream, start, &seconds);
    if (result != CUDA_SUCCESS && context->fault == CUDA_SUCCESS) {
      context->fault = result;
    }
  }
  tsr_operation *second = pair ? head->next : NULL;
  if (second != NULL) finish_head(stream, start);
  finish_head(stream, start + seconds);
}

// A ready stream of |context|, drawn; NULL when there is none.
static CUstream draw_ready(CUcontext context) {
  uint32_t count = 0;
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    count += is_ready(at);
  }
  if (count == 0) return NULL;
  uint64_t index = tsr_driver_choice() % count;
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    if (is_ready(at) && index-- == 0) return at;
  }
  return NULL;
}

// Everything that could run waits for a value in memory that a kernel of
// another context or the program itself has to write.
static void wait_for_value(void) {
  for (CUcontext at = tsr_the.contexts; at != NULL; at = at->next) {
    CUstream ready = draw_ready(at);
    if (ready == NULL) continue;
    run_head(ready);
    return;
  }
  tsr_driver_unlock();
  struct timespec pause = {.tv_nsec = 50000};
  (void)nanosleep(&pause, NULL);
  tsr_driver_lock();
}

static void run_towards(CUcontext context, tsr_operation *operation) {
  // Half of all waits run only what they must: others are late. The rest mixes
  // others in: they are early.
  bool mixes = (tsr_driver_choice() & 1) != 0;
  while (!operation->done) {
    CUstream stream = needed_for(operation);
    if (mixes && (tsr_driver_choice() & 1) != 0) {
      CUstream other = draw_ready(context);
      if (other != NULL) stream = other;
    }
    if (is_ready(stream)) {
      run_head(stream);
    } else {
      wait_for_value();
    }
  }
}

CUresult tsr_run_operation(CUcontext context, tsr_operation *operation) {
  ++operation->references;
  begin();
  run_towards(context, operation);
  end();
  if (operation->end > tsr_the.host_time) tsr_the.host_time = operation->end;
  tsr_operation_release(operation);
  return context->fault;
}

CUresult tsr_run_stream(CUstream stream) {
  CUcontext context = stream->context;
  if (stream->tail == NULL) {
    // Another thread may be about to finish its last operation.
    begin();
    end();
  }
  if (stream->tail != NULL) return tsr_run_operation(context, stream->tail);
  if (stream->time > tsr_the.host_time) tsr_the.host_time = stream->time;
  return context->fault;
}

// The last operation of a stream that is drawn; NULL when all is done.
static tsr_operation *draw_pending(CUcontext context) {
  uint32_t count = 0;
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    count += at->tail != NULL;
  }
  if (count == 0) return NULL;
  uint64_t index = tsr_driver_choice() % count;
  for (CUstream at = context->streams; at != NULL; at = at->next) {
    if (at->tail != NULL && index-- == 0) return at->tail;
  }
  return NULL;
}

CUresult tsr_run_context(CUcontext context) {
  begin();
  tsr_operation *operation;
  while (!context->destroyed && (operation = draw_pending(context)) != NULL) {
    ++operation->references;
    run_towards(context, operation);
    if (operation->end > tsr_the.host_time) tsr_the.host_time = operation->end;
    tsr_operation_release(operation);
  }
  end();
  return context->fault;
}

void tsr_run_ready(CUstream stream, uint32_t keep) {
  if (executing) return;  // a callback's thread goes on with it
  begin();
  while (stream->pending > keep) {
    CUstream next = needed_for(stream->head);
    if (!is_ready(next)) break;
    bool last = next == stream && stream->pending == 1;
    run_head(next);
    if (last) break;  // a zombie is gone now
  }
  end();
}
