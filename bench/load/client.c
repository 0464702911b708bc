/* The load generator of the benchmarks: one epoll loop, one kind of work a run, one line of JSON at the end.
 *   client MODE PORT CONNECT HELLO CONCURRENCY SECONDS BYTES TARGETS
 * MODE is tunnel, download, upload, get, refuse or idle; CONNECT is 1 when the port is a proxy and 0 when it
 * is the origin itself; HELLO is a file with a TLS ClientHello; BYTES is the total to move (download, upload)
 * or the tunnels to hold (idle); TARGETS is authorities separated by commas, taken in turn.
 * It speaks only to 127.0.0.1 and ends by itself: after SECONDS, or when its standard input ends (idle). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { TUNNEL, DOWNLOAD, UPLOAD, GET, REFUSE, IDLE, MODES };
static const char *const mode_names[MODES] = {"tunnel", "download", "upload", "get", "refuse", "idle"};
enum state { CLOSED, CONNECTING, HEAD, BODY, ANSWER, RECEIVING, SENDING, HELD };

#define CHUNK (256 * 1024)
#define BUFFER 16384
#define ANSWER_BYTES 7
#define GRACE_SECONDS 10.0
#define MAX_TARGETS 256

struct conn {
  int fd;
  enum state state;
  int len;
  int served; /* answers this connection has given */
  long body; /* bytes of the answer's body still to come, -1: until the end of the connection */
  uint64_t left;
  char buffer[BUFFER];
};

static struct {
  enum mode mode;
  int port, connect, concurrency, epoll;
  double seconds;
  uint64_t bytes;
  char hello[4096 + 8];
  int hello_len;
  char *heads[MAX_TARGETS];
  int head_lens[MAX_TARGETS];
  int targets, next_target;
} run;

static struct {
  uint64_t operations, errors, bytes, started;
  char first_error[160];
} total;

static int stopping, active, held, hung_up;
static char chunk[CHUNK];

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
  close(c->fd);
  c->state = CLOSED;
  active--;
}

/* One operation is over: the next one starts unless the run ends. */
static void done(struct conn *c) {
  total.operations++;
  shut(c);
  if (!stopping) start(c);
}

static void broken(struct conn *c, const char *what) {
  if (run.mode == GET && c->served > 0 && c->state == HEAD && c->len == 0) {
    /* kept alive for nothing: the other end closed between two requests, and a client asks again */
    shut(c);
    if (!stopping) start(c);
    return;
  }
  total.errors++;
  if (total.first_error[0] == 0) {
    int seen = c->state == HEAD || c->state == BODY ? (c->len < 60 ? c->len : 60) : 0;
    snprintf(total.first_error, sizeof total.first_error, "%s%s%.*s", what, seen > 0 ? " after: " : "", seen, c->buffer);
    for (char *p = total.first_error; *p != 0; p++)
      if (*p < 32 || *p == '"' || *p == '\\' || *p > 126) *p = ' ';
  }
  shut(c);
  if (total.errors > 1000) stopping = 1;
  if (!stopping && run.mode != DOWNLOAD && run.mode != UPLOAD) start(c);
}

static void put(struct conn *c, const char *bytes, int len) {
  if (send(c->fd, bytes, len, MSG_NOSIGNAL) != len) broken(c, "a request could not be sent whole");
}

static void send_head(struct conn *c) {
  c->len = 0;
  c->state = HEAD;
  int target = run.next_target++ % run.targets;
  put(c, run.heads[target], run.head_lens[target]);
}

static void pump(struct conn *c) {
  while (c->left > 0) {
    ssize_t n = send(c->fd, chunk, c->left < CHUNK ? c->left : CHUNK, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN) broken(c, strerror(errno));
      return;
    }
    c->left -= (uint64_t)n;
    total.bytes += (uint64_t)n;
  }
  c->len = 0;
  c->state = ANSWER;
}

/* The tunnel is open: a real hello, then what the mode is about. */
static void open_tunnel(struct conn *c) {
  char opening[sizeof run.hello];
  int len = run.hello_len;
  memcpy(opening, run.hello, len);
  if (run.mode == DOWNLOAD || run.mode == UPLOAD)
    for (int shift = 56; shift >= 0; shift -= 8) opening[len++] = (char)(c->left >> shift);
  c->len = 0;
  c->state = run.mode == DOWNLOAD ? RECEIVING : run.mode == UPLOAD ? SENDING : ANSWER;
  put(c, opening, len);
  if (c->state == SENDING) pump(c);
}

static void connected(struct conn *c) {
  if (run.mode == GET || run.mode == REFUSE || run.connect) send_head(c);
  else open_tunnel(c);
}

static void start(struct conn *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("socket");
  active++;
  total.started++;
  c->state = CONNECTING;
  c->len = 0;
  c->served = 0;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int immediate = connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0;
  if (!immediate && errno != EINPROGRESS) fail("connect");
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
  if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
}

/* The body is whole: on a connection that stays open the next request goes out on it. */
static void answered(struct conn *c, int ended) {
  if (run.mode != GET || ended || hung_up || stopping || strcasestr(c->buffer, "\r\nconnection: close") != NULL) {
    done(c);
    return;
  }
  total.operations++;
  c->served++;
  send_head(c);
}

static void on_head(struct conn *c, int ended) {
  c->buffer[c->len] = 0;
  char *end = strstr(c->buffer, "\r\n\r\n");
  if (end == NULL) {
    if (ended) broken(c, "the connection ended before an answer");
    else if (c->len == BUFFER - 1) broken(c, "the head of an answer is too long");
    return;
  }
  int status = c->len > 12 ? atoi(c->buffer + 9) : 0;
  int rest = c->len - (int)(end + 4 - c->buffer);
  if (run.mode != GET && run.mode != REFUSE) {
    if (status != 200) broken(c, "CONNECT was refused");
    else if (rest > 0) broken(c, "bytes came before the hello was sent");
    else open_tunnel(c);
    return;
  }
  if (run.mode == GET ? status != 200 : status < 400) {
    broken(c, "an unexpected status");
    return;
  }
  end[2] = 0;
  char *length = strcasestr(c->buffer, "\r\ncontent-length:");
  c->body = length == NULL ? -1 : atol(length + 17) - rest;
  c->state = BODY;
  if (c->body == 0) answered(c, ended);
  else if (ended && c->body < 0) done(c);
}

static void on_body(struct conn *c, long n, int ended) {
  if (c->body > 0) c->body -= n;
  if (c->body == 0) answered(c, ended);
  else if (ended && c->body < 0) done(c);
  else if (ended) broken(c, "the connection ended inside an answer");
}

static void receive(struct conn *c) {
  for (;;) {
    ssize_t n = recv(c->fd, chunk, CHUNK, MSG_TRUNC);
    if (n < 0) {
      if (errno != EAGAIN) broken(c, strerror(errno));
      return;
    }
    if (n == 0) {
      broken(c, "the connection ended inside a download");
      return;
    }
    total.bytes += (uint64_t)n;
    c->left -= (uint64_t)n;
    if (c->left == 0) {
      total.operations++;
      shut(c);
      return;
    }
  }
}

static void on_answer(struct conn *c) {
  if (c->len < (run.mode == UPLOAD ? 1 : ANSWER_BYTES)) return;
  if (run.mode == TUNNEL) {
    done(c);
  } else if (run.mode == UPLOAD) {
    total.operations++;
    shut(c);
  } else {
    c->state = HELD;
    total.operations++;
    held++;
  }
}

static void on_readable(struct conn *c) {
  if (c->state == RECEIVING) {
    receive(c);
    return;
  }
  int room = c->state == BODY ? CHUNK : BUFFER - 1 - c->len;
  char *into = c->state == BODY ? chunk : c->buffer + c->len;
  ssize_t n = recv(c->fd, into, room, 0);
  if (n < 0) {
    if (errno != EAGAIN) broken(c, strerror(errno));
    return;
  }
  if (c->state == HEAD || c->state == ANSWER) c->len += (int)n;
  if (c->state == HEAD) {
    on_head(c, n == 0);
    if (c->state == BODY && n == room) on_readable(c);
  }
  else if (c->state == BODY) {
    on_body(c, n, n == 0);
    /* edge-triggered: what is there is read, for nothing says again that it is */
    if (c->state == BODY && n == room) on_readable(c);
  }
  else if (n == 0) broken(c, "the connection ended early");
  else if (c->state == ANSWER) on_answer(c);
}

static void on_event(struct conn *c, uint32_t events) {
  if (c->state == CLOSED) return;
  if (c->state == CONNECTING) {
    if (events & (EPOLLERR | EPOLLHUP)) broken(c, "the connection was refused");
    else if (events & EPOLLOUT) connected(c);
    return;
  }
  if (c->state == SENDING && (events & EPOLLOUT)) pump(c);
  if (c->state != CLOSED && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))) {
    enum state before = c->state;
    hung_up = (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
    on_readable(c);
    /* edge-triggered: a body that came with its end must be read to that end */
    if ((events & (EPOLLRDHUP | EPOLLHUP)) && c->state != CLOSED && c->state != CONNECTING && c->state == before) on_readable(c);
    else if ((events & EPOLLRDHUP) && before == HEAD && c->state == BODY) on_readable(c);
  }
}

static void read_hello(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path);
  run.hello_len = (int)fread(run.hello, 1, 4096, file);
  fclose(file);
}

static void make_heads(char *targets) {
  for (char *name = strtok(targets, ","); name != NULL && run.targets < MAX_TARGETS; name = strtok(NULL, ",")) {
    /* a target may name a path; /bench is meant without one */
    const char *slash = strchr(name, '/');
    const char *path = slash == NULL ? "/bench" : slash;
    int host = slash == NULL ? (int)strlen(name) : (int)(slash - name);
    const char *more = "User-Agent: bench\r\nAccept: */*\r\n\r\n";
    char **head = &run.heads[run.targets];
    if (run.mode != GET)
      run.head_lens[run.targets] = asprintf(head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", name, name);
    else if (run.connect)
      run.head_lens[run.targets] = asprintf(head, "GET http://%.*s%s HTTP/1.1\r\nHost: %.*s\r\n%s", host, name, path, host, name, more);
    else
      run.head_lens[run.targets] = asprintf(head, "GET %s HTTP/1.1\r\nHost: %.*s\r\n%s", path, host, name, more);
    run.targets++;
  }
  if (run.targets == 0) run.targets = 1;
}

int main(int argc, char **argv) {
  if (argc != 9) return 2;
  signal(SIGPIPE, SIG_IGN);
  for (run.mode = 0; run.mode < MODES && strcmp(argv[1], mode_names[run.mode]) != 0;) run.mode++;
  if (run.mode == MODES) return 2;
  run.port = atoi(argv[2]);
  run.connect = atoi(argv[3]);
  read_hello(argv[4]);
  run.concurrency = atoi(argv[5]);
  run.seconds = atof(argv[6]);
  run.bytes = strtoull(argv[7], NULL, 10);
  make_heads(argv[8]);
  run.epoll = epoll_create1(EPOLL_CLOEXEC);
  int bulk = run.mode == DOWNLOAD || run.mode == UPLOAD;
  int connections = run.mode == IDLE ? (int)run.bytes : run.concurrency;
  struct conn *conns = calloc(connections, sizeof *conns);
  if (conns == NULL) fail("calloc");

  double began = now();
  double deadline = began + run.seconds, end = deadline + GRACE_SECONDS;
  int opened = 0;
  for (; opened < connections && opened < run.concurrency; opened++) {
    if (bulk) conns[opened].left = run.bytes / (uint64_t)connections;
    start(&conns[opened]);
  }
  struct epoll_event events[256];
  while (active > 0 && (run.mode != IDLE || held < active || opened < connections)) {
    int count = epoll_wait(run.epoll, events, 256, 50);
    for (int i = 0; i < count; i++) on_event(events[i].data.ptr, events[i].events);
    if (run.mode == IDLE)
      for (; opened < connections && opened - held < run.concurrency && total.errors == 0; opened++) start(&conns[opened]);
    double t = now();
    if (t >= deadline && !bulk) stopping = 1;
    if (t >= end || (run.mode == IDLE && total.errors > 0)) break;
    if (bulk && t >= end) break;
  }
  double elapsed = now() - began;
  if (run.mode != IDLE) total.errors += (uint64_t)active;
  if (active > 0 && run.mode != IDLE && total.first_error[0] == 0) strcpy(total.first_error, "operations were left unanswered");
  printf("{\"operations\":%llu,\"errors\":%llu,\"bytes\":%llu,\"connections\":%llu,\"seconds\":%.6f,\"error\":\"%s\"}\n",
         (unsigned long long)total.operations, (unsigned long long)total.errors, (unsigned long long)total.bytes,
         (unsigned long long)total.started, elapsed, total.first_error);
  fflush(stdout);
  char byte;
  if (run.mode == IDLE)
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
