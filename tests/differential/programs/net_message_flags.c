// MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_DONTWAIT, MSG_MORE; time limits and low water marks; many messages at once.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static char text[256];
static void got(const char *what, int s, size_t size, int flags) {
    memset(text, 0, sizeof text);
    ssize_t n = recv(s, text, size, flags);
    printf("%s: %zd %s\n", what, n, n < 0 ? strerror(errno) : text);
}
static int client;
static void *later(void *pieces) {
    for (char **piece = pieces; *piece; piece++) usleep(30000), send(client, *piece, strlen(*piece), 0);
    return NULL;
}
static void *later_end(void *piece) {
    usleep(30000);
    send(client, piece, strlen(piece), 0);
    usleep(30000);
    shutdown(client, SHUT_WR);
    return NULL;
}
static void alarmed(int n) { (void)n; }

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    bind(l, (void *)&a, sizeof a), listen(l, 1), getsockname(l, (void *)&a, &n);
    client = socket(AF_INET, SOCK_STREAM, 0);
    connect(client, (void *)&a, sizeof a);
    int s = accept(l, NULL, NULL);
    got("nothing yet", s, 10, MSG_DONTWAIT);
    got("no room", s, 0, MSG_DONTWAIT);
    send(client, "0123456789", 10, 0);
    usleep(20000);
    got("peek", s, 4, MSG_PEEK);
    got("peek again", s, 20, MSG_PEEK | MSG_DONTWAIT);
    got("read", s, 3, 0);
    memset(text, '.', 8);
    printf("thrown away: %zd %.4s\n", recv(s, text, 4, MSG_TRUNC), text);
    got("rest", s, 20, 0);
    pthread_t t;
    char *pieces[] = {"ab", "cd", "ef", NULL};
    pthread_create(&t, NULL, later, pieces);
    got("all of it", s, 6, MSG_WAITALL);
    pthread_join(t, NULL);
    send(client, "now", 3, 0);
    usleep(20000);
    got("all, without waiting", s, 10, MSG_WAITALL | MSG_DONTWAIT);
    send(client, "part", 4, 0);
    struct timeval limit = {0, 50000};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    got("all, in time", s, 10, MSG_WAITALL);
    got("in time", s, 10, 0);
    limit = (struct timeval){0, 0};
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct sigaction act = {.sa_handler = alarmed};
    sigaction(SIGALRM, &act, NULL);
    send(client, "sig", 3, 0);
    struct itimerval timer = {.it_value = {0, 50000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    got("all, until a signal", s, 10, MSG_WAITALL);
    setitimer(ITIMER_REAL, &timer, NULL);
    got("until a signal", s, 10, 0);
    int low = 4;
    setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    send(client, "lo", 2, 0);
    struct pollfd p = {.fd = s, .events = POLLIN};
    printf("below the mark: %d\n", poll(&p, 1, 30));
    send(client, "w!", 2, 0);
    printf("at the mark: %d\n", poll(&p, 1, 1000));
    got("low", s, 10, 0);
    low = 1;
    setsockopt(s, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
    struct iovec parts[] = {{"sc", 2}, {"", 0}, {"atter", 5}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 3, .msg_name = &a, .msg_namelen = sizeof a};
    printf("sendmsg with a name: %zd\n", sendmsg(client, &m, 0));
    usleep(20000);
    char x[3], y[3], z[4];
    struct iovec room[] = {{x, 3}, {y, 3}, {z, 4}};
    struct sockaddr_in from = {0};
    struct msghdr r = {.msg_iov = room, .msg_iovlen = 3, .msg_name = &from, .msg_namelen = sizeof from};
    printf("recvmsg: %zd", recvmsg(s, &r, 0));
    printf(" name %u flags %#x %.3s|%.3s|%.1s\n", r.msg_namelen, r.msg_flags, x, y, z);
    send(client, "mo", 2, MSG_MORE), send(client, "re", 2, 0);
    usleep(20000);
    got("in one", s, 10, 0);
    pthread_create(&t, NULL, later_end, "ha");
    got("all, until the end", s, 10, MSG_WAITALL);
    pthread_join(t, NULL);
    signal(SIGPIPE, SIG_IGN);
    printf("send after the end: %s\n", send(client, "x", 1, 0) < 0 ? strerror(errno) : "ok");

    int u = socket(AF_INET, SOCK_DGRAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0);
    a.sin_port = 0;
    bind(u, (void *)&a, sizeof a), getsockname(u, (void *)&a, &n);
    got("no datagram", u, 10, MSG_DONTWAIT);
    printf("nowhere: %s\n", send(v, "x", 1, 0) < 0 ? strerror(errno) : "ok");
    connect(v, (void *)&a, sizeof a);
    send(v, "datagram", 8, 0), send(v, "", 0, 0), send(v, "two", 3, 0);
    usleep(20000);
    got("peek", u, 4, MSG_PEEK);
    got("true length", u, 4, MSG_TRUNC | MSG_PEEK);
    r = (struct msghdr){.msg_iov = room, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    printf("cut: %zd", recvmsg(u, &r, 0));
    printf(" name %u flags %#x %.3s\n", r.msg_namelen, r.msg_flags, x);
    got("empty", u, 4, 0);
    got("two", u, 10, MSG_WAITALL);
    struct iovec each[] = {{"1", 1}, {"22", 2}, {"333", 3}};
    struct mmsghdr out[3] = {0}, in[4] = {0};
    for (int i = 0; i < 3; i++) out[i].msg_hdr.msg_iov = &each[i], out[i].msg_hdr.msg_iovlen = 1;
    printf("sendmmsg: %d", sendmmsg(v, out, 3, 0));
    printf(" %u %u %u\n", out[0].msg_len, out[1].msg_len, out[2].msg_len);
    usleep(20000);
    char into[4][2];
    struct iovec places[4];
    for (int i = 0; i < 4; i++) {
        places[i] = (struct iovec){into[i], 2};
        in[i].msg_hdr.msg_iov = &places[i], in[i].msg_hdr.msg_iovlen = 1;
    }
    printf("recvmmsg: %d", recvmmsg(u, in, 4, MSG_WAITFORONE, NULL));
    printf(" %u %u %u flags %#x %#x\n", in[0].msg_len, in[1].msg_len, in[2].msg_len, in[1].msg_hdr.msg_flags,
           in[2].msg_hdr.msg_flags);
    send(v, "corked ", 7, MSG_MORE), send(v, "datagram", 8, 0);
    usleep(20000);
    got("in one", u, 100, 0);
    int on = 1, off = 0;
    setsockopt(v, IPPROTO_UDP, UDP_CORK, &on, sizeof on);
    send(v, "held ", 5, 0), send(v, "back", 4, 0);
    usleep(20000);
    got("corked", u, 100, MSG_DONTWAIT);
    setsockopt(v, IPPROTO_UDP, UDP_CORK, &off, sizeof off);
    usleep(20000);
    got("uncorked", u, 100, MSG_DONTWAIT);
    shutdown(u, SHUT_RD);
    got("shut, may wait", u, 10, 0);
    got("shut, may not", u, 10, MSG_DONTWAIT);
    return 0;
}
