// A unix stream pair: bytes, peeking, half-close, end of file, broken pipe.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int pipes;
static void on_pipe(int sig) { (void)sig; pipes++; }

static void show_poll(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
    poll(&p, 1, 0);
    printf("%s: %#x\n", what, p.revents);
}

int main(void) {
    int s[2], n;
    char buf[64];
    signal(SIGPIPE, on_pipe);
    printf("pair %d\n", socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    show_poll("fresh", s[0]);
    printf("write %zd\n", write(s[0], "hello", 5));
    printf("write %zd\n", write(s[0], " world", 6));
    ioctl(s[1], FIONREAD, &n);
    printf("FIONREAD %d\n", n);
    show_poll("full", s[1]);
    ssize_t r = recv(s[1], buf, 5, MSG_PEEK);
    printf("peek %zd %.*s\n", r, (int)r, buf);
    r = read(s[1], buf, sizeof buf);
    printf("read %zd %.*s\n", r, (int)r, buf);
    r = recv(s[1], buf, sizeof buf, MSG_DONTWAIT);
    printf("empty %zd %s\n", r, strerror(errno));
    shutdown(s[0], SHUT_WR);
    show_poll("peer half closed", s[1]);
    show_poll("half closed", s[0]);
    r = read(s[1], buf, sizeof buf);
    printf("end %zd\n", r);
    r = write(s[0], "x", 1);
    printf("write after shutdown %zd %s, signals %d\n", r, strerror(errno), pipes);
    r = write(s[1], "back", 4);
    printf("other way %zd\n", r);
    close(s[1]);
    show_poll("peer closed", s[0]);
    r = read(s[0], buf, sizeof buf);
    printf("read %zd %.*s\n", r, (int)(r > 0 ? r : 0), buf);
    r = read(s[0], buf, sizeof buf);
    printf("read %zd\n", r);
    r = send(s[0], "x", 1, MSG_NOSIGNAL);
    printf("send %zd %s, signals %d\n", r, strerror(errno), pipes);

    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    write(s[0], "unread", 6);
    close(s[1]);
    show_poll("peer closed with unread bytes", s[0]);
    r = read(s[0], buf, 1);
    printf("read %zd %s\n", r, strerror(errno));
    r = read(s[0], buf, 1);
    printf("read %zd\n", r);
    return 0;
}
