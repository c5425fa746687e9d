// How the bytes of a connection travel: in TLS, by OpenSSL. See channel_tcp.h.
//
// Any certificate will do: the benchmark has started the server itself. A
// handshake is always a full one, as no session is resumed.

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

typedef struct {
  int fd;
  SSL *ssl;
} Channel;

static SSL_CTX *context;

static void prepare_channels(void) {
  // OpenSSL writes with write(2), to which nobody can give MSG_NOSIGNAL.
  signal(SIGPIPE, SIG_IGN);
  context = SSL_CTX_new(TLS_client_method());
  if (!context) fail("SSL_CTX_new");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // One recv(2) a record. Otherwise the head of each record takes one of its own.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void open_channel(Channel *channel, int fd) {
  channel->fd = fd;
  channel->ssl = SSL_new(context);
  if (!channel->ssl || !SSL_set_fd(channel->ssl, fd)) fail("SSL_new");
  SSL_set_connect_state(channel->ssl);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void close_channel(Channel *channel) {
  SSL_shutdown(channel->ssl);
  ERR_clear_error();
  SSL_free(channel->ssl);
  close(channel->fd);
}

// Ends the program unless OpenSSL only has to wait for the socket.
static void check(Channel *channel, int result, const char *what) {
  int error = SSL_get_error(channel->ssl, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  if (error == SSL_ERROR_ZERO_RETURN) fail("%s: the server closed", what);
  const char *reason = ERR_reason_error_string(ERR_get_error());
  fail("%s: %s", what, reason ? reason : strerror(errno));
}

// Goes on with the handshake, and returns whether bytes can be sent.
static int is_established(Channel *channel) {
  if (SSL_is_init_finished(channel->ssl)) return 1;
  int result = SSL_do_handshake(channel->ssl);
  if (result == 1) return 1;
  check(channel, result, "handshake");
  return 0;
}

// Returns how many bytes were sent, which may be none.
static size_t send_some(Channel *channel, const char *from, size_t most) {
  if (!is_established(channel)) return 0;
  // A record takes 16 KiB at most.
  size_t sent = 0;
  while (sent < most) {
    int length = SSL_write(channel->ssl, from + sent, most - sent);
    if (length > 0) {
      sent += length;
      continue;
    }
    check(channel, length, "send");
    break;
  }
  return sent;
}

// Returns how many bytes came, which may be none. Ends the program if the server
// closed.
static size_t receive_some(Channel *channel, char *to, size_t most) {
  if (!is_established(channel)) return 0;
  // epoll(7) does not tell of records that OpenSSL has read ahead.
  size_t received = 0;
  do {
    int length = SSL_read(channel->ssl, to + received, most - received);
    if (length <= 0) {
      check(channel, length, "recv");
      break;
    }
    received += length;
  } while (received < most && SSL_has_pending(channel->ssl));
  return received;
}
