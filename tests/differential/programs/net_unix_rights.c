// SCM_RIGHTS: descriptors arrive, keep their file, and stop a stream; what is not received is closed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static long pass(int to, const char *text, int *fds, int count) {
    char control[CMSG_SPACE(sizeof(int) * 16)];
    memset(control, 0, sizeof control);
    struct iovec v = {(void *)text, strlen(text)};
    struct msghdr m = {0, 0, &v, 1, control, CMSG_SPACE(sizeof(int) * count), 0};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    return sendmsg(to, &m, 0);
}
static int take(int from, int room, int flags, int *fds) {
    char control[256], text[64];
    memset(control, 0, sizeof control);
    struct iovec v = {text, sizeof text};
    struct msghdr m = {0, 0, &v, 1, control, room, 0};
    long n = recvmsg(from, &m, flags);
    printf("got %ld %.*s flags %#x control %zu", n, (int)(n > 0 ? n : 0), text, m.msg_flags & ~MSG_CMSG_CLOEXEC, (size_t)m.msg_controllen);
    int count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf(" [level %d type %d len %zu]", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
        if (c->cmsg_type == SCM_RIGHTS) {
            count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(c), count * sizeof(int));
        }
    }
    printf("\n");
    return count;
}

int main(void) {
    int s[2], p[2], got[16];
    char buf[8];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    write(s[0], "before ", 7);
    printf("pass %ld\n", pass(s[0], "with", (int[]){p[1]}, 1));
    write(s[0], " after", 6);
    close(p[1]);
    int n = take(s[1], 256, MSG_CMSG_CLOEXEC, got);
    printf("count %d cloexec %d\n", n, fcntl(got[0], F_GETFD));
    write(got[0], "through", 7);
    printf("read %zd\n", read(p[0], buf, 7));
    close(got[0]);
    printf("pipe end %zd\n", read(p[0], buf, 1));
    take(s[1], 256, 0, got);

    pipe(p);
    pass(s[0], "lost", (int[]){p[1]}, 1);
    close(p[1]);
    printf("plain read %zd\n", read(s[1], buf, 8));
    printf("pipe end %zd\n", read(p[0], buf, 1));

    pipe(p);
    pass(s[0], "three", (int[]){p[1], p[1], p[0]}, 3);
    n = take(s[1], CMSG_LEN(sizeof(int) * 2), 0, got);
    printf("count %d\n", n);
    for (int i = 0; i < n; i++) close(got[i]);
    pass(s[0], "none", (int[]){p[1]}, 1);
    n = take(s[1], 0, 0, got);

    pass(s[0], "peek", (int[]){p[0]}, 1);
    n = take(s[1], 256, MSG_PEEK, got);
    n += take(s[1], 256, 0, got + 1);
    printf("peeked and taken %d, differ %d\n", n, got[0] != got[1]);
    long r = pass(s[0], "bad", (int[]){999}, 1);
    printf("bad %ld %s\n", r, strerror(errno));

    // A socket whose only reference lies in its own queue, and one that is closed in flight.
    int t[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, t);
    pass(t[0], "self", (int[]){t[1]}, 1);
    close(t[1]);
    printf("alive %zd\n", send(t[0], "x", 1, MSG_NOSIGNAL));
    close(t[0]);
    // Two sockets that lie in each other's queues end, and with them the pipe that is there too.
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, t);
    pass(t[0], "one", (int[]){t[0], p[1]}, 2);
    pass(t[1], "two", (int[]){t[1], p[1]}, 2);
    close(p[1]);
    close(t[0]);
    close(t[1]);
    close(s[0]);
    printf("pipe end %zd\n", read(p[0], buf, 1));
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, t);
    pass(t[0], "pipe", (int[]){p[1]}, 1);
    close(p[1]);
    close(t[0]);
    close(t[1]);
    printf("pipe end %zd\n", read(p[0], buf, 1));
    return 0;
}
