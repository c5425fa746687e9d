// The least that a server can do: one thread, one buffer, no limits, no timeouts,
// no log. It shows what the kernel allows. Linux alone.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024, MOST_EVENTS = 512 };

static char buffer[BUFFER_BYTES];

// Returns whether the connection stays open.
static int echo(int fd) {
  ssize_t length = recv(fd, buffer, sizeof buffer, 0);
  for (ssize_t sent = 0; sent < length;) {
    ssize_t written = send(fd, buffer + sent, length - sent, MSG_NOSIGNAL);
    if (written > 0) {
      sent += written;
    } else if (errno == EAGAIN) {
      // A client that does not read holds up all others. A real server may not.
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
    } else {
      return 0;
    }
  }
  return length > 0 || (length < 0 && errno == EAGAIN);
}

int main(int count, char **values) {
  int on = 1;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in addr = {.sin_family = AF_INET};
  if (count != 2) return 2;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  addr.sin_port = htons(atoi(values[1]));
  addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (void *)&addr, sizeof addr) < 0 || listen(listener, 4096) < 0) {
    perror("listen");
    return 1;
  }

  int poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  struct epoll_event events[MOST_EVENTS];
  for (;;) {
    int ready = epoll_wait(poller, events, MOST_EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (!echo(fd)) close(fd);
        continue;
      }
      while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
      }
    }
  }
}
