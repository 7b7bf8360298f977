// Options of sockets: defaults, what set does to them, refusals.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void get(const char *what, int s, int level, int name) {
    int v = -77;
    socklen_t n = sizeof v;
    int r = getsockopt(s, level, name, &v, &n);
    if (r) printf("%s: %s\n", what, strerror(errno));
    else printf("%s: %d len %u\n", what, v, n);
}
static void set(const char *what, int s, int level, int name, int v) {
    int r = setsockopt(s, level, name, &v, sizeof v);
    printf("set %s=%d: %s\n", what, v, r ? strerror(errno) : "ok");
    get(what, s, level, name);
}
#define GET(s, level, name) get(#s " " #name, s, level, name)
#define SET(s, level, name, v) set(#s " " #name, s, level, name, v)

int main(void) {
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    int tcp6 = socket(AF_INET6, SOCK_STREAM, 0), un = socket(AF_UNIX, SOCK_DGRAM, 0);
    int all[] = {tcp, udp, tcp6, un};
    int names[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_REUSEADDR, SO_REUSEPORT, SO_KEEPALIVE,
                   SO_BROADCAST, SO_OOBINLINE, SO_RCVLOWAT, SO_SNDLOWAT, SO_PRIORITY, SO_DONTROUTE, SO_TIMESTAMP, SO_MARK};
    for (int i = 0; i < 4; i++)
        for (unsigned j = 0; j < sizeof names / sizeof *names; j++) {
            char what[32];
            sprintf(what, "socket %d option %d", i, names[j]);
            get(what, all[i], SOL_SOCKET, names[j]);
        }
    GET(udp, SOL_SOCKET, SO_SNDBUF);
    GET(un, SOL_SOCKET, SO_RCVBUF);
    SET(udp, SOL_SOCKET, SO_SNDBUF, 10000);
    SET(udp, SOL_SOCKET, SO_SNDBUF, 1);
    SET(udp, SOL_SOCKET, SO_RCVBUF, 1);
    SET(tcp, SOL_SOCKET, SO_REUSEADDR, 7);
    SET(un, SOL_SOCKET, SO_REUSEPORT, 1);
    SET(tcp, SOL_SOCKET, SO_TYPE, 1);
    SET(tcp, SOL_SOCKET, 999, 1);
    SET(tcp, IPPROTO_TCP, TCP_NODELAY, 1);
    SET(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 100);
    SET(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    GET(tcp, IPPROTO_TCP, TCP_KEEPINTVL);
    GET(tcp, IPPROTO_TCP, TCP_KEEPCNT);
    GET(tcp, IPPROTO_TCP, TCP_SYNCNT);
    GET(udp, IPPROTO_TCP, TCP_NODELAY);
    SET(udp, IPPROTO_IP, IP_TTL, 5);
    SET(udp, IPPROTO_IP, IP_TTL, 0);
    SET(udp, IPPROTO_IP, IP_TTL, -1);
    GET(udp, IPPROTO_IP, IP_TOS);
    GET(udp, IPPROTO_IP, IP_MTU);
    GET(udp, IPPROTO_IP, IP_MULTICAST_TTL);
    GET(tcp6, IPPROTO_IPV6, IPV6_V6ONLY);
    SET(tcp6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    GET(tcp6, IPPROTO_IPV6, IPV6_UNICAST_HOPS);
    GET(tcp, IPPROTO_IPV6, IPV6_V6ONLY);
    GET(un, IPPROTO_TCP, TCP_NODELAY);
    struct linger l = {1, 5};
    socklen_t n = sizeof l;
    printf("linger %d\n", setsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    l = (struct linger){0, 0};
    getsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, &n);
    printf("linger %d %d len %u\n", l.l_onoff, l.l_linger, n);
    struct timeval t = {3, 500000};
    printf("timeout %d\n", setsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    n = sizeof t;
    getsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &t, &n);
    printf("timeout %ld.%06ld len %u\n", (long)t.tv_sec, (long)t.tv_usec, n);
    t.tv_usec = 1000000;
    printf("wrong timeout %d", setsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    printf(" %s\n", strerror(errno));
    printf("short %d", setsockopt(tcp, SOL_SOCKET, SO_KEEPALIVE, &t, 3));
    printf(" %s\n", strerror(errno));
    char byte = 9;
    n = 1;
    printf("short get %d", getsockopt(tcp, SOL_SOCKET, SO_TYPE, &byte, &n));
    printf(" value %d len %u\n", byte, n);
    struct tcp_info info;
    n = 8;
    getsockopt(tcp, IPPROTO_TCP, TCP_INFO, &info, &n);
    printf("tcp_info state %d len %u\n", info.tcpi_state, n);
    return 0;
}
