// Netlink: the loopback interface and its addresses, refusals, acknowledgements.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int s, seq;
static void ask(int type, int flags, const void *body, int len) {
    struct { struct nlmsghdr h; char body[64]; } q;
    memset(&q, 0, sizeof q);
    q.h.nlmsg_len = NLMSG_LENGTH(len);
    q.h.nlmsg_type = type;
    q.h.nlmsg_flags = NLM_F_REQUEST | flags;
    q.h.nlmsg_seq = ++seq;
    memcpy(q.body, body, len);
    printf("ask type %d: sent %d\n", type, (int)send(s, &q, q.h.nlmsg_len, 0) == (int)q.h.nlmsg_len);
}
static void answers(int dump) {
    static char buf[32768];
    for (;;) {
        int n = recv(s, buf, sizeof buf, 0);
        for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_seq != (unsigned)seq) printf("wrong sequence\n");
            if (h->nlmsg_type == NLMSG_DONE) { printf("done\n"); return; }
            if (h->nlmsg_type == NLMSG_ERROR) {
                printf("error %s\n", strerror(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
                return;
            }
            if (h->nlmsg_type == RTM_NEWLINK) {
                struct ifinfomsg *i = NLMSG_DATA(h);
                int left = IFLA_PAYLOAD(h);
                for (struct rtattr *a = IFLA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left))
                    if (a->rta_type == IFLA_IFNAME && !strcmp(RTA_DATA(a), "lo"))
                        printf("link lo index %d type %d loopback %d\n", i->ifi_index, i->ifi_type, !!(i->ifi_flags & IFF_LOOPBACK));
            }
            if (h->nlmsg_type == RTM_NEWADDR) {
                struct ifaddrmsg *i = NLMSG_DATA(h);
                int left = IFA_PAYLOAD(h);
                char text[64];
                for (struct rtattr *a = IFA_RTA(i); RTA_OK(a, left); a = RTA_NEXT(a, left))
                    if (a->rta_type == IFA_ADDRESS && i->ifa_index == 1)
                        printf("address %s/%d scope %d\n", inet_ntop(i->ifa_family, RTA_DATA(a), text, sizeof text), i->ifa_prefixlen, i->ifa_scope);
            }
            if (!dump && !(h->nlmsg_flags & NLM_F_MULTI) && h->nlmsg_type != RTM_NEWLINK) return;
        }
        if (!dump) return;
    }
}

int main(void) {
    s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    socklen_t n = sizeof a;
    printf("bind %d\n", bind(s, (void *)&a, n));
    getsockname(s, (void *)&a, &n);
    printf("own number is the process's %d len %u\n", a.nl_pid == (unsigned)getpid(), n);
    struct ifinfomsg all = {0};
    ask(RTM_GETLINK, NLM_F_DUMP, &all, sizeof all);
    answers(1);
    struct ifaddrmsg addr = {.ifa_family = AF_INET};
    ask(RTM_GETADDR, NLM_F_DUMP, &addr, sizeof addr);
    answers(1);
    struct ifinfomsg one = {.ifi_index = 1};
    ask(RTM_GETLINK, 0, &one, sizeof one);
    answers(0);
    one.ifi_index = 4242;
    ask(RTM_GETLINK, 0, &one, sizeof one);
    answers(0);
    printf("index of lo %u, of nosuch %u\n", if_nametoindex("lo"), if_nametoindex("nosuch"));
    char name[IF_NAMESIZE];
    printf("name of 1 %s\n", if_indextoname(1, name));
    char peer;
    int r = recv(s, &peer, 1, MSG_DONTWAIT);
    printf("nothing left %d %s\n", r, strerror(errno));
    return 0;
}
