// Loads an echo server on 127.0.0.1, and prints one line of JSON:
//
//   load KIND PORT CONNECTIONS BYTES WARMUP_SECONDS SECONDS
//
// roundtrips   each connection sends BYTES, waits until they are back, compares
//              them, and sends again: messages per second, latencies in milliseconds
// streams      each connection sends all the time, reads the bytes that come back,
//              and compares them: MiB per second
// asker        CONNECTIONS streams, and one more connection that sends BYTES every 30
//              ms, if those before are back: MiB per second of the streams, latencies
//              of the one
// connections  each of CONNECTIONS slots connects, makes one round trip, closes,
//              and connects again: connections per second
// idle         each connection makes one round trip and then nothing. The line is
//              printed after all round trips; the connections stay open until
//              stdin ends
//
// Built with -DTLS it does the same in TLS.
//
// Linux alone: this uses epoll(7) and the addresses 127.0.0.0/8 of loopback.

#include "load_common.h"
#include <netinet/tcp.h>
#ifdef TLS
#include "channel_tls.h"
#else
#include "channel_tcp.h"
#endif

// A stream repeats itself after PERIOD bytes: no power of two, so that a server that
// sends a buffer of its own twice or not at all is noticed.
enum { ASKS_A_SECOND = 33, STREAM_BYTES = 256 * 1024, PERIOD = 251 };

// A server's queue of connections that it has not accepted has room for so many.
enum { OPENED_AT_ONCE = 50 };

typedef struct {
  Channel channel;
  size_t sent, received;
  double sent_at;
} Connection;

static const char *kind;
static struct sockaddr_in server;
static size_t bytes;
static int poller;
static char *message, *inbox;

static void watch(Connection *connection, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(poller, operation, connection->channel.fd, &event) < 0)
    fail("epoll_ctl: %s", strerror(errno));
}

// Connects from one of 250 addresses: those have enough ports, of which each
// stays in TIME_WAIT for a while.
static void open_connection(Connection *connection) {
  static unsigned count;
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in local = {.sin_family = AF_INET};
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK + count++ % 250);
  if (fd < 0) fail("socket: %s", strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, (void *)&local, sizeof local) < 0)
    fail("bind: %s", strerror(errno));
  if (connect(fd, (void *)&server, sizeof server) < 0)
    fail("connect: %s", strerror(errno));
  open_channel(&connection->channel, fd);
  connection->sent = connection->received = 0;
}

// Sends what is left of the message, if the handshake is done.
static void go_on_sending(Connection *connection) {
  size_t left = bytes - connection->sent;
  size_t sent =
      send_some(&connection->channel, message + connection->sent, left);
  if (sent > 0 && sent < left) fail("a message is larger than the buffers");
  connection->sent += sent;
}

static void send_message(Connection *connection) {
  connection->sent_at = seconds_now();
  connection->sent = connection->received = 0;
  go_on_sending(connection);
}

static void check_bytes(const char *sent, size_t length) {
  if (memcmp(inbox, sent, length)) fail("other bytes came back than were sent");
}

// Returns whether all of the message is back. Ends the program if other bytes came.
static int receive_message(Connection *connection) {
  if (connection->sent < bytes) {
    go_on_sending(connection);
    return 0;
  }
  size_t length = receive_some(&connection->channel, inbox, bytes + 1);
  size_t end = connection->received + length;
  if (end > bytes) fail("more bytes came back than were sent");
  check_bytes(message + connection->received, length);
  connection->received = end;
  return end == bytes;
}

// Waits until as many messages as WAITING are back: their connections are accepted.
static void await_replies(int *waiting) {
  while (*waiting > 0) {
    struct epoll_event event;
    if (epoll_wait(poller, &event, 1, PATIENCE_SECONDS * 1000) < 1)
      fail("no reply");
    if (receive_message(event.data.ptr)) --*waiting;
  }
}

static void send_stream(Connection *connection) {
  const char *from = message + connection->sent % PERIOD;
  connection->sent += send_some(&connection->channel, from, STREAM_BYTES);
}

// Returns how many bytes came. Ends the program if they are not those that were sent.
static size_t receive_stream(Connection *connection) {
  size_t length = receive_some(&connection->channel, inbox, STREAM_BYTES);
  check_bytes(message + connection->received % PERIOD, length);
  connection->received += length;
  return length;
}

// Takes the reply as soon as it is there, and asks again when it is time.
static void ask(Connection *asker, double now) {
  if (asker->received < bytes && receive_message(asker))
    add_latency(seconds_now() - asker->sent_at);
  if (asker->received == bytes && now - asker->sent_at >= 1.0 / ASKS_A_SECOND)
    send_message(asker);
}

int main(int count, char **values) {
  if (count != 7)
    fail("load KIND PORT CONNECTIONS BYTES WARMUP_SECONDS SECONDS");
  kind = values[1];
  server.sin_family = AF_INET;
  server.sin_port = htons(atoi(values[2]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int connections = atoi(values[3]);
  bytes = atoi(values[4]);
  double warmup = atof(values[5]), duration = atof(values[6]);
  int is_roundtrips = !strcmp(kind, "roundtrips");
  int is_asker = !strcmp(kind, "asker");
  int is_streams = is_asker || !strcmp(kind, "streams");
  int is_idle = !strcmp(kind, "idle");
  if (bytes > STREAM_BYTES) fail("BYTES is more than %d", STREAM_BYTES);

  poller = epoll_create1(0);
  message = malloc(STREAM_BYTES + PERIOD);
  inbox = malloc(STREAM_BYTES + 1);
  for (size_t i = 0; i < STREAM_BYTES + PERIOD; i++)
    message[i] = i % PERIOD * 31 + 7;
  Connection *all = calloc(connections, sizeof *all);
  if (!all) fail("out of memory");
  make_room_for_latencies();
  prepare_channels();

  int waiting = 0;
  for (int i = 0; i < connections; i++) {
    open_connection(&all[i]);
    watch(&all[i], EPOLL_CTL_ADD, is_streams ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (is_streams) continue;
    send_message(&all[i]);
    if (++waiting == OPENED_AT_ONCE) await_replies(&waiting);
  }
  await_replies(&waiting);
  if (is_idle) {
    printf("{\"rate\":%d}\n", connections);
    fflush(stdout);
    while (read(STDIN_FILENO, inbox, 1) > 0) {}
    return 0;
  }

  for (int i = 0; i < connections && !is_streams; i++) send_message(&all[i]);
  Connection asker = {0};
  if (is_asker) {
    open_connection(&asker);
    send_message(&asker);
  }
  double start = seconds_now() + warmup, now = 0, end = start + duration;
  double last = start;
  double done = 0;
  int is_warm = 0;
  struct epoll_event events[MOST_EVENTS];
  // On a busy machine nothing may come back in a short time: that is slow, and no
  // failure yet.
  while ((now = seconds_now()) < end || !is_warm || !done) {
    if (!is_warm && now >= start) {
      is_warm = 1;
      start = now;
      done = samples = 0;
    }
    // Polls and does not sleep: the server would have to wake a load that sleeps,
    // which on a virtual machine is the greater part of the server's work.
    int ready = epoll_wait(poller, events, MOST_EVENTS, 0);
    if (ready < 0) fail("epoll_wait: %s", strerror(errno));
    if (ready == 0) sched_yield();
    else last = now;
    if (now - last > PATIENCE_SECONDS) fail("nothing came back for a while");
    for (int i = 0; i < ready; i++) {
      Connection *connection = events[i].data.ptr;
      if (is_streams) {
        if (events[i].events & EPOLLOUT) send_stream(connection);
        if (events[i].events & ~EPOLLOUT)
          done += receive_stream(connection) / 1048576.0;
        if (is_asker) ask(&asker, now);
      } else if (receive_message(connection)) {
        done++;
        if (is_roundtrips) {
          add_latency(seconds_now() - connection->sent_at);
        } else {
          close_channel(&connection->channel);
          open_connection(connection);
          watch(connection, EPOLL_CTL_ADD, EPOLLIN);
        }
        send_message(connection);
      }
    }
  }
  double rate = done / (now - start);
  // A connection that still waits may have waited the longest.
  double longest = 0;
  for (int i = 0; i < connections && is_roundtrips; i++)
    if (now - all[i].sent_at > longest) longest = now - all[i].sent_at;
  if (is_asker && asker.received < bytes) {
    longest = now - asker.sent_at;
    if (!samples) add_latency(longest);
  }
  if (is_roundtrips || is_asker) print_latencies(rate, longest * 1e3);
  else printf("{\"rate\":%.1f", rate);
  puts("}");
}
