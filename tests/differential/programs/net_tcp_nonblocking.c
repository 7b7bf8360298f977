// Non-blocking connects: in progress, then there, or refused by SO_ERROR.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void show_poll(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 1000);
    printf("%s: %#x\n", what, p.revents);
}
static void result(const char *what, long r) { printf("%s: %ld %s\n", what, r, r < 0 ? strerror(errno) : ""); }
static void error(int fd) {
    int e = -1;
    socklen_t n = sizeof e;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
    printf("SO_ERROR %s\n", strerror(e));
}

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bind(l, (void *)&a, n);
    getsockname(l, (void *)&a, &n);
    listen(l, 4);
    result("accept", accept(l, 0, 0));
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    result("connect", connect(c, (void *)&a, n));
    show_poll("connected", c);
    error(c);
    result("connect", connect(c, (void *)&a, n));
    result("connect", connect(c, (void *)&a, n));
    show_poll("listener", l);
    int s = accept4(l, 0, 0, SOCK_CLOEXEC);
    printf("accepted %d\n", s >= 0);
    close(l);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    result("connect", connect(c, (void *)&a, n));
    show_poll("refused", c);
    error(c);
    error(c);
    show_poll("told", c);
    result("connect", connect(c, (void *)&a, n));
    struct timeval t = {0, 20000};
    c = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    char x;
    result("timed out", recv(c, &x, 1, 0));
    l = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    listen(l, 1);
    result("timed out", accept(l, 0, 0));
    return 0;
}
