// Datagrams: errors that come back, destinations that are refused, control messages, who hears what.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerror(errno) : "ok"); }
#define SAY(call) say(#call, call)
static struct sockaddr_in at(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    return a;
}
static int udp(const char *ip) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in a = at(ip, 0);
    bind(s, (void *)&a, sizeof a);
    return s;
}
static struct sockaddr_in name(int s) {
    struct sockaddr_in a = {0};
    socklen_t n = sizeof a;
    getsockname(s, (void *)&a, &n);
    return a;
}
static int to(int s, const char *ip, int port, size_t size) {
    static char big[70000];
    struct sockaddr_in a = at(ip, port);
    return sendto(s, big, size, 0, (void *)&a, sizeof a);
}
static int go(int s, const char *ip, int port) {
    struct sockaddr_in a = at(ip, port);
    return connect(s, (void *)&a, sizeof a);
}
static int events(int s) {
    struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT};
    poll(&p, 1, 0);
    return p.revents;
}
static void got(const char *what, int s, int flags) {
    char text[64] = "", control[512];
    struct iovec part = {text, 63};
    struct sockaddr_in from = {0};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from,
                       .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(s, &m, flags | MSG_DONTWAIT);
    printf("%s: %zd %s flags %#x\n", what, n, n < 0 ? strerror(errno) : text, n < 0 ? 0 : m.msg_flags);
    if (n < 0) return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("  control %d %d length %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TTL) printf(" ttl %d", *(int *)CMSG_DATA(c));
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) printf(" tos %d", *CMSG_DATA(c));
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *i = (void *)CMSG_DATA(c);
            printf(" on %d", i->ipi_ifindex);
            printf(" to %s", inet_ntoa(i->ipi_addr));
            printf(" from %s", inet_ntoa(i->ipi_spec_dst));
        }
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) {
            struct sock_extended_err *e = (void *)CMSG_DATA(c);
            printf(" %s origin %d type %d code %d", strerror(e->ee_errno), e->ee_origin, e->ee_type, e->ee_code);
            printf(" offender %s", inet_ntoa(((struct sockaddr_in *)SO_EE_OFFENDER(e))->sin_addr));
        }
        printf("\n");
    }
}

int main(void) {
    int one = 1, s = socket(AF_INET, SOCK_DGRAM, 0);
    SAY(to(s, "127.0.0.1", 0, 1));
    SAY(to(s, "127.0.0.1", 9, 65507));
    SAY(to(s, "127.0.0.1", 9, 65508));
    SAY(to(s, "127.0.0.1", 9, 70000));
    struct sockaddr_in a = at("127.0.0.1", 9);
    SAY(sendto(s, "x", 1, 0, (void *)&a, 15));
    a.sin_family = AF_INET6;
    SAY(sendto(s, "x", 1, 0, (void *)&a, sizeof a));
    SAY(sendto(s, "x", 1, MSG_OOB, (void *)&a, sizeof a));
    printf("after a send: %s, port %s\n", inet_ntoa(name(s).sin_addr), name(s).sin_port ? "chosen" : "none");
    close(s);

    // Nobody there: only a connected socket is told.
    int gone = udp("127.0.0.1"), port = ntohs(name(gone).sin_port);
    close(gone);
    s = socket(AF_INET, SOCK_DGRAM, 0);
    SAY(to(s, "127.0.0.1", port, 1));
    usleep(20000);
    printf("unconnected: poll %#x\n", events(s));
    SAY(go(s, "127.0.0.1", port));
    SAY(send(s, "x", 1, 0));
    usleep(20000);
    printf("connected: poll %#x\n", events(s));
    SAY(send(s, "x", 1, 0));
    usleep(20000);
    SAY(send(s, "x", 1, 0));
    usleep(20000);
    got("then", s, 0);
    got("then", s, 0);
    // The association ends.
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SAY(connect(s, &none, sizeof none));
    printf("ended: %s, port %s\n", inet_ntoa(name(s).sin_addr), name(s).sin_port ? "kept" : "none");
    SAY(connect(s, &none, sizeof none));
    SAY(send(s, "x", 1, 0));
    close(s);

    // A connected socket hears its peer only.
    int l = udp("127.0.0.1"), p = udp("127.0.0.1"), q = udp("127.0.0.1");
    SAY(go(l, "127.0.0.1", ntohs(name(p).sin_port)));
    a = name(l);
    sendto(q, "stranger", 8, 0, (void *)&a, sizeof a), sendto(p, "peer", 4, 0, (void *)&a, sizeof a);
    usleep(20000);
    got("heard", l, 0);
    got("more", l, 0);
    SAY(go(l, "127.0.0.1", ntohs(name(q).sin_port)));
    SAY(send(l, "to another", 10, 0));
    usleep(20000);
    got("another", q, 0);
    close(l), close(p), close(q);

    // Control messages.
    l = udp("0.0.0.0"), p = udp("127.0.0.1");
    setsockopt(l, SOL_IP, IP_PKTINFO, &one, sizeof one);
    setsockopt(l, SOL_IP, IP_RECVTTL, &one, sizeof one);
    setsockopt(l, SOL_IP, IP_RECVTOS, &one, sizeof one);
    a = name(l);
    a.sin_addr.s_addr = htonl(0x7f000003);
    sendto(p, "plain", 5, 0, (void *)&a, sizeof a);
    int ttl = 7, tos = 0x10;
    setsockopt(p, SOL_IP, IP_TTL, &ttl, sizeof ttl);
    setsockopt(p, SOL_IP, IP_TOS, &tos, sizeof tos);
    sendto(p, "marked", 6, 0, (void *)&a, sizeof a);
    char control[64] = {0};
    struct iovec part = {"own ttl", 7};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = &a, .msg_namelen = sizeof a,
                       .msg_control = control, .msg_controllen = CMSG_SPACE(4)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_level = SOL_IP, .cmsg_type = IP_TTL, .cmsg_len = CMSG_LEN(4)};
    *(int *)CMSG_DATA(c) = 9;
    SAY(sendmsg(p, &m, 0));
    *(int *)CMSG_DATA(c) = 256;
    SAY(sendmsg(p, &m, 0));
    c->cmsg_type = 99;
    SAY(sendmsg(p, &m, 0));
    usleep(20000);
    got("plain", l, 0);
    got("marked", l, 0);
    got("own ttl", l, 0);
    close(l), close(p);

    // The queue of errors.
    s = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(s, SOL_IP, IP_RECVERR, &one, sizeof one);
    got("no error", s, MSG_ERRQUEUE);
    SAY(to(s, "127.0.0.1", port, 3));
    usleep(20000);
    printf("poll %#x\n", events(s));
    got("error", s, MSG_ERRQUEUE);
    got("no more", s, MSG_ERRQUEUE);
    printf("poll %#x\n", events(s));
    close(s);

    // Several at one port: the last one that bound hears.
    int first = socket(AF_INET, SOCK_DGRAM, 0), second = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(second, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    a = at("127.0.0.1", 0);
    SAY(bind(first, (void *)&a, sizeof a));
    a = name(first);
    SAY(bind(second, (void *)&a, sizeof a));
    s = udp("127.0.0.1");
    sendto(s, "for whom", 8, 0, (void *)&a, sizeof a);
    usleep(20000);
    got("first", first, 0);
    got("second", second, 0);
    int queued = -1;
    sendto(s, "abc", 3, 0, (void *)&a, sizeof a), sendto(s, "defgh", 5, 0, (void *)&a, sizeof a);
    usleep(20000);
    ioctl(second, FIONREAD, &queued);
    printf("next is %d long\n", queued);
    return 0;
}
