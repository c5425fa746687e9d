// How the bytes of a connection travel: as they are. See channel_tls.h.

typedef struct {
  int fd;
} Channel;

static void prepare_channels(void) {}

static void open_channel(Channel *channel, int fd) { channel->fd = fd; }

static void close_channel(Channel *channel) { close(channel->fd); }

// Returns how many bytes were sent, which may be none.
static size_t send_some(Channel *channel, const char *from, size_t most) {
  ssize_t sent = send(channel->fd, from, most, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) fail("send: %s", strerror(errno));
  return sent < 0 ? 0 : sent;
}

// Returns how many bytes came, which may be none. Ends the program if the server
// closed.
static size_t receive_some(Channel *channel, char *to, size_t most) {
  ssize_t length = recv(channel->fd, to, most, MSG_DONTWAIT);
  if (length > 0) return length;
  if (length < 0 && errno == EAGAIN) return 0;
  fail(length ? "recv: %s" : "recv: the server closed", strerror(errno));
  return 0;
}
