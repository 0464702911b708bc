/* The load generator of the interception benchmarks: one epoll loop, one kind of work a run, one line of JSON
 * at the end.
 *   tls-client MODE PORT CONNECT CONCURRENCY SECONDS COUNT HOST HOST-PORT FIRST
 * MODE is keep (GETs on kept-alive connections), h2 (the same, 8 streams a connection), full (a new connection and a full
 * handshake for each GET), resumed (the same, resuming) or fresh (each GET to a host of its own: HOST holds a
 * %d for FIRST, FIRST + 1, ..., COUNT of them). CONNECT is 1 when the port is a proxy, 0 when it is the origin
 * itself. It speaks only to 127.0.0.1 and ends by itself, after SECONDS or COUNT operations. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { KEEP, H2, FULL, RESUMED, FRESH, MODES };
static const char *const mode_names[MODES] = {"keep", "h2", "full", "resumed", "fresh"};
enum state { CLOSED, CONNECTING, HEAD, SHAKING, OPEN };

#define BUFFER 32768
#define STREAMS 8
#define GRACE_SECONDS 10.0

struct conn {
  int fd, len, served, authority_len;
  enum state state;
  uint32_t next_stream;
  double began;
  SSL *tls;
  SSL_SESSION *session; /* of the connection before, for the next */
  char authority[256], name[256];
  char buffer[BUFFER];
};

static struct {
  enum mode mode;
  int port, connect, concurrency, epoll, host_port;
  double seconds;
  long count, first;
  const char *host;
  SSL_CTX *context;
} run;

static struct {
  uint64_t operations, errors, bytes, started, resumed;
  char first_error[160];
} total;

static int stopping, active;
static double *latencies;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void start(struct conn *c);

static void shut(struct conn *c) {
  if (c->tls != NULL) {
    if (c->state == OPEN) SSL_shutdown(c->tls);
    SSL_free(c->tls);
    c->tls = NULL;
  }
  close(c->fd);
  c->state = CLOSED;
  active--;
}

/* Whether another connection may begin: of fresh hosts there are as many as were asked for. */
static int more(void) {
  return !stopping && (run.mode != FRESH || total.started < (uint64_t)run.count);
}

static void broken(struct conn *c, const char *what) {
  if (c->state == OPEN && c->len == 0 && c->served > 0 && run.mode == KEEP) {
    /* kept alive for nothing: the other end closed between two requests, and a client asks again */
    shut(c);
    if (more()) start(c);
    return;
  }
  total.errors++;
  if (total.first_error[0] == 0) {
    int seen = c->len < 60 ? c->len : 60;
    unsigned long code = ERR_peek_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    snprintf(total.first_error, sizeof total.first_error, "%s%s%s%s%.*s", what, reason == NULL ? "" : ": ", reason == NULL ? "" : reason,
             seen > 0 ? " after: " : "", seen, c->buffer);
    for (char *p = total.first_error; *p != 0; p++)
      if (*p < 32 || *p == '"' || *p == '\\' || *p > 126) *p = ' ';
  }
  shut(c);
  if (total.errors > 200) stopping = 1;
  if (more()) start(c);
}

static int put(struct conn *c, const void *bytes, int len) {
  if (SSL_write(c->tls, bytes, len) == len) return 0;
  broken(c, "a request could not be sent whole");
  return -1;
}

static int ask(struct conn *c) {
  char head[1024];
  int len = snprintf(head, sizeof head, "GET /bench HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", c->authority);
  c->len = 0;
  return put(c, head, len);
}

/* One GET as a HEADERS frame of HTTP/2: indexed fields, and literals that enter no table (RFC 7541, 6.2.2). */
static int ask_stream(struct conn *c) {
  unsigned char frame[512], *p = frame + 9;
  *p++ = 0x82; /* :method GET */
  *p++ = 0x87; /* :scheme https */
  *p++ = 0x04; /* :path */
  *p++ = 6;
  memcpy(p, "/bench", 6), p += 6;
  *p++ = 0x01; /* :authority */
  *p++ = (unsigned char)c->authority_len;
  memcpy(p, c->authority, c->authority_len), p += c->authority_len;
  memcpy(p, "\x0f\x2b\x05" "bench", 8), p += 8;
  memcpy(p, "\x0f\x04\x03" "*/*", 6), p += 6;
  int len = (int)(p - frame) - 9;
  uint32_t id = c->next_stream;
  c->next_stream += 2;
  unsigned char head[9] = {(unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len, 1, 5, (unsigned char)(id >> 24), (unsigned char)(id >> 16), (unsigned char)(id >> 8), (unsigned char)id};
  memcpy(frame, head, 9);
  return put(c, frame, len + 9);
}

/* Preface, SETTINGS (no push, the largest window), the connection's window, and the first requests. */
static int open_streams(struct conn *c) {
  static const unsigned char opening[] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    "\0\0\x0c\x04\0\0\0\0\0\0\x02\0\0\0\0\0\x04\x7f\xff\xff\xff"
    "\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0";
  c->next_stream = 1;
  c->len = 0;
  if (put(c, opening, sizeof opening - 1) < 0) return -1;
  for (int i = 0; i < STREAMS; i++)
    if (ask_stream(c) < 0) return -1;
  return 0;
}

/* A proxy that only relays would be measured for something else. */
static int is_origins_own(const SSL *tls) {
  char issuer[256];
  X509 *leaf = SSL_get1_peer_certificate(tls);
  if (leaf == NULL) return 0;
  X509_NAME_oneline(X509_get_issuer_name(leaf), issuer, sizeof issuer);
  X509_free(leaf);
  return strstr(issuer, "bench origin root") != NULL;
}

static int secured(struct conn *c) {
  c->state = OPEN;
  if (SSL_session_reused(c->tls)) total.resumed++;
  else if (run.connect && is_origins_own(c->tls)) {
    broken(c, "the proxy did not intercept");
    return -1;
  }
  if (run.mode != H2) return ask(c);
  const unsigned char *protocol;
  unsigned int len;
  SSL_get0_alpn_selected(c->tls, &protocol, &len);
  if (len == 2) return open_streams(c);
  stopping = 1;
  broken(c, "it does not speak HTTP/2");
  return -1;
}

static void begin_tls(struct conn *c) {
  c->state = SHAKING;
  c->len = 0;
  c->tls = SSL_new(run.context);
  SSL_set_app_data(c->tls, c);
  SSL_set_fd(c->tls, c->fd);
  SSL_set_connect_state(c->tls);
  SSL_set_tlsext_host_name(c->tls, c->name);
  if (run.mode != RESUMED || c->session == NULL) return;
  /* a copy, for a session of TLS 1.3 is marked as used up, and not every server sends another */
  SSL_SESSION *copy = SSL_SESSION_dup(c->session);
  SSL_set_session(c->tls, copy);
  SSL_SESSION_free(copy);
}

static int on_session(SSL *tls, SSL_SESSION *session) {
  struct conn *c = SSL_get_app_data(tls);
  if (c == NULL) return 0;
  if (c->session != NULL) SSL_SESSION_free(c->session);
  c->session = session;
  return 1;
}

static void start(struct conn *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket");
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  active++;
  c->state = CONNECTING;
  c->len = 0;
  c->served = 0;
  c->began = now();
  snprintf(c->name, sizeof c->name, run.host, (int)(run.first + (long)total.started));
  c->authority_len = snprintf(c->authority, 127, "%s:%d", c->name, run.host_port);
  total.started++;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) fail("connect");
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
  if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void counted(struct conn *c) {
  if (run.mode == FRESH && total.operations < (uint64_t)run.count) latencies[total.operations] = now() - c->began;
  total.operations++;
  c->served++;
}

/* The answer to a CONNECT. 0: nothing more to do now. */
static int on_head(struct conn *c) {
  for (;;) {
    ssize_t n = recv(c->fd, c->buffer + c->len, BUFFER - 1 - c->len, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) {
      broken(c, "the connection ended before an answer to CONNECT");
      return 0;
    }
    c->len += (int)n;
    c->buffer[c->len] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (end == NULL) continue;
    if (c->len > 12 && atoi(c->buffer + 9) != 200) {
      broken(c, "CONNECT was refused");
      return 0;
    }
    begin_tls(c);
    return 1;
  }
}

/* How many bytes the answer in the buffer has in all, 0 while that is unknown, -1 when it is none. */
static int answer_bytes(struct conn *c, int *is_last) {
  char *end = memmem(c->buffer, c->len, "\r\n\r\n", 4);
  if (end == NULL) return 0;
  if (atoi(c->buffer + 9) != 200) return -1;
  int head = (int)(end + 4 - c->buffer);
  char kept = end[2];
  end[2] = 0;
  char *length = strcasestr(c->buffer, "\r\ncontent-length:");
  *is_last = strcasestr(c->buffer, "\r\nconnection: close") != NULL;
  long body = length == NULL ? -1 : atol(length + 17);
  end[2] = kept;
  if (body >= 0) return head + (int)body;
  /* chunked: its body holds nothing but x, so the last chunk is where this stands */
  return c->len >= head + 5 && memcmp(c->buffer + c->len - 5, "0\r\n\r\n", 5) == 0 ? c->len : 0;
}

/* 1 while the connection goes on. */
static int on_answer(struct conn *c) {
  int is_last = 0;
  int whole = answer_bytes(c, &is_last);
  if (whole < 0) {
    broken(c, "an unexpected status");
    return 0;
  }
  if (whole == 0 || c->len < whole) return 1;
  counted(c);
  if (run.mode == KEEP && !is_last && !stopping) return ask(c) == 0;
  shut(c);
  if (more()) start(c);
  return 0;
}

static int on_frame(struct conn *c, int type, int flags, const unsigned char *payload, int len) {
  static const unsigned char settings_ack[9] = {0, 0, 0, 4, 1, 0, 0, 0, 0};
  if (type == 4 && (flags & 1) == 0) return put(c, settings_ack, 9);
  if (type == 6 && (flags & 1) == 0 && len == 8) {
    unsigned char pong[17] = {0, 0, 8, 6, 1, 0, 0, 0, 0};
    memcpy(pong + 9, payload, 8);
    return put(c, pong, 17);
  }
  if (type == 3 || type == 7) {
    broken(c, type == 3 ? "a stream was reset" : "the connection is going away");
    return -1;
  }
  /* :status 200 is index 8 of the static table */
  if (type == 1 && (len == 0 || payload[0] != 0x88)) {
    broken(c, "an unexpected status");
    return -1;
  }
  if ((type != 0 && type != 1) || (flags & 1) == 0) return 0;
  counted(c);
  return stopping ? 0 : ask_stream(c);
}

static int on_frames(struct conn *c) {
  int at = 0;
  while (c->len - at >= 9) {
    const unsigned char *head = (const unsigned char *)c->buffer + at;
    int len = head[0] << 16 | head[1] << 8 | head[2];
    if (len > BUFFER - 9) {
      broken(c, "a frame is too long");
      return 0;
    }
    if (c->len - at < 9 + len) break;
    if (on_frame(c, head[3], head[4], head + 9, len) < 0) return 0;
    at += 9 + len;
  }
  memmove(c->buffer, c->buffer + at, c->len - at);
  c->len -= at;
  if (!stopping) return 1;
  shut(c);
  return 0;
}

/* Goes on until there is nothing to read, for the events are edge-triggered. */
static void drive(struct conn *c, uint32_t events) {
  if (c->state == CLOSED) return;
  if (c->state == CONNECTING) {
    if (events & (EPOLLERR | EPOLLHUP)) {
      broken(c, "the connection was refused");
      return;
    }
    if ((events & EPOLLOUT) == 0) return;
    if (run.connect) {
      char head[640];
      int len = snprintf(head, sizeof head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", c->authority, c->authority);
      c->state = HEAD;
      if (send(c->fd, head, len, MSG_NOSIGNAL) != len) broken(c, "CONNECT could not be sent whole");
      return;
    }
    begin_tls(c);
  }
  if (c->state == HEAD && !on_head(c)) return;
  ERR_clear_error();
  if (c->state == SHAKING) {
    int done = SSL_connect(c->tls);
    if (done != 1) {
      int error = SSL_get_error(c->tls, done);
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) broken(c, "the handshake failed");
      return;
    }
    if (secured(c) < 0) return;
  }
  for (;;) {
    int n = SSL_read(c->tls, c->buffer + c->len, BUFFER - 1 - c->len);
    if (n <= 0) {
      if (SSL_get_error(c->tls, n) != SSL_ERROR_WANT_READ) broken(c, "the connection ended before an answer");
      return;
    }
    total.bytes += (uint64_t)n;
    c->len += n;
    if (run.mode == H2 ? !on_frames(c) : !on_answer(c)) return;
  }
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(long of, double share) {
  if (of == 0) return 0;
  long place = (long)(share * (double)of + 0.999999) - 1;
  return latencies[place < 0 ? 0 : place] * 1000;
}

static void open_context(void) {
  run.context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(run.context, SSL_VERIFY_NONE, NULL);
  static const unsigned char h2[] = {2, 'h', '2'}, http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  if (run.mode == H2) SSL_CTX_set_alpn_protos(run.context, h2, sizeof h2);
  else SSL_CTX_set_alpn_protos(run.context, http1, sizeof http1);
  if (run.mode != RESUMED) return;
  SSL_CTX_set_session_cache_mode(run.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(run.context, on_session);
}

int main(int argc, char **argv) {
  if (argc != 10) return 2;
  signal(SIGPIPE, SIG_IGN);
  for (run.mode = 0; run.mode < MODES && strcmp(argv[1], mode_names[run.mode]) != 0;) run.mode++;
  if (run.mode == MODES) return 2;
  run.port = atoi(argv[2]);
  run.connect = atoi(argv[3]);
  run.concurrency = atoi(argv[4]);
  run.seconds = atof(argv[5]);
  run.count = atol(argv[6]);
  run.host = argv[7];
  run.host_port = atoi(argv[8]);
  run.first = atol(argv[9]);
  run.epoll = epoll_create1(EPOLL_CLOEXEC);
  open_context();
  struct conn *conns = calloc(run.concurrency, sizeof *conns);
  latencies = calloc(run.count + 1, sizeof *latencies);
  if (conns == NULL || latencies == NULL) fail("calloc");

  double began = now();
  double deadline = began + run.seconds, end = deadline + GRACE_SECONDS;
  for (int i = 0; i < run.concurrency && more(); i++) start(&conns[i]);
  struct epoll_event events[256];
  while (active > 0) {
    int count = epoll_wait(run.epoll, events, 256, 50);
    for (int i = 0; i < count; i++) drive(events[i].data.ptr, events[i].events);
    double t = now();
    if (t >= deadline) stopping = 1;
    if (t >= end) break;
  }
  double elapsed = now() - began;
  total.errors += (uint64_t)active;
  if (active > 0 && total.first_error[0] == 0) strcpy(total.first_error, "operations were left unanswered");
  long timed = run.mode == FRESH ? (long)total.operations : 0;
  qsort(latencies, timed, sizeof *latencies, compare);
  printf("{\"operations\":%llu,\"errors\":%llu,\"bytes\":%llu,\"connections\":%llu,\"seconds\":%.6f,\"resumed\":%llu,\"p50\":%.3f,\"p99\":%.3f,\"error\":\"%s\"}\n",
         (unsigned long long)total.operations, (unsigned long long)total.errors, (unsigned long long)total.bytes, (unsigned long long)total.started,
         elapsed, (unsigned long long)total.resumed, percentile(timed, 0.5), percentile(timed, 0.99), total.first_error);
  return 0;
}
