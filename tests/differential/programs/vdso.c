// The vDSO: what it offers under which names, what its functions say, and that it can be unmapped like any mapping.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

static void *find(void *vdso, const char *name) {
    void *found = dlvsym(vdso, name, "LINUX_2.6");
    printf("%s %s\n", name, found ? "is there" : "is missing");
    return found;
}

static int mapping(unsigned long *start, unsigned long *end) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], flags[5], name[256];
    int found = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long s, e, offset, inode;
        unsigned major, minor;
        name[0] = 0;
        sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %255s", &s, &e, flags, &offset, &major, &minor, &inode, name);
        if (!strcmp(name, "[vdso]")) {
            printf("%s %lx %x:%x %lu\n", flags, offset, major, minor, inode);
            *start = s, *end = e, found = 1;
        }
    }
    fclose(maps);
    return found;
}

static int ended(pid_t child) {
    int status;
    waitpid(child, &status, 0);
    return status;
}

int main(void) {
    void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
    printf("vDSO %s\n", vdso ? "is loaded" : "is not loaded");
    int (*gettime)(int, struct timespec *) = find(vdso, "__vdso_clock_gettime");
    int (*getres)(int, struct timespec *) = find(vdso, "__vdso_clock_getres");
    int (*timeofday)(struct timeval *, void *) = find(vdso, "__vdso_gettimeofday");
    time_t (*seconds)(time_t *) = find(vdso, "__vdso_time");
    long (*cpu)(unsigned *, unsigned *, void *) = find(vdso, "__vdso_getcpu");
    const char *plain[] = {"clock_gettime", "clock_getres", "gettimeofday", "time", "getcpu"};
    for (int i = 0; i < 5; i++) find(vdso, plain[i]);
    find(vdso, "__vdso_nosuch");
    printf("other version: %d\n", dlvsym(vdso, "__vdso_time", "LINUX_9.9") != NULL);

    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
                    CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec before, now, after, r1, r2;
        syscall(SYS_clock_gettime, clocks[i], &before);
        int result = gettime(clocks[i], &now);
        syscall(SYS_clock_gettime, clocks[i], &after);
        syscall(SYS_clock_getres, clocks[i], &r1);
        int resolution = getres(clocks[i], &r2);
        // The coarse clocks are those of the last tick.
        int64_t slack = 20000000;
        printf("clock %d: %d, between %d, %d, same resolution %d\n", clocks[i], result,
               nanoseconds(before) - slack <= nanoseconds(now) && nanoseconds(now) <= nanoseconds(after) + slack,
               resolution, nanoseconds(r1) == nanoseconds(r2));
    }
    struct timespec t;
    printf("no clock: %d\n", gettime(99, &t));
    printf("resolution of no clock: %d\n", getres(99, &t));
    struct timeval tv;
    int day = timeofday(&tv, NULL);
    printf("gettimeofday %d %d\n", day, llabs((long long)tv.tv_sec - time(NULL)) < 2);
    time_t out;
    time_t value = seconds(&out);
    printf("time %d %d\n", value == out, llabs((long long)value - time(NULL)) < 2);
    unsigned processor = 77777, node = 77777;
    long where = cpu(&processor, &node, NULL);
    printf("getcpu %ld %d %d\n", where, processor < (unsigned)sysconf(_SC_NPROCESSORS_CONF), node < 64);
    printf("getcpu of nothing %ld\n", cpu(NULL, NULL, NULL));

    unsigned long start, end;
    if (!mapping(&start, &end)) return 1;
    printf("it is what the auxiliary vector says: %d\n", start == getauxval(AT_SYSINFO_EHDR));
    printf("ELF %d\n", memcmp((void *)start, "\177ELF", 4) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        printf("in a child: %d\n", gettime(CLOCK_MONOTONIC, &t));
        printf("munmap %d\n", munmap((void *)start, end - start));
        printf("mapped %d\n", mapping(&start, &end));
        printf("system call %ld\n", syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t));
        fflush(stdout);
        gettime(CLOCK_MONOTONIC, &t);
        _exit(9);
    }
    int status = ended(child);
    printf("then: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        *(volatile char *)start = 1;
        _exit(9);
    }
    status = ended(child);
    printf("writing: signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    printf("the parent's is there: %d\n", gettime(CLOCK_MONOTONIC, &t));
    return 0;
}
