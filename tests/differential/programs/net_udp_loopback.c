// UDP over the loopback: bounds, senders, connections, refusals, packet information.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void result(const char *what, long r) { printf("%s: %ld %s\n", what, r, r < 0 ? strerror(errno) : ""); }

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, from;
    socklen_t n = sizeof a;
    char buf[64], control[256];
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0), count, on = 1;
    result("send nowhere", send(two, "x", 1, 0));
    bind(one, (void *)&a, n);
    getsockname(one, (void *)&a, &n);
    result("sendto", sendto(two, "hello", 5, 0, (void *)&a, n));
    result("sendto empty", sendto(two, "", 0, 0, (void *)&a, n));
    ioctl(one, FIONREAD, &count);
    printf("FIONREAD %d\n", count);
    n = sizeof from;
    result("recvfrom", recvfrom(one, buf, 3, MSG_TRUNC, (void *)&from, &n));
    printf("%.3s from %s\n", buf, inet_ntoa(from.sin_addr));
    result("empty", recv(one, buf, 64, 0));
    result("none", recv(one, buf, 64, MSG_DONTWAIT));
    result("connect", connect(two, (void *)&a, sizeof a));
    struct sockaddr_in own;
    n = sizeof own;
    getsockname(two, (void *)&own, &n);
    printf("own address %s\n", inet_ntoa(own.sin_addr));
    setsockopt(one, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(one, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    result("send", send(two, "info", 4, 0));
    struct iovec v = {buf, 2};
    struct msghdr m = {&from, sizeof from, &v, 1, control, sizeof control, 0};
    result("recvmsg", recvmsg(one, &m, 0));
    printf("flags %#x control %zu\n", m.msg_flags, (size_t)m.msg_controllen);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("level %d type %d len %zu\n", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo i;
            memcpy(&i, CMSG_DATA(c), sizeof i);
            printf("interface %d to %s\n", i.ipi_ifindex, inet_ntoa(i.ipi_addr));
        }
    }
    struct mmsghdr mm[3];
    struct iovec vs[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    memset(mm, 0, sizeof mm);
    for (int i = 0; i < 3; i++) { mm[i].msg_hdr.msg_iov = &vs[i]; mm[i].msg_hdr.msg_iovlen = 1; }
    result("sendmmsg", sendmmsg(two, mm, 3, 0));
    printf("lengths %u %u %u\n", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
    char in[3][8];
    for (int i = 0; i < 3; i++) vs[i] = (struct iovec){in[i], 8};
    result("recvmmsg", recvmmsg(one, mm, 3, MSG_WAITFORONE, 0));
    printf("lengths %u %u %u\n", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
    static char big[70000];
    result("too long", send(two, big, 65508, 0));
    result("longest", send(two, big, 65507, 0));
    close(one);
    result("send", send(two, "x", 1, 0));
    struct pollfd p = {two, POLLIN | POLLOUT, 0};
    poll(&p, 1, 1000);
    printf("poll %#x\n", p.revents);
    result("refused", recv(two, buf, 1, MSG_DONTWAIT));
    result("then", recv(two, buf, 1, MSG_DONTWAIT));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    result("disconnect", connect(two, &none, sizeof none));
    n = sizeof own;
    getsockname(two, (void *)&own, &n);
    printf("own address %s\n", inet_ntoa(own.sin_addr));
    a.sin_port = 0;
    result("port 0", sendto(two, "x", 1, 0, (void *)&a, sizeof a));
    result("shutdown", shutdown(two, SHUT_RD));
    return 0;
}
