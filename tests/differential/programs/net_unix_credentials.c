// SO_PEERCRED, SO_PASSCRED and SCM_CREDENTIALS.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void peer(const char *what, int fd) {
    struct ucred c;
    socklen_t n = sizeof c;
    int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n);
    printf("%s: %d len %u me %d uid %d gid %d\n", what, r, n, c.pid == getpid(), (int)c.uid, (int)c.gid);
}
static void take(int fd) {
    char control[128], text[8];
    struct iovec v = {text, sizeof text};
    struct msghdr m = {0, 0, &v, 1, control, sizeof control, 0};
    long n = recvmsg(fd, &m, 0);
    printf("got %ld %.*s flags %#x", n, (int)(n > 0 ? n : 0), text, m.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct ucred u;
        memcpy(&u, CMSG_DATA(c), sizeof u);
        printf(" [type %d len %zu me %d uid %d gid %d]", c->cmsg_type, (size_t)c->cmsg_len, u.pid == getpid(), (int)u.uid, (int)u.gid);
    }
    printf("\n");
}
static long state(int fd, struct ucred u) {
    char control[CMSG_SPACE(sizeof u)];
    memset(control, 0, sizeof control);
    struct iovec v = {"said", 4};
    struct msghdr m = {0, 0, &v, 1, control, sizeof control, 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof u);
    memcpy(CMSG_DATA(c), &u, sizeof u);
    return sendmsg(fd, &m, 0);
}

int main(void) {
    int s[2], on = 1, off = 0;
    int fresh = socket(AF_UNIX, SOCK_STREAM, 0);
    struct ucred c;
    socklen_t n = sizeof c;
    getsockopt(fresh, SOL_SOCKET, SO_PEERCRED, &c, &n);
    printf("fresh: pid %d uid %d gid %d\n", c.pid, (int)c.uid, (int)c.gid);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    peer("pair", s[0]);
    write(s[0], "early", 5);
    setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    write(s[0], "late", 4);
    take(s[1]);
    take(s[1]);
    struct ucred mine = {getpid(), getuid(), getgid()};
    printf("state %ld\n", state(s[0], mine));
    take(s[1]);
    setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &off, sizeof off);
    state(s[0], mine);
    take(s[1]);
    struct ucred nobody = {999999, 0, 0};
    long r = state(s[0], nobody);
    printf("no such process %ld %s\n", r, strerror(errno));
    return 0;
}
