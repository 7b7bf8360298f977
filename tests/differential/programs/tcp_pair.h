// A listener of the loopback, its connections one at a time, and what they say of themselves.
#ifndef TCP_PAIR_H
#define TCP_PAIR_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <time.h>
#include <unistd.h>

static int l, a, c;
static struct sockaddr_in there = {.sin_family = AF_INET};
static inline void pair(void) {
    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&there, sizeof there);
    a = accept(l, NULL, NULL);
}
static inline void settle(void) { usleep(100000); }
static inline int state(int s) {
    struct tcp_info i;
    socklen_t n = sizeof i;
    return getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n) ? -1 : i.tcpi_state;
}
static inline int events(int s) {
    struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND};
    poll(&p, 1, 0);
    return p.revents;
}
static inline void show(const char *what) {
    settle();
    printf("%s: client %d %#x, server %d %#x\n", what, state(c), events(c), state(a), events(a));
}
static inline void end(void) { close(a), close(c); }
static inline void got(const char *what, int s, int flags) {
    char text[64] = "";
    ssize_t n = recv(s, text, 63, flags | MSG_DONTWAIT);
    printf("%s: %zd %s\n", what, n, n < 0 ? strerror(errno) : text);
}
static inline int bytes(int s, unsigned long what) {
    int n = -1;
    return ioctl(s, what, &n) ? -errno : n;
}
static inline void start(void) {
    l = socket(AF_INET, SOCK_STREAM, 0);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(l, (void *)&there, sizeof there);
    listen(l, 8);
    socklen_t n = sizeof there;
    getsockname(l, (void *)&there, &n);
}

#endif
