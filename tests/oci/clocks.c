// Prints what the clocks that a time namespace moves show, in seconds, and whether waiting for a point of them works.
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct timespec after(int clock, long milliseconds) {
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += milliseconds * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

static long elapsed(struct timespec since) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - since.tv_sec) * 1000 + (now.tv_nsec - since.tv_nsec) / 1000000;
}

int main(void) {
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
    for (int i = 0; i < 5; i++) {
        struct timespec library, kernel;
        clock_gettime(clocks[i], &library);
        syscall(SYS_clock_gettime, clocks[i], &kernel);
        printf("clock%d %ld\ncall%d %ld\n", clocks[i], (long)library.tv_sec, clocks[i], (long)kernel.tv_sec);
    }
    struct sysinfo info;
    sysinfo(&info);
    double up;
    FILE *uptime = fopen("/proc/uptime", "r");
    if (!uptime || fscanf(uptime, "%lf", &up) != 1) return 1;
    printf("sysinfo %ld\nuptime %ld\n", info.uptime, (long)up);
    for (int i = 0; i < 2; i++) {
        int clock = i ? CLOCK_BOOTTIME : CLOCK_MONOTONIC;
        struct timespec begin, until = after(clock, 100);
        clock_gettime(CLOCK_REALTIME, &begin);
        clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL);
        long slept = elapsed(begin);
        printf("sleep%d %d\n", clock, slept >= 90 && slept < 5000);
        int timer = timerfd_create(clock, 0);
        struct itimerspec at = {.it_value = after(clock, 100)};
        clock_gettime(CLOCK_REALTIME, &begin);
        timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
        uint64_t expirations = 0;
        if (read(timer, &expirations, 8) != 8) return 1;
        long waited = elapsed(begin);
        printf("timer%d %d\n", clock, waited >= 90 && waited < 5000 && expirations == 1);
    }
    return 0;
}
