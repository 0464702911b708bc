/* The origin of the benchmarks: one epoll loop, four listeners on 127.0.0.1, one way of answering each.
 * Prints their ports as one line of JSON and ends when its standard input does. It looks at nothing it
 * receives but lengths, so that it costs as little as it can; it must never be the bottleneck. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum kind { HELLO, DOWNLOAD, UPLOAD, HTTP, KINDS };
static const char *const kind_names[KINDS] = {"hello", "download", "upload", "http"};

#define HEAD_BYTES 8192
#define CHUNK (256 * 1024)
#define BODY_BYTES 1024

struct conn {
  int fd;
  enum kind kind;
  int listening;
  int head_len;  /* bytes of the head so far: hello and count, or an HTTP request */
  int head_done;
  uint64_t left; /* bytes still to send or to receive */
  unsigned char head[HEAD_BYTES];
};

static const unsigned char answer[7] = {0x15, 3, 3, 0, 2, 2, 40}; /* a TLS alert: small and honest */
static char zeros[CHUNK];
static char http_answer[BODY_BYTES + 256];
static int http_answer_len;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void drop(struct conn *c) {
  close(c->fd);
  free(c);
}

/* Reads into the head; how many bytes came, 0 when there is nothing yet, -1 when the connection is over. */
static int read_head(struct conn *c, int limit) {
  if (c->head_len >= limit) return -1;
  ssize_t n = recv(c->fd, c->head + c->head_len, limit - c->head_len, 0);
  if (n < 0) return errno == EAGAIN ? 0 : -1;
  if (n == 0) return -1;
  c->head_len += (int)n;
  return (int)n;
}

/* Length of the TLS record that opens the stream, or 0 while it is unknown. */
static int record_bytes(const struct conn *c) {
  return c->head_len < 5 ? 0 : 5 + (c->head[3] << 8 | c->head[4]);
}

static int on_hello(struct conn *c) {
  char sink[4096];
  if (c->head_done) return recv(c->fd, sink, sizeof sink, 0) == 0 ? -1 : 0;
  if (read_head(c, HEAD_BYTES) < 0) return -1;
  int want = record_bytes(c);
  if (want == 0 || c->head_len < want) return 0;
  c->head_done = 1;
  return send(c->fd, answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer ? 0 : -1;
}

/* The hello and, behind it, eight bytes that say how much to send or to expect. */
static int read_count(struct conn *c) {
  int want = record_bytes(c);
  while (want == 0 || c->head_len < want + 8) {
    int limit = want == 0 ? 5 : want + 8;
    if (limit > HEAD_BYTES) return -1;
    int n = read_head(c, limit);
    if (n <= 0) return n;
    want = record_bytes(c);
  }
  for (int i = 0; i < 8; i++) c->left = c->left << 8 | c->head[want + i];
  c->head_done = 1;
  return 0;
}

static int on_download(struct conn *c) {
  if (!c->head_done && read_count(c) < 0) return -1;
  if (!c->head_done) return 0;
  while (c->left > 0) {
    size_t want = c->left < CHUNK ? c->left : CHUNK;
    ssize_t n = send(c->fd, zeros, want, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    c->left -= (uint64_t)n;
  }
  char sink[64];
  ssize_t n = recv(c->fd, sink, sizeof sink, 0);
  return n == 0 || (n < 0 && errno != EAGAIN) ? -1 : 0;
}

static int on_upload(struct conn *c) {
  if (!c->head_done && read_count(c) < 0) return -1;
  if (!c->head_done) return 0;
  while (c->left > 0) {
    ssize_t n = recv(c->fd, zeros, c->left < CHUNK ? c->left : CHUNK, MSG_TRUNC);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    if (n == 0) return -1;
    c->left -= (uint64_t)n;
    if (c->left == 0 && send(c->fd, answer, 1, MSG_NOSIGNAL) != 1) return -1;
  }
  ssize_t n = recv(c->fd, zeros, 64, 0);
  return n == 0 || (n < 0 && errno != EAGAIN) ? -1 : 0;
}

static int on_http(struct conn *c) {
  int n = read_head(c, HEAD_BYTES);
  if (n <= 0) return n;
  if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) != 0) return 0;
  c->head_len = 0;
  return send(c->fd, http_answer, http_answer_len, MSG_NOSIGNAL) == http_answer_len ? 0 : -1;
}

static int (*const handlers[KINDS])(struct conn *) = {on_hello, on_download, on_upload, on_http};

static struct conn *watch(int epoll, int fd, enum kind kind, int listening) {
  struct conn *c = calloc(1, sizeof *c);
  if (c == NULL) fail("calloc");
  c->fd = fd;
  c->kind = kind;
  c->listening = listening;
  /* edge-triggered: the writable edge only matters to the one that sends in bulk */
  uint32_t events = EPOLLIN | EPOLLRDHUP;
  if (!listening && kind == DOWNLOAD) events |= EPOLLOUT | EPOLLET;
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
  return c;
}

static int listen_on_loopback(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) fail("listen");
  return fd;
}

static int port_of(int fd) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) fail("getsockname");
  return ntohs(address.sin_port);
}

static void accept_all(int epoll, const struct conn *listener) {
  for (int i = 0; i < 64; i++) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    watch(epoll, fd, listener->kind, 0);
  }
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  http_answer_len = snprintf(http_answer, sizeof http_answer,
                             "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n"
                             "Content-Type: application/octet-stream\r\n"
                             "Content-Length: %d\r\n\r\n", BODY_BYTES);
  memset(http_answer + http_answer_len, 'x', BODY_BYTES);
  http_answer_len += BODY_BYTES;

  int epoll = epoll_create1(EPOLL_CLOEXEC);
  printf("{");
  for (int kind = 0; kind < KINDS; kind++) {
    int fd = listen_on_loopback();
    watch(epoll, fd, kind, 1);
    printf("%s\"%s\":%d", kind == 0 ? "" : ",", kind_names[kind], port_of(fd));
  }
  printf("}\n");
  fflush(stdout);
  struct epoll_event end = {.events = EPOLLIN | EPOLLHUP, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &end) < 0) fail("standard input must be a pipe");

  struct epoll_event events[256];
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct conn *c = events[i].data.ptr;
      char byte;
      if (c == NULL) {
        if (read(STDIN_FILENO, &byte, 1) <= 0) return 0;
      } else if (c->listening) {
        accept_all(epoll, c);
      } else if ((events[i].events & EPOLLERR) != 0 || handlers[c->kind](c) < 0) {
        drop(c);
      }
    }
  }
}
