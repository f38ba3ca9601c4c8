// SPDX-License-Identifier: Apache-2.0
#include "common/progress.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "common/terminal.h"

// Drawing more often than the eye sees only slows the work; a log wants a line
// now and then.
static const double BAR_INTERVAL = 0.08;
static const double LINE_INTERVAL = 2.0;
enum { LABEL_LIMIT = 160, BAR_CELLS = 24 };

struct tsr_progress {
  FILE *stream;
  bool bar;     // else plain lines
  bool silent;  // -q
  bool utf8;
  bool color;
  const char *verb;
  const char *noun;
  uint64_t step_count, steps;
  uint64_t cost, cost_done;
  double started;
  double shown;  // when last drawn
  pthread_mutex_t mutex;
  char label[LABEL_LIMIT];
};

static double now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double fraction(const tsr_progress *p) {
  double done = (double)p->steps;
  double all = (double)p->step_count;
  if (p->cost != 0) {
    done = (double)p->cost_done;
    all = (double)p->cost;
  }
  if (p->step_count != 0 && p->steps == p->step_count) return 1;
  // 100 % is said when the last step is done, not before.
  double value = all == 0 ? 0 : done / all;
  return value < 0.99 ? value : 0.99;
}

static void append_bar(const tsr_progress *p, double part, tsr_buffer *line) {
  int full = (int)(part * BAR_CELLS);
  tsr_buffer_printf(line, " %s", tsr_style_code(p->color, TSR_STYLE_ACCENT));
  for (int i = 0; i < BAR_CELLS; ++i) {
    if (p->utf8) {
      tsr_buffer_append_string(line, i < full ? "\u2588" : "\u2591");
    } else {
      tsr_buffer_append_char(line, i < full ? '#' : '.');
    }
  }
  tsr_buffer_printf(line, "%s ", tsr_style_code(p->color, TSR_STYLE_NONE));
}

static void append_remaining(const tsr_progress *p, double part, double time,
                             tsr_buffer *line) {
  double elapsed = time - p->started;
  // Early guesses are worse than none.
  if (elapsed < 1 || part < 0.02 || part >= 1) return;
  double left = elapsed * (1 - part) / part;
  if (left < 1) {
    tsr_buffer_append_string(line, ", < 1 s left");
  } else if (left < 100) {
    tsr_buffer_printf(line, ", %.0f s left", left);
  } else {
    tsr_buffer_printf(line, ", %s left", tsr_format_seconds(left).text);
  }
}

static void draw_bar(tsr_progress *p, double time) {
  tsr_buffer line = {0};
  double part = fraction(p);
  tsr_buffer_append_string(&line, p->verb);
  append_bar(p, part, &line);
  size_t hidden = strlen(tsr_style_code(p->color, TSR_STYLE_ACCENT)) +
                  strlen(tsr_style_code(p->color, TSR_STYLE_NONE));
  tsr_buffer_printf(&line, "%3d %%, %llu/%llu %s", (int)(part * 100),
                    (unsigned long long)p->steps,
                    (unsigned long long)p->step_count, p->noun);
  append_remaining(p, part, time, &line);
  if (p->label[0] != '\0') tsr_buffer_printf(&line, "  %s", p->label);
  if (!line.failed) {
    // One cell stays free: a full line would wrap.
    size_t cells = tsr_terminal_width(p->stream) - 1 + hidden;
    size_t size = tsr_text_fit(line.data, line.size, cells);
    (void)fprintf(p->stream, "\r%.*s%s\033[K", (int)size, line.data,
                  tsr_style_code(p->color, TSR_STYLE_NONE));
    (void)fflush(p->stream);
  }
  tsr_buffer_fini(&line);
}

static void draw_line(tsr_progress *p, double time) {
  tsr_buffer line = {0};
  double part = fraction(p);
  tsr_buffer_printf(
      &line, "%s: %llu/%llu %s (%d %%", p->verb, (unsigned long long)p->steps,
      (unsigned long long)p->step_count, p->noun, (int)(part * 100));
  append_remaining(p, part, time, &line);
  tsr_buffer_append_char(&line, ')');
  if (p->label[0] != '\0') tsr_buffer_printf(&line, " %s", p->label);
  (void)fprintf(p->stream, "%s\n", tsr_buffer_text(&line));
  (void)fflush(p->stream);
  tsr_buffer_fini(&line);
}

static void show(tsr_progress *p, bool step) {
  double time = now();
  bool last = p->steps == p->step_count;
  double interval = p->bar ? BAR_INTERVAL : LINE_INTERVAL;
  if (p->silent || (!last && time - p->shown < interval)) return;
  if (p->bar) {
    draw_bar(p, time);
  } else if (step) {
    draw_line(p, time);
  } else {
    return;
  }
  p->shown = time;
}

tsr_progress *tsr_progress_begin(const tsr_cli *cli, const char *verb,
                                 const char *noun, uint64_t step_count,
                                 uint64_t cost) {
  tsr_progress *p = tsr_calloc(1, sizeof(*p));
  if (p == NULL) return NULL;
  if (pthread_mutex_init(&p->mutex, NULL) != 0) {
    tsr_free(p);
    return NULL;
  }
  p->stream = cli->err;
  p->silent = cli->quiet || step_count == 0;
  p->bar = tsr_terminal_can_draw(cli->err);
  p->utf8 = cli->utf8;
  p->color = cli->err_color;
  p->verb = verb;
  p->noun = noun;
  p->step_count = step_count;
  p->cost = cost;
  p->started = now();
  p->shown = p->bar ? p->started - BAR_INTERVAL : p->started;
  show(p, false);
  return p;
}

static void set_label(tsr_progress *p, const char *label) {
  size_t size = label == NULL ? 0 : strlen(label);
  if (size >= LABEL_LIMIT) size = LABEL_LIMIT - 1;
  if (size != 0) memcpy(p->label, label, size);
  p->label[size] = '\0';
}

static void add_cost(tsr_progress *p, uint64_t cost) {
  uint64_t left = p->cost - p->cost_done;
  p->cost_done += cost < left ? cost : left;
}

void tsr_progress_label(tsr_progress *progress, const char *label) {
  if (progress == NULL) return;
  (void)pthread_mutex_lock(&progress->mutex);
  set_label(progress, label);
  show(progress, false);
  (void)pthread_mutex_unlock(&progress->mutex);
}

void tsr_progress_advance(tsr_progress *progress, uint64_t cost) {
  if (progress == NULL) return;
  (void)pthread_mutex_lock(&progress->mutex);
  add_cost(progress, cost);
  show(progress, false);
  (void)pthread_mutex_unlock(&progress->mutex);
}

void tsr_progress_step(tsr_progress *progress, uint64_t cost,
                       const char *label) {
  if (progress == NULL) return;
  (void)pthread_mutex_lock(&progress->mutex);
  add_cost(progress, cost);
  if (progress->steps < progress->step_count) ++progress->steps;
  if (label != NULL) set_label(progress, label);
  show(progress, true);
  (void)pthread_mutex_unlock(&progress->mutex);
}

void tsr_progress_end(tsr_progress *progress) {
  if (progress == NULL) return;
  if (progress->bar && !progress->silent) {
    (void)fputs("\r\033[K", progress->stream);
    (void)fflush(progress->stream);
  }
  (void)pthread_mutex_destroy(&progress->mutex);
  tsr_free(progress);
}
