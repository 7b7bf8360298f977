// Urgent data (MSG_OOB, SO_OOBINLINE, SIOCATMARK): the loopback inside the sandbox has none.
#include "../programs/tcp_pair.h"

int main(void) {
    start();

    pair();
    send(c, "ab", 2, 0);
    send(c, "!", 1, MSG_OOB);
    send(c, "cd", 2, 0);
    settle();
    printf("urgent: %#x\n", events(a));
    got("up to the mark", a, 0);
    printf("at mark %d\n", bytes(a, SIOCATMARK));
    got("urgent", a, MSG_OOB);
    got("urgent again", a, MSG_OOB);
    got("behind the mark", a, 0);
    int on = 1;
    setsockopt(a, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    got("urgent inline", a, MSG_OOB);
    end();
    close(l);
    return 0;
}
