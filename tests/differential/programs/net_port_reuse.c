// Ports: which are chosen, who may take one that somebody has or had, and who hears what comes to a shared one.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerror(errno) : "ok"); }
#define SAY(call) say(#call, call)
static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int udp(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int name(int s, const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return bind(s, (void *)&a, sizeof a);
}
static int to(int s, const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return connect(s, (void *)&a, sizeof a);
}
static int port(int s) {
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    getsockname(s, (void *)&a, &n);
    return ntohs(a.sin_port);
}
static int set(int s, int option) {
    int on = 1;
    return setsockopt(s, SOL_SOCKET, option, &on, sizeof on);
}
static int hears(int s) {
    struct pollfd p = {.fd = s, .events = POLLIN};
    return poll(&p, 1, 50);
}
static void chosen(const char *what, int s) {
    int p = port(s), low = 0, high = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (!f || fscanf(f, "%d %d", &low, &high) != 2) low = 32768, high = 60999;
    printf("%s: %s\n", what, p >= low && p <= high ? "in range" : "out of range");
}

int main(void) {
    int a = tcp(), b = tcp(), c, d;
    SAY(name(a, "127.0.0.1", 0));
    chosen("bind to 0", a);
    SAY(name(b, "127.0.0.1", 0));
    printf("another one: %d\n", port(a) != port(b));
    close(b);
    b = udp();
    SAY(name(b, "127.0.0.1", port(a)));
    close(b);
    SAY(listen(a, 4));
    c = tcp();
    SAY(to(c, "127.0.0.1", port(a)));
    chosen("connect", c);
    d = accept(a, NULL, NULL);
    int p = port(a);

    // The listener goes, its connection stays.
    close(a);
    a = tcp();
    SAY(name(a, "127.0.0.1", p));
    SAY(set(a, SO_REUSEADDR));
    printf("over a connection of a listener without reuse: %s\n", name(a, "127.0.0.1", p) ? strerror(errno) : "ok");
    close(a), close(c), close(d);
    usleep(20000);

    a = tcp(), set(a, SO_REUSEADDR), name(a, "127.0.0.1", 0), listen(a, 4);
    p = port(a);
    c = tcp();
    to(c, "127.0.0.1", p);
    d = accept(a, NULL, NULL);
    close(a);
    a = tcp();
    printf("over a connection, without: %s\n", name(a, "127.0.0.1", p) ? strerror(errno) : "ok");
    set(a, SO_REUSEADDR);
    printf("over a connection, with: %s\n", name(a, "127.0.0.1", p) ? strerror(errno) : "ok");
    SAY(listen(a, 4));
    close(d), close(c), close(a);
    a = tcp(), set(a, SO_REUSEADDR), name(a, "127.0.0.1", 0), p = port(a);
    SAY(listen(a, 4));

    // The same two ends twice.
    c = tcp(), set(c, SO_REUSEADDR);
    SAY(name(c, "127.0.0.1", 0));
    int q = port(c);
    SAY(to(c, "127.0.0.1", p));
    d = tcp(), set(d, SO_REUSEADDR);
    SAY(name(d, "127.0.0.1", q));
    SAY(to(d, "127.0.0.1", p));
    close(c), close(d), close(a);

    // SO_REUSEPORT: all or none.
    a = tcp(), b = tcp(), c = tcp();
    set(a, SO_REUSEPORT);
    SAY(name(a, "127.0.0.1", 0));
    SAY(name(b, "127.0.0.1", port(a)));
    set(b, SO_REUSEPORT), set(c, SO_REUSEPORT);
    SAY(name(b, "127.0.0.1", port(a)));
    SAY(listen(a, 8));
    SAY(listen(b, 8));
    SAY(name(c, "127.0.0.1", port(a)));
    close(c), c = tcp();
    SAY(set(c, SO_REUSEADDR));
    SAY(name(c, "127.0.0.1", port(a)));
    close(c);
    for (int i = 0; i < 6; i++) c = tcp(), to(c, "127.0.0.1", port(a));
    printf("somebody hears: %d\n", hears(a) || hears(b));
    close(a), close(b);

    // Datagrams: the more precise name hears.
    a = udp(), b = udp(), d = udp();
    set(a, SO_REUSEADDR), set(b, SO_REUSEADDR);
    SAY(name(a, "0.0.0.0", 0));
    SAY(name(b, "127.0.0.1", port(a)));
    to(d, "127.0.0.1", port(a));
    SAY(send(d, "x", 1, 0));
    printf("wildcard hears %d, address hears %d\n", hears(a), hears(b));
    to(d, "127.0.0.2", port(a));
    SAY(send(d, "x", 1, 0));
    printf("wildcard hears %d\n", hears(a));
    close(b);
    b = udp();
    SAY(name(b, "127.0.0.1", port(a)));
    close(a);
    SAY(name(b, "127.0.0.1", 0));
    SAY(name(b, "127.0.0.1", 0));

    // A backlog of 0 has room for one.
    a = tcp(), name(a, "127.0.0.1", 0);
    SAY(listen(a, 0));
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    to(c, "127.0.0.1", port(a));
    printf("one waits: %d\n", hears(a));
    d = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    to(d, "127.0.0.1", port(a));
    struct pollfd f = {.fd = d, .events = POLLOUT};
    printf("the next is connected: %d\n", poll(&f, 1, 50));
    SAY(accept(a, NULL, NULL));
    return 0;
}
