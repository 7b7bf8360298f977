// TCP over the loopback: connect, accept, names, both directions, half-close, resets.
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
    poll(&p, 1, 50);
    printf("%s: %#x\n", what, p.revents);
}
static void result(const char *what, long r) { printf("%s: %ld %s\n", what, r, r < 0 ? strerror(errno) : ""); }

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, b;
    socklen_t n = sizeof a;
    char buf[64];
    int l = socket(AF_INET, SOCK_STREAM, 0);
    result("accept before listen", accept(l, 0, 0));
    result("bind", bind(l, (void *)&a, n));
    result("bind again", bind(l, (void *)&a, n));
    getsockname(l, (void *)&a, &n);
    printf("port chosen %d\n", ntohs(a.sin_port) >= 1024);
    result("listen", listen(l, 4));
    int c = socket(AF_INET, SOCK_STREAM, 0);
    show_poll("fresh", c);
    result("recv unconnected", recv(c, buf, 1, 0));
    result("send unconnected", send(c, buf, 1, MSG_NOSIGNAL));
    result("shutdown unconnected", shutdown(c, SHUT_RDWR));
    result("getpeername unconnected", getpeername(c, (void *)&b, &n));
    close(c);
    c = socket(AF_INET, SOCK_STREAM, 0);
    result("connect", connect(c, (void *)&a, sizeof a));
    result("connect again", connect(c, (void *)&a, sizeof a));
    n = sizeof b;
    int s = accept(l, (void *)&b, &n);
    struct sockaddr_in own;
    n = sizeof own;
    getsockname(c, (void *)&own, &n);
    printf("accepted from the client's name %d\n", own.sin_port == b.sin_port && own.sin_addr.s_addr == b.sin_addr.s_addr);
    getpeername(c, (void *)&b, &n);
    printf("peer is the listener's name %d\n", a.sin_port == b.sin_port);
    result("send", send(c, "hello", 5, 0));
    show_poll("server", s);
    result("recv", recv(s, buf, 64, MSG_WAITALL | MSG_DONTWAIT));
    result("send", send(s, "reply", 5, 0));
    result("recv all", recv(c, buf, 5, MSG_WAITALL));
    result("shutdown", shutdown(c, SHUT_WR));
    show_poll("peer half closed", s);
    result("end", recv(s, buf, 1, 0));
    result("still sends", send(s, "bye", 3, 0));
    close(s);
    result("recv", recv(c, buf, 64, 0));
    result("recv", recv(c, buf, 64, 0));

    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, sizeof a);
    s = accept(l, 0, 0);
    send(c, "unread", 6, 0);
    show_poll("server", s);
    close(s);
    show_poll("reset", c);
    result("recv", recv(c, buf, 1, 0));
    result("recv", recv(c, buf, 1, 0));
    result("send", send(c, "x", 1, MSG_NOSIGNAL));

    c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, sizeof a);
    s = accept(l, 0, 0);
    struct linger lg = {1, 0};
    setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
    close(s);
    show_poll("linger 0", c);
    result("recv", recv(c, buf, 1, 0));
    close(l);
    c = socket(AF_INET, SOCK_STREAM, 0);
    result("refused", connect(c, (void *)&a, sizeof a));
    return 0;
}
