// What TCP_INFO, poll and recv say of a connection on its way to its end; SO_LINGER.
#include "tcp_pair.h"

int main(void) {
    start();
    socklen_t n;

    pair();
    show("connected");
    printf("at mark %d, to read %d, unsent %d, of a listener %d\n", bytes(c, SIOCATMARK), bytes(c, SIOCINQ),
           bytes(c, SIOCOUTQ), bytes(l, SIOCINQ));
    send(c, "12345", 5, 0);
    settle();
    printf("to read %d\n", bytes(a, SIOCINQ));
    shutdown(c, SHUT_WR);
    show("client half closed");
    printf("to read %d\n", bytes(a, SIOCINQ));
    got("peek", a, MSG_PEEK);
    got("read", a, 0);
    got("end", a, 0);
    got("end again", a, 0);
    close(a);
    settle();
    printf("server closed: client %d %#x\n", state(c), events(c));
    close(c);

    pair();
    shutdown(a, SHUT_RD);
    show("server shut for reading");
    send(c, "late", 4, 0);
    settle();
    got("shut for reading, and yet", a, 0);
    got("then", a, 0);
    end();

    pair();
    send(c, "unread", 6, 0);
    settle();
    close(a);
    settle();
    printf("closed over unread bytes: client %d %#x\n", state(c), events(c));
    got("reset", c, 0);
    got("after the reset", c, 0);
    printf("send: %s\n", send(c, "x", 1, MSG_NOSIGNAL) < 0 ? strerror(errno) : "ok");
    close(c);

    pair();
    close(a);
    show("closed");
    printf("first send: %zd\n", send(c, "x", 1, MSG_NOSIGNAL));
    settle();
    printf("second: %s\n", send(c, "x", 1, MSG_NOSIGNAL) < 0 ? strerror(errno) : "ok");
    got("read", c, 0);
    close(c);

    struct linger linger = {1, 0};
    pair();
    setsockopt(a, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(a);
    settle();
    printf("linger 0: client %d %#x\n", state(c), events(c));
    got("reset", c, 0);
    got("end", c, 0);
    close(c);

    pair();
    linger.l_linger = 3;
    setsockopt(a, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    n = sizeof linger;
    memset(&linger, 0, sizeof linger);
    getsockopt(a, SOL_SOCKET, SO_LINGER, &linger, &n);
    printf("linger %d %d length %u\n", linger.l_onoff, linger.l_linger, n);
    send(a, "bye", 3, 0);
    time_t before = time(NULL);
    close(a);
    printf("waited %d\n", time(NULL) - before > 1);
    settle();
    got("last", c, 0);
    got("end", c, 0);
    close(c);
    printf("short linger: %s\n", setsockopt(l, SOL_SOCKET, SO_LINGER, &linger, 4) ? strerror(errno) : "ok");
    close(l);
    return 0;
}
