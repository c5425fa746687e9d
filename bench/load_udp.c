// Loads an echo server on 127.0.0.1 with datagrams, and prints one line of JSON:
//
//   load_udp roundtrips PORT SOCKETS BYTES WARMUP_SECONDS SECONDS
//
// Each socket sends BYTES in one datagram, waits until the datagram is back,
// compares it, and sends the next one. The line has the verified round trips
// per second, their latencies in milliseconds, and three counts:
//
// lost     no reply came within LOST_AFTER_SECONDS, nor later; the socket sent the
//          next datagram
// late     the reply came after that, while the socket waited for another one
// wrong    a reply of another length, with another byte, with the number of another
//          socket or of a datagram that was not sent yet, or a second reply to the
//          same datagram; the socket goes on waiting for the right one
//
// A datagram begins with the number of its socket and its own number, four bytes
// each. The bytes after them depend on the datagram's number.
//
// Linux alone: this uses epoll(7).

#include "load_common.h"
#include <stdint.h>

enum { HEAD_BYTES = 8, MOST_BYTES = 65507, PATTERNS = 256, REMEMBERED = 64 };

static const double LOST_AFTER_SECONDS = 0.2, LOOK_EVERY_SECONDS = 0.01;

typedef struct {
  int fd;
  uint32_t socket, number;
  // Which of the REMEMBERED datagrams before this one were given up and did not come
  // since: the lowest bit is the latest one.
  uint64_t given_up;
  double sent_at;
} Asker;

typedef enum { NOTHING, RIGHT, LATE, WRONG } Reply;

static size_t bytes;
static char pattern[MOST_BYTES + PATTERNS], outbox[MOST_BYTES], inbox[MOST_BYTES + 1];

static const char *pattern_of(uint32_t number) {
  return pattern + number % PATTERNS;
}

static void send_next(Asker *asker, int is_given_up) {
  asker->given_up = asker->given_up << 1 | is_given_up;
  uint32_t head[] = {asker->socket, ++asker->number};
  memcpy(outbox, head, HEAD_BYTES);
  memcpy(outbox + HEAD_BYTES, pattern_of(asker->number), bytes - HEAD_BYTES);
  asker->sent_at = seconds_now();
  ssize_t sent = send(asker->fd, outbox, bytes, 0);
  if (sent != (ssize_t)bytes) fail("send: %s", strerror(errno));
}

// Returns whether NUMBER was given up. It is not, from now on.
static int take_given_up(Asker *asker, uint32_t number) {
  uint32_t age = asker->number - number;
  if (age > REMEMBERED) return 0;
  uint64_t bit = (uint64_t)1 << (age - 1);
  int was_given_up = (asker->given_up & bit) != 0;
  asker->given_up &= ~bit;
  return was_given_up;
}

static Reply receive_reply(Asker *asker) {
  ssize_t length = recv(asker->fd, inbox, sizeof inbox, MSG_DONTWAIT);
  if (length < 0 && errno == EAGAIN) return NOTHING;
  // A socket that is connected learns from ICMP that nothing is on the port.
  if (length < 0) fail("recv: %s", strerror(errno));
  uint32_t head[2];
  memcpy(head, inbox, HEAD_BYTES);
  uint32_t number = head[1];
  if (length != (ssize_t)bytes || head[0] != asker->socket || number == 0 ||
      number > asker->number ||
      memcmp(inbox + HEAD_BYTES, pattern_of(number), bytes - HEAD_BYTES))
    return WRONG;
  if (number == asker->number) return RIGHT;
  return take_given_up(asker, number) ? LATE : WRONG;
}

static Asker *open_askers(int poller, int count, int port) {
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Asker *all = calloc(count, sizeof *all);
  if (!all) fail("out of memory");
  for (int i = 0; i < count; i++) {
    Asker *asker = &all[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = asker};
    *asker = (Asker){.fd = socket(AF_INET, SOCK_DGRAM, 0), .socket = i};
    if (asker->fd < 0) fail("socket: %s", strerror(errno));
    if (connect(asker->fd, (void *)&server, sizeof server) < 0)
      fail("connect: %s", strerror(errno));
    if (epoll_ctl(poller, EPOLL_CTL_ADD, asker->fd, &event) < 0)
      fail("epoll_ctl: %s", strerror(errno));
  }
  return all;
}

int main(int count, char **values) {
  if (count != 7 || strcmp(values[1], "roundtrips"))
    fail("load_udp roundtrips PORT SOCKETS BYTES WARMUP_SECONDS SECONDS");
  int sockets = atoi(values[3]);
  bytes = atoi(values[4]);
  double warmup = atof(values[5]), duration = atof(values[6]);
  if (sockets < 1) fail("SOCKETS is less than 1");
  if (bytes < HEAD_BYTES || bytes > MOST_BYTES)
    fail("BYTES is not from %d to %d", HEAD_BYTES, MOST_BYTES);
  // PATTERNS and 31 have no common divisor: each number has a pattern of its own.
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = i * 31 + 7;
  make_room_for_latencies();
  int poller = epoll_create1(0);
  Asker *all = open_askers(poller, sockets, atoi(values[2]));

  double start = seconds_now() + warmup, now = 0, end = start + duration;
  double last = start, looked_at = start;
  long done = 0, lost = 0, late = 0, wrong = 0;
  int is_warm = 0;
  struct epoll_event events[MOST_EVENTS];
  for (int i = 0; i < sockets; i++) send_next(&all[i], 0);
  // On a busy machine nothing may come back in a short time: that is slow, and no
  // failure yet.
  while ((now = seconds_now()) < end || !is_warm || !done) {
    if (!is_warm && now >= start) {
      is_warm = 1;
      start = now;
      done = samples = 0;
    }
    // Polls and does not sleep, as load.c does.
    int ready = epoll_wait(poller, events, MOST_EVENTS, 0);
    if (ready < 0) fail("epoll_wait: %s", strerror(errno));
    if (ready == 0) sched_yield();
    if (now - last > PATIENCE_SECONDS)
      fail("nothing came back for a while: %ld lost, %ld wrong", lost, wrong);
    for (int i = 0; i < ready; i++) {
      Asker *asker = events[i].data.ptr;
      Reply reply = receive_reply(asker);
      wrong += reply == WRONG;
      if (reply == LATE) {
        late++;
        lost--;
      }
      if (reply == RIGHT) {
        last = now;
        done++;
        add_latency(seconds_now() - asker->sent_at);
        send_next(asker, 0);
      }
    }
    if (now - looked_at < LOOK_EVERY_SECONDS) continue;
    looked_at = now;
    for (int i = 0; i < sockets; i++) {
      if (now - all[i].sent_at < LOST_AFTER_SECONDS) continue;
      lost++;
      send_next(&all[i], 1);
    }
  }
  // A datagram that is still under way may have waited the longest.
  double longest = 0;
  for (int i = 0; i < sockets; i++)
    if (now - all[i].sent_at > longest) longest = now - all[i].sent_at;
  print_latencies(done / (now - start), longest * 1e3);
  printf(",\"lost\":%ld,\"late\":%ld,\"wrong\":%ld}\n", lost, late, wrong);
}
