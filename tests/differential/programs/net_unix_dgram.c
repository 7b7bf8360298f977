// Unix datagrams: bounds, truncation, senders' names, connections, refusals.
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t abstract(struct sockaddr_un *a, const char *text) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path + 1, text);
    return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text);
}
static void result(const char *what, long r) { printf("%s: %ld %s\n", what, r, r < 0 ? strerror(errno) : ""); }

int main(void) {
    struct sockaddr_un a, b, from;
    char buf[16];
    int n;
    int one = socket(AF_UNIX, SOCK_DGRAM, 0), two = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t al = abstract(&a, "net_dgram_one"), bl = abstract(&b, "net_dgram_two"), fl;
    result("send nowhere", send(one, "x", 1, 0));
    bind(one, (void *)&a, al);
    result("sendto unbound", sendto(two, "abcdef", 6, 0, (void *)&a, al));
    bind(two, (void *)&b, bl);
    result("sendto bound", sendto(two, "ghi", 3, 0, (void *)&a, al));
    result("sendto empty", sendto(two, "", 0, 0, (void *)&a, al));
    ioctl(one, FIONREAD, &n);
    printf("FIONREAD %d\n", n);
    fl = sizeof from;
    struct iovec v = {buf, 4};
    struct msghdr m = {&from, sizeof from, &v, 1, 0, 0, 0};
    result("recvmsg", recvmsg(one, &m, 0));
    printf("flags %#x namelen %u\n", m.msg_flags, m.msg_namelen);
    result("recvfrom trunc", recvfrom(one, buf, 2, MSG_TRUNC, (void *)&from, &fl));
    printf("from %u %.*s\n", fl, (int)fl - 3, from.sun_path + 1);
    result("empty", recv(one, buf, sizeof buf, 0));
    result("connect", connect(two, (void *)&a, al));
    result("send", send(two, "one", 3, 0));
    result("connect back", connect(one, (void *)&b, bl));
    int three = socket(AF_UNIX, SOCK_DGRAM, 0);
    result("stranger", sendto(three, "x", 1, 0, (void *)&a, al));
    result("stranger connects", connect(three, (void *)&a, al));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    result("disconnect", connect(one, &none, sizeof none));
    result("stranger again", sendto(three, "x", 1, 0, (void *)&a, al));
    int size = 8192;
    setsockopt(two, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    static char big[40000];
    result("too long", send(two, big, sizeof big, 0));
    close(one);
    result("send to closed", send(two, "x", 1, 0));
    result("send again", send(two, "x", 1, 0));
    result("sendto closed", sendto(two, "x", 1, 0, (void *)&a, al));
    int s[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
    send(s[0], "first", 5, 0);
    send(s[0], "second", 6, 0);
    result("packet", recv(s[1], buf, 3, 0));
    result("packet", recv(s[1], buf, sizeof buf, 0));
    shutdown(s[0], SHUT_WR);
    result("end", recv(s[1], buf, sizeof buf, 0));
    close(s[1]);
    result("closed", send(s[0], "x", 1, MSG_NOSIGNAL));
    int q = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    result("unconnected recv", recv(q, buf, 1, 0));
    result("unconnected send", send(q, buf, 1, MSG_NOSIGNAL));
    q = socket(AF_UNIX, SOCK_STREAM, 0);
    result("unconnected recv", recv(q, buf, 1, 0));
    result("unconnected send", send(q, buf, 1, MSG_NOSIGNAL));
    result("sendto stream", sendto(q, buf, 1, MSG_NOSIGNAL, (void *)&a, al));
    return 0;
}
