// What load.c and load_udp.c share: failing, time, and the line of JSON.

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 5, MOST_SAMPLES = 16 << 20, MOST_EVENTS = 512 };

static double *latencies;
static size_t samples;

static void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  exit(1);
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static void make_room_for_latencies(void) {
  // A page of it takes no memory until it is written to.
  latencies = malloc(MOST_SAMPLES * sizeof *latencies);
  if (!latencies) fail("out of memory");
}

static void add_latency(double seconds) {
  if (samples < MOST_SAMPLES) latencies[samples++] = seconds;
}

static int by_size(const void *a, const void *b) {
  double x = *(double *)a, y = *(double *)b;
  return (x > y) - (x < y);
}

static double percentile(double percent) {
  return latencies[(size_t)((samples - 1) * percent / 100)] * 1e3;
}

// Prints the rate and the latencies, and leaves the object of JSON open. LONGEST is
// the longest wait of those that still wait, in milliseconds.
static void print_latencies(double rate, double longest) {
  qsort(latencies, samples, sizeof *latencies, by_size);
  printf("{\"rate\":%.1f,\"latencyMs\":{\"p50\":%.4f,\"p99\":%.4f,\"p99_9\":%.4f,"
         "\"max\":%.4f}",
         rate, percentile(50), percentile(99), percentile(99.9),
         percentile(100) > longest ? percentile(100) : longest);
}
