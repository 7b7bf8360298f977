// Signals and time limits in blocking socket calls (signal(7)).
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int hits;
static int other;
static void on_alarm(int sig) {
    (void)sig;
    if (++hits == 2) write(other, "woken", 5);
}
static void arm(int restart) {
    struct sigaction a = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
    sigaction(SIGALRM, &a, 0);
    struct itimerval t = {{0, 30000}, {0, 30000}};
    hits = 0;
    setitimer(ITIMER_REAL, &t, 0);
}
static void disarm(void) {
    struct itimerval t = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &t, 0);
}

int main(void) {
    int s[2];
    char buf[16];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    other = s[1];
    arm(0);
    ssize_t r = recv(s[0], buf, sizeof buf, 0);
    printf("without restart %zd %s\n", r, r < 0 ? strerror(errno) : "");
    disarm();
    arm(1);
    r = recv(s[0], buf, sizeof buf, 0);
    printf("with restart %zd\n", r);
    disarm();
    struct timeval t = {5, 0};
    setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    arm(1);
    r = recv(s[0], buf, sizeof buf, 0);
    printf("with restart and a limit %zd %s\n", r, r < 0 ? strerror(errno) : "");
    disarm();
    t = (struct timeval){0, 10000};
    setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    r = recv(s[0], buf, sizeof buf, 0);
    printf("late %zd %s\n", r, r < 0 ? strerror(errno) : "");
    r = read(s[0], buf, sizeof buf);
    printf("late read %zd %s\n", r, r < 0 ? strerror(errno) : "");
    setsockopt(s[1], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    static char big[1 << 20];
    r = send(s[1], big, sizeof big, 0);
    printf("cut short %d\n", r > 0 && r < (ssize_t)sizeof big);
    r = send(s[1], big, sizeof big, 0);
    printf("late send %zd %s\n", r, r < 0 ? strerror(errno) : "");
    return 0;
}
