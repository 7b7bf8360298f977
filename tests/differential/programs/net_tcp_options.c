// Options of TCP: what they are at first, which values they take, what a connection has of its listener.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int s;
static void get(const char *what, int level, int name) {
    int v = -77;
    socklen_t n = sizeof v;
    int r = getsockopt(s, level, name, &v, &n);
    if (r) printf("%s: %s\n", what, strerror(errno));
    else printf("%s: %d length %u\n", what, v, n);
}
static void set(const char *what, int level, int name, int v) {
    printf("%s = %d: %s, ", what, v, setsockopt(s, level, name, &v, sizeof v) ? strerror(errno) : "ok");
    get("now", level, name);
}
#define GET(name) get(#name, IPPROTO_TCP, name)
#define SET(name, v) set(#name, IPPROTO_TCP, name, v)
#define SOCK(name, v) set(#name, SOL_SOCKET, name, v)

int main(void) {
    s = socket(AF_INET, SOCK_STREAM, 0);
    int values[] = {0, 1, 127, 128, 32767, 32768, -1};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        SET(TCP_KEEPIDLE, values[i]);
        SET(TCP_KEEPINTVL, values[i]);
        SET(TCP_KEEPCNT, values[i]);
        SET(TCP_SYNCNT, values[i]);
        SET(TCP_NODELAY, values[i]);
        SET(TCP_CORK, values[i]);
        SET(TCP_QUICKACK, values[i]);
        SET(TCP_USER_TIMEOUT, values[i]);
        SET(TCP_NOTSENT_LOWAT, values[i]);
        SOCK(SO_KEEPALIVE, values[i]);
        SOCK(SO_OOBINLINE, values[i]);
        if (values[i] >= 0) SOCK(SO_RCVLOWAT, values[i]);
        SOCK(SO_SNDLOWAT, values[i]);
        SOCK(SO_BROADCAST, values[i]);
    }
    SET(TCP_MAXSEG, 1000);
    SET(TCP_MAXSEG, 10);
    SET(TCP_MAXSEG, 40000);
    SET(TCP_DEFER_ACCEPT, 0);
    SET(TCP_LINGER2, 10);
    SET(TCP_LINGER2, -1);
    SET(TCP_LINGER2, 1000);
    SET(TCP_WINDOW_CLAMP, 0);
    char algorithm[16] = "";
    socklen_t n = sizeof algorithm;
    int r = getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, algorithm, &n);
    printf("congestion: %d length %u\n", r, n);
    printf("set it: %s\n", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) ? strerror(errno) : "ok");
    n = sizeof algorithm;
    getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, algorithm, &n);
    printf("now %s\n", algorithm);
    n = 2;
    getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, algorithm, &n);
    printf("with little room: length %u\n", n);
    printf("nonsense: %s\n", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8) ? strerror(errno) : "ok");
    char byte = 1;
    printf("a byte: %s\n", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &byte, 1) ? strerror(errno) : "ok");
    int v = 1;
    n = 2;
    printf("room for two: %d", getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n));
    printf(" length %u\n", n);
    n = -1;
    printf("no room: %s\n", getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n) ? strerror(errno) : "ok");
    printf("no such: %s\n", setsockopt(s, IPPROTO_TCP, 200, &v, sizeof v) ? strerror(errno) : "ok");
    get("no such level", 200, 1);
    get("raw level", IPPROTO_RAW, 1);
    get("udp", IPPROTO_UDP, 1);
    struct tcp_info info;
    n = sizeof info;
    memset(&info, 0, sizeof info);
    printf("info: %d state %d\n", getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &n), info.tcpi_state);
    n = 1;
    info.tcpi_state = 99;
    printf("a byte of info: %d state %d length %u\n", getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &n), info.tcpi_state, n);

    // What a connection has of its listener.
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    s = l;
    SET(TCP_NODELAY, 1);
    SET(TCP_KEEPIDLE, 77);
    SET(TCP_USER_TIMEOUT, 5000);
    SOCK(SO_KEEPALIVE, 1);
    SOCK(SO_REUSEADDR, 1);
    SOCK(SO_RCVLOWAT, 3);
    SOCK(SO_SNDBUF, 20000);
    SOCK(SO_RCVBUF, 20000);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bind(l, (void *)&a, sizeof a), listen(l, 1);
    n = sizeof a;
    getsockname(l, (void *)&a, &n);
    connect(c, (void *)&a, sizeof a);
    s = accept(l, NULL, NULL);
    GET(TCP_NODELAY);
    GET(TCP_KEEPIDLE);
    GET(TCP_USER_TIMEOUT);
    int names[] = {SO_KEEPALIVE, SO_REUSEADDR, SO_RCVLOWAT, SO_SNDBUF, SO_RCVBUF, SO_ACCEPTCONN, SO_TYPE, SO_PROTOCOL};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) get("inherited", SOL_SOCKET, names[i]);
    return 0;
}
