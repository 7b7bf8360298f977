// Who may bind what: SO_REUSEADDR, SO_REUSEPORT, wildcards, dual stack.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int one = 1;
static void result(const char *what, long r) { printf("%s: %ld %s\n", what, r, r < 0 ? strerror(errno) : ""); }
static int v4(const char *ip, int port, int option) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (option) setsockopt(s, SOL_SOCKET, option, &one, sizeof one);
    if (bind(s, (void *)&a, sizeof a) == 0) return s;
    close(s);
    return -1;
}
static int v6(const char *ip, int port, int only) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, ip, &a.sin6_addr);
    int s = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(s, (void *)&a, sizeof a) == 0) return s;
    close(s);
    return -1;
}
#define OK(what, call) do { int r_ = call; printf("%s: %s\n", what, r_ < 0 ? strerror(errno) : "ok"); last = r_; } while (0)

int main(void) {
    // Another port each time: what a run before left behind must not matter.
    int last, p = 20000 + getpid() % 4000 * 3;
    OK("first", v4("127.0.0.1", p, 0));
    int first = last;
    OK("same", v4("127.0.0.1", p, SO_REUSEADDR));
    OK("wildcard over it", v4("0.0.0.0", p, 0));
    OK("other address", v4("127.0.0.2", p, 0));
    close(last);
    OK("dual stack", v6("::", p, 0));
    OK("v6 only", v6("::", p, 1));
    close(last);
    close(first);
    OK("reuse", v4("127.0.0.1", p, SO_REUSEADDR));
    first = last;
    OK("reuse twice", v4("127.0.0.1", p, SO_REUSEADDR));
    result("listen", listen(first, 1));
    result("listen twice", listen(last, 1));
    close(last);
    OK("reuse over a listener", v4("127.0.0.1", p, SO_REUSEADDR));
    close(first);
    OK("port", v4("127.0.0.1", p + 1, SO_REUSEPORT));
    first = last;
    OK("port twice", v4("127.0.0.1", p + 1, SO_REUSEPORT));
    result("listen", listen(first, 1));
    result("listen twice", listen(last, 1));
    OK("foreign", v4("192.0.2.1", p, 0));
    int d = v6("::", p + 2, 0);
    result("listen dual", listen(d, 2));
    int c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p + 2), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    result("connect by v4", connect(c, (void *)&a, sizeof a));
    struct sockaddr_in6 b;
    socklen_t n = sizeof b;
    int s = accept(d, (void *)&b, &n);
    char text[64];
    printf("accepted %d from %s len %u\n", s >= 0, inet_ntop(AF_INET6, &b.sin6_addr, text, sizeof text), n);
    int e = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 m = {.sin6_family = AF_INET6, .sin6_port = htons(p + 2)};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &m.sin6_addr);
    result("connect mapped", connect(e, (void *)&m, sizeof m));
    getpeername(e, (void *)&b, &n);
    printf("peer %s\n", inet_ntop(AF_INET6, &b.sin6_addr, text, sizeof text));
    e = socket(AF_INET6, SOCK_STREAM, 0);
    m.sin6_addr = in6addr_loopback;
    result("connect v6", connect(e, (void *)&m, sizeof m));
    e = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(e, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &m.sin6_addr);
    result("connect mapped, v6 only", connect(e, (void *)&m, sizeof m));
    return 0;
}
