// What socket() and socketpair() refuse, and what sockets are as files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void make(int family, int type, int protocol) {
    int s = socket(family, type, protocol);
    printf("socket(%d, %#x, %d): %s\n", family, type, protocol, s < 0 ? strerror(errno) : "ok");
    if (s >= 0) close(s);
}

int main(void) {
    make(AF_UNIX, SOCK_STREAM, 0);
    make(AF_UNIX, SOCK_STREAM, 1);
    make(AF_UNIX, SOCK_STREAM, 6);
    make(AF_UNIX, SOCK_RAW, 0);
    make(AF_UNIX, SOCK_RDM, 0);
    make(AF_UNIX, 11, 0);
    make(AF_INET, SOCK_STREAM, 0);
    make(AF_INET, SOCK_STREAM, IPPROTO_UDP);
    make(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    make(AF_INET, SOCK_DGRAM, IPPROTO_TCP);
    make(AF_INET, SOCK_SEQPACKET, 0);
    make(AF_INET, SOCK_STREAM, -1);
    make(AF_INET, SOCK_STREAM, 300);
    make(AF_INET, SOCK_RAW, 0);
    make(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
    make(-1, SOCK_STREAM, 0);
    make(100, SOCK_STREAM, 0);
    make(AF_UNIX, SOCK_STREAM | 0x100, 0);
    make(AF_NETLINK, SOCK_STREAM, 0);
    make(AF_NETLINK, SOCK_RAW, 0);
    make(AF_NETLINK, SOCK_RAW, 31);
    int s[2];
    int r = socketpair(AF_INET, SOCK_STREAM, 0, s);
    printf("pair of inet %d %s\n", r, strerror(errno));
    r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s);
    printf("pair %d flags %#x fd flags %d\n", r, fcntl(s[0], F_GETFL), fcntl(s[0], F_GETFD));
    struct stat st;
    fstat(s[0], &st);
    printf("mode %o links %d size %ld\n", st.st_mode, (int)st.st_nlink, (long)st.st_size);
    char path[64], link[64];
    sprintf(path, "/proc/self/fd/%d", s[0]);
    ssize_t n = readlink(path, link, sizeof link);
    printf("link %.8s\n", n > 0 ? link : "");
    r = lseek(s[0], 0, SEEK_CUR);
    printf("lseek %d %s\n", r, strerror(errno));
    char buf[4];
    r = pread(s[0], buf, 4, 0);
    printf("pread %d %s\n", r, strerror(errno));
    r = read(s[0], buf, 4);
    printf("read %d %s\n", r, strerror(errno));
    int off = 0;
    ioctl(s[0], FIONBIO, &off);
    printf("flags %#x\n", fcntl(s[0], F_GETFL));
    int fd = open("/dev/null", O_RDWR);
    r = listen(fd, 1);
    printf("not a socket %d %s\n", r, strerror(errno));
    r = listen(999, 1);
    printf("no descriptor %d %s\n", r, strerror(errno));
    r = listen(s[0], 1);
    printf("listen on a pair %d %s\n", r, strerror(errno));
    r = accept4(s[0], 0, 0, 1);
    printf("accept flags %d %s\n", r, strerror(errno));
    r = shutdown(s[0], 7);
    printf("shutdown how %d %s\n", r, strerror(errno));
    return 0;
}
