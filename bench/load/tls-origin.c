/* The TLS origin of the interception benchmarks: `tls-origin CHAIN KEY`. One epoll loop, one listener on
 * 127.0.0.1, HTTP/1.1 alone, an answer of 1 KiB to every head. Prints its port as one line of JSON and ends
 * when its standard input does; it looks at nothing of a request but its end. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES 16384
#define BODY_BYTES 1024

struct conn {
  int fd;
  SSL *tls;
  int secured, head_len;
  char head[HEAD_BYTES];
};

static char answer[BODY_BYTES + 256];
static int answer_len;

static void fail(const char *what) {
  perror(what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void drop(struct conn *c) {
  SSL_free(c->tls);
  close(c->fd);
  free(c);
}

/* -1: over. Reads until there is nothing more, for the events are edge-triggered. */
static int serve(struct conn *c) {
  ERR_clear_error();
  if (!c->secured) {
    int done = SSL_accept(c->tls);
    if (done != 1) return SSL_get_error(c->tls, done) == SSL_ERROR_WANT_READ ? 0 : -1;
    c->secured = 1;
  }
  for (;;) {
    if (c->head_len == HEAD_BYTES) return -1;
    int n = SSL_read(c->tls, c->head + c->head_len, HEAD_BYTES - c->head_len);
    if (n <= 0) return SSL_get_error(c->tls, n) == SSL_ERROR_WANT_READ ? 0 : -1;
    c->head_len += n;
    if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4) != 0) continue;
    c->head_len = 0;
    if (SSL_write(c->tls, answer, answer_len) != answer_len) return -1;
  }
}

/* HTTP/1.1 whatever else is offered, so that all proxies speak the same to it. */
static int choose(SSL *tls, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned int in_len, void *unused) {
  static const unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  (void)tls, (void)unused;
  return SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof ours, in, in_len) == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static void watch(int epoll, int fd, void *who, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = who};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static void accept_all(int epoll, int listener, SSL_CTX *context) {
  for (int i = 0; i < 64; i++) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL) fail("calloc");
    c->fd = fd;
    c->tls = SSL_new(context);
    SSL_set_fd(c->tls, fd);
    SSL_set_accept_state(c->tls);
    watch(epoll, fd, c, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 || SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1) fail("certificate");
  SSL_CTX_set_alpn_select_cb(context, choose, NULL);
  SSL_CTX_set_session_id_context(context, (const unsigned char *)"bench", 5);
  answer_len = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n"
                        "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", BODY_BYTES);
  memset(answer + answer_len, 'x', BODY_BYTES);
  answer_len += BODY_BYTES;

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 4096) < 0) fail("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &size) < 0) fail("getsockname");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener, &listener, EPOLLIN);
  watch(epoll, STDIN_FILENO, NULL, EPOLLIN | EPOLLHUP);
  printf("{\"tls\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);

  struct epoll_event events[256];
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      char byte;
      if (events[i].data.ptr == NULL) {
        if (read(STDIN_FILENO, &byte, 1) <= 0) return 0;
      } else if (events[i].data.ptr == &listener) {
        accept_all(epoll, listener, context);
      } else if (serve(events[i].data.ptr) < 0) {
        drop(events[i].data.ptr);
      }
    }
  }
}
