// Names of unix sockets: paths, abstract ones, automatic ones, and what connect says to wrong ones.
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t name(struct sockaddr_un *a, const char *text) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path, text);
    return offsetof(struct sockaddr_un, sun_path) + strlen(text) + 1;
}
static void result(const char *what, int r) { printf("%s: %d %s\n", what, r, r < 0 ? strerror(errno) : ""); }
static void show(const char *what, int fd, int (*get)(int, struct sockaddr *, socklen_t *)) {
    struct sockaddr_un a;
    socklen_t n = sizeof a;
    memset(&a, 'z', sizeof a);
    int r = get(fd, (void *)&a, &n);
    if (r < 0) { result(what, r); return; }
    printf("%s: len %u family %d", what, n, a.sun_family);
    if (n > 2) printf(" name %s", a.sun_path[0] ? a.sun_path : "(abstract)");
    printf("\n");
}

int main(void) {
    struct sockaddr_un a;
    struct stat st;
    char dir[] = "/tmp/net_names_XXXXXX";
    mkdtemp(dir);
    chdir(dir);
    umask(022);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    show("unbound", l, getsockname);
    result("listen unbound", listen(l, 1));
    socklen_t n = name(&a, "sock");
    result("bind", bind(l, (void *)&a, n));
    show("bound", l, getsockname);
    stat("sock", &st);
    printf("mode %o links %d\n", st.st_mode, (int)st.st_nlink);
    result("bind again", bind(l, (void *)&a, n));
    int o = socket(AF_UNIX, SOCK_STREAM, 0);
    result("bind taken", bind(o, (void *)&a, n));
    result("connect before listen", connect(o, (void *)&a, n));
    result("listen", listen(l, 1));
    result("connect", connect(o, (void *)&a, n));
    result("connect again", connect(o, (void *)&a, n));
    show("peer", o, getpeername);
    show("client", o, getsockname);
    int c = accept(l, 0, 0);
    show("accepted", c, getsockname);
    show("accepted peer", c, getpeername);
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    result("wrong type", connect(d, (void *)&a, n));
    n = name(&a, "nosuch");
    result("no such", connect(d, (void *)&a, n));
    n = name(&a, ".");
    result("directory", connect(d, (void *)&a, n));
    unlink("sock");
    n = name(&a, "sock");
    int e = socket(AF_UNIX, SOCK_STREAM, 0);
    result("unlinked", connect(e, (void *)&a, n));
    result("bound anew", bind(e, (void *)&a, n));
    close(e);
    e = socket(AF_UNIX, SOCK_STREAM, 0);
    result("dead name", connect(e, (void *)&a, n));
    a.sun_path[0] = 0;
    strcpy(a.sun_path + 1, "net_unix_names");
    n = offsetof(struct sockaddr_un, sun_path) + 15;
    result("abstract", bind(d, (void *)&a, n));
    show("abstract", d, getsockname);
    int f = socket(AF_UNIX, SOCK_DGRAM, 0);
    result("abstract taken", bind(f, (void *)&a, n));
    result("abstract shorter", bind(f, (void *)&a, n - 1));
    int g = socket(AF_UNIX, SOCK_DGRAM, 0);
    sa_family_t bare = AF_UNIX;
    result("automatic", bind(g, (void *)&bare, sizeof bare));
    show("automatic", g, getsockname);
    bare = AF_INET;
    result("other family", bind(g, (void *)&bare, sizeof bare));
    result("short", bind(f, (void *)&bare, 1));
    result("long", bind(f, (void *)&a, 111));
    unlink("sock");
    chdir("/");
    rmdir(dir);
    return 0;
}
