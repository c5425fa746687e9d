// The least that a server of datagrams can do: one socket, one buffer, no limits, no
// log. It shows what the kernel allows.

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_BYTES = 65536 };

static char buffer[MOST_BYTES];

int main(int count, char **values) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in local = {.sin_family = AF_INET}, peer;
  if (count != 2) return 2;
  local.sin_port = htons(atoi(values[1]));
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, (void *)&local, sizeof local) < 0) {
    perror("bind");
    return 1;
  }
  for (;;) {
    socklen_t size = sizeof peer;
    ssize_t length = recvfrom(fd, buffer, sizeof buffer, 0, (void *)&peer, &size);
    if (length >= 0) sendto(fd, buffer, length, 0, (void *)&peer, size);
  }
}
