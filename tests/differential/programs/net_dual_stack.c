// IPv6 sockets and IPv4: mapped addresses, IPV6_V6ONLY, who may bind beside whom, names as they are shown.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerror(errno) : "ok"); }
#define SAY(call) say(#call, call)
static struct sockaddr_in6 six(const char *ip, int port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    return a;
}
static struct sockaddr_in four(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}
static int bind6(int s, const char *ip, int port) {
    struct sockaddr_in6 a = six(ip, port);
    return bind(s, (void *)&a, sizeof a);
}
static int to6(int s, const char *ip, int port) {
    struct sockaddr_in6 a = six(ip, port);
    return connect(s, (void *)&a, sizeof a);
}
static int to4(int s, const char *ip, int port) {
    struct sockaddr_in a = four(ip, port);
    return connect(s, (void *)&a, sizeof a);
}
static int port(int s) {
    struct sockaddr_in6 a;
    socklen_t n = sizeof a;
    getsockname(s, (void *)&a, &n);
    return ntohs(a.sin6_port);
}
static void names(const char *what, int s) {
    struct sockaddr_in6 a[2] = {0};
    char text[2][64];
    socklen_t n[2] = {sizeof a[0], sizeof a[0]};
    int peer = getpeername(s, (void *)&a[1], &n[1]);
    getsockname(s, (void *)&a[0], &n[0]);
    for (int i = 0; i < 2; i++)
        a[i].sin6_family == AF_INET6 ? inet_ntop(AF_INET6, &a[i].sin6_addr, text[i], 64)
                                     : inet_ntop(AF_INET, &((struct sockaddr_in *)&a[i])->sin_addr, text[i], 64);
    printf("%s: %s length %u, peer %s length %u scope %u flow %u\n", what, text[0], n[0], peer ? "none" : text[1],
           peer ? 0 : n[1], a[1].sin6_scope_id, a[1].sin6_flowinfo);
}
static int only(int s, int on) { return setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on); }
static int tcp6(void) { return socket(AF_INET6, SOCK_STREAM, 0); }
static int tcp4(void) { return socket(AF_INET, SOCK_STREAM, 0); }

int main(void) {
    int l = tcp6(), c, a, s;
    names("fresh", l);
    SAY(listen(l, 4));
    names("any", l);
    SAY(only(l, 1));
    c = tcp4();
    SAY(to4(c, "127.0.0.1", port(l)));
    a = accept(l, NULL, NULL);
    names("v4 client", c), names("mapped server", a);
    close(a), close(c);
    c = tcp6();
    SAY(to6(c, "::1", port(l)));
    a = accept(l, NULL, NULL);
    names("v6 client", c), names("v6 server", a);
    close(a), close(c);
    c = tcp6();
    SAY(to6(c, "::ffff:127.0.0.1", port(l)));
    a = accept(l, NULL, NULL);
    names("mapped client", c), names("mapped server", a);
    close(a), close(c);
    c = tcp6();
    SAY(to6(c, "::", port(l)));
    a = accept(l, NULL, NULL);
    names("who went to ::", c);
    close(a), close(c);
    c = tcp6();
    SAY(to4(c, "127.0.0.1", port(l)));
    SAY(only(c, 1));
    SAY(to6(c, "::ffff:127.0.0.1", port(l)));
    SAY(to6(c, "::1", port(l)));
    close(accept(l, NULL, NULL));
    close(c);
    s = tcp4();
    SAY(to6(s, "::1", port(l)));
    close(s);

    s = tcp6();
    SAY(bind6(s, "::ffff:127.0.0.1", 0));
    names("bound to a mapped one", s);
    SAY(to6(s, "::1", port(l)));
    close(s);
    s = tcp6();
    SAY(bind6(s, "::1", 0));
    SAY(to6(s, "::ffff:127.0.0.1", port(l)));
    close(s);
    s = tcp6(), only(s, 1);
    SAY(bind6(s, "::ffff:127.0.0.1", 0));
    SAY(bind6(s, "::1", port(l)));
    SAY(bind6(s, "::", port(l)));
    close(s);
    s = tcp4();
    struct sockaddr_in v4 = four("127.0.0.1", port(l));
    SAY(bind(s, (void *)&v4, sizeof v4));
    v4.sin_addr.s_addr = 0;
    SAY(bind(s, (void *)&v4, sizeof v4));
    close(s), close(l);

    l = tcp6();
    SAY(only(l, 1));
    SAY(listen(l, 1));
    s = tcp4();
    v4.sin_port = htons(port(l));
    SAY(bind(s, (void *)&v4, sizeof v4));
    c = tcp4();
    SAY(to4(c, "127.0.0.1", port(l)));
    close(c);
    SAY(listen(s, 1));
    c = tcp4();
    SAY(to4(c, "127.0.0.1", port(l)));
    close(c), close(s), close(l);

    int u = socket(AF_INET6, SOCK_DGRAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0);
    SAY(bind6(u, "::", 0));
    v4 = four("127.0.0.1", port(u));
    SAY(sendto(v, "x", 1, 0, (void *)&v4, sizeof v4));
    struct sockaddr_in6 from = {0};
    socklen_t n = sizeof from;
    char text[64];
    SAY(recvfrom(u, text, 1, 0, (void *)&from, &n));
    printf("from %s length %u\n", inet_ntop(AF_INET6, &from.sin6_addr, text, 64), n);
    SAY(sendto(u, "y", 1, 0, (void *)&from, sizeof from));
    SAY(recv(v, text, 1, 0));
    struct sockaddr_in6 self = six("::1", port(u));
    SAY(sendto(u, "z", 1, 0, (void *)&self, sizeof self));
    n = 5;
    SAY(recvfrom(u, text, 1, 0, (void *)&from, &n));
    printf("true length %u\n", n);
    n = 24;
    SAY(sendto(u, "z", 1, 0, (void *)&self, n));
    SAY(sendto(u, "z", 1, 0, (void *)&self, 23));
    SAY(to6(u, "::1", port(u)));
    names("connected", u);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SAY(connect(u, &none, sizeof none));
    names("ended", u);
    int value;
    socklen_t size = sizeof value;
    int options[] = {IPV6_V6ONLY, IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_MTU_DISCOVER, IPV6_TCLASS, IPV6_RECVPKTINFO, IPV6_RECVERR};
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        size = sizeof value;
        int r = getsockopt(u, IPPROTO_IPV6, options[i], &value, &size);
        printf("option %d: %s %d length %u\n", options[i], r ? strerror(errno) : "ok", value, size);
    }
    size = sizeof value;
    SAY(getsockopt(v, IPPROTO_IPV6, IPV6_V6ONLY, &value, &size));
    SAY(setsockopt(v, IPPROTO_IPV6, IPV6_V6ONLY, &value, size));
    SAY(getsockopt(u, IPPROTO_IP, IP_TTL, &value, &size));
    return 0;
}
