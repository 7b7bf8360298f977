// connect, bind, listen and accept where they are not meant to be called, or not in that way.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerror(errno) : "ok"); }
#define SAY(call) say(#call, call)
static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static struct sockaddr_in at(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}
static int to(int s, const char *ip, int port) {
    struct sockaddr_in a = at(ip, port);
    return connect(s, (void *)&a, sizeof a);
}
static int name(int s, const char *ip, int port) {
    struct sockaddr_in a = at(ip, port);
    return bind(s, (void *)&a, sizeof a);
}
static int port(int s) {
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    getsockname(s, (void *)&a, &n);
    return ntohs(a.sin_port);
}
static int events(int s, int wait) {
    struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
    poll(&p, 1, wait);
    return p.revents;
}
static int state(int s) {
    struct tcp_info i;
    socklen_t n = sizeof i;
    return getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n) ? -1 : i.tcpi_state;
}
static int pending(int s) {
    int e = -1;
    socklen_t n = sizeof e;
    getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &n);
    return e;
}

int main(void) {
    int l = tcp(), c, a, s;
    printf("fresh: poll %#x state %d\n", events(l, 0), state(l));
    SAY(listen(l, 4));
    printf("listening without a name: port %s, poll %#x state %d\n", port(l) ? "chosen" : "none", events(l, 0), state(l));
    SAY(name(l, "127.0.0.1", 0));
    SAY(listen(l, 1));
    SAY(to(l, "127.0.0.1", port(l)));
    SAY(send(l, "x", 1, MSG_NOSIGNAL));
    SAY(recv(l, &c, 1, 0));
    SAY(accept4(l, NULL, NULL, 3));

    c = tcp();
    struct sockaddr_in there = at("127.0.0.1", port(l));
    SAY(connect(c, (void *)&there, 8));
    SAY(connect(c, (void *)&there, 1));
    SAY(connect(c, NULL, sizeof there));
    there.sin_family = AF_UNIX;
    SAY(connect(c, (void *)&there, sizeof there));
    there.sin_family = AF_INET6;
    SAY(connect(c, (void *)&there, sizeof there));
    SAY(bind(c, (void *)&there, sizeof there));
    SAY(bind(c, (void *)&there, 3));
    SAY(name(c, "255.255.255.255", 0));
    SAY(to(c, "255.255.255.255", 80));
    SAY(to(c, "0.0.0.0", port(l)));
    SAY(listen(c, 1));
    SAY(name(c, "127.0.0.1", 0));
    SAY(to(c, "127.0.0.1", port(l)));
    struct sockaddr_in who;
    socklen_t n = sizeof who;
    SAY(getpeername(c, (void *)&who, &n));
    printf("peer of who went to 0.0.0.0: %s\n", inet_ntoa(who.sin_addr));
    n = 4;
    SAY(getpeername(c, (void *)&who, &n));
    printf("true length %u\n", n);
    n = -1;
    SAY(getpeername(c, (void *)&who, &n));
    n = 4;
    a = accept(l, (void *)&who, &n);
    printf("accepted %d length %u\n", a >= 0, n);
    SAY(listen(a, 1));
    SAY(accept(a, NULL, NULL));
    printf("both: %d %d\n", state(a), state(c));

    // The association of a stream can be ended, and the socket used again.
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SAY(connect(c, &none, sizeof none));
    printf("ended: state %d poll %#x\n", state(c), events(c, 0));
    printf("its peer: poll %#x error %s\n", events(a, 1000), strerror(pending(a)));
    SAY(to(c, "127.0.0.1", port(l)));
    SAY(close(accept(l, NULL, NULL)));
    close(a), close(c);

    // A refused connection leaves the socket usable.
    int free_port;
    s = tcp(), name(s, "127.0.0.1", 0), free_port = port(s), close(s);
    c = tcp();
    SAY(to(c, "127.0.0.1", free_port));
    printf("refused: state %d poll %#x error %s\n", state(c), events(c, 0), strerror(pending(c)));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    SAY(to(c, "127.0.0.1", 0));
    SAY(to(c, "127.0.0.1", port(l)));
    close(c);
    close(accept(l, NULL, NULL));

    // Without waiting.
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SAY(to(c, "127.0.0.1", free_port));
    printf("refused later: poll %#x\n", events(c, 1000));
    printf("error %s", strerror(pending(c)));
    printf(", then %s\n", strerror(pending(c)));
    SAY(to(c, "127.0.0.1", free_port));
    events(c, 1000);
    SAY(to(c, "127.0.0.1", free_port));
    SAY(to(c, "127.0.0.1", port(l)));
    printf("connected later: poll %#x error %s\n", events(c, 1000), strerror(pending(c)));
    SAY(to(c, "127.0.0.1", port(l)));
    SAY(to(c, "127.0.0.1", port(l)));
    close(c);
    close(accept(l, NULL, NULL));

    // To itself.
    s = tcp();
    name(s, "127.0.0.1", 0);
    SAY(to(s, "127.0.0.1", port(s)));
    char text[8] = "";
    printf("to itself: sent %zd", send(s, "self", 4, 0));
    printf(" got %zd %s\n", recv(s, text, sizeof text, 0), text);
    close(s);

    // A listener that closes resets who was not accepted.
    c = tcp();
    to(c, "127.0.0.1", port(l));
    printf("waits: poll %#x\n", events(l, 1000));
    close(l);
    printf("listener closed: poll %#x\n", events(c, 1000));
    SAY(recv(c, text, 1, 0));
    SAY(recv(c, text, 1, 0));
    SAY(send(c, "x", 1, MSG_NOSIGNAL));
    close(c);

    // A listener that is shut down is none any more, and can become one again.
    l = tcp(), name(l, "127.0.0.1", 0), listen(l, 1);
    SAY(shutdown(l, SHUT_WR));
    printf("shut for writing: state %d poll %#x\n", state(l), events(l, 0));
    SAY(shutdown(l, SHUT_RD));
    printf("shut: state %d poll %#x\n", state(l), events(l, 0));
    SAY(accept(l, NULL, NULL));
    SAY(listen(l, 1));
    printf("again: state %d\n", state(l));
    c = tcp();
    SAY(to(c, "127.0.0.1", port(l)));
    SAY(shutdown(c, 3));
    SAY(shutdown(c, SHUT_RDWR));
    SAY(shutdown(c, SHUT_RDWR));
    usleep(100000);
    printf("shut both ways: state %d poll %#x\n", state(c), events(c, 0));
    int u = socket(AF_INET, SOCK_DGRAM, 0);
    SAY(listen(u, 1));
    SAY(accept(u, NULL, NULL));
    SAY(shutdown(u, SHUT_RD));
    return 0;
}
