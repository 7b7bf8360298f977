/*
 * What one operation costs, seen from inside: the same static program runs natively and in every sandbox.
 *
 * Each row is calibrated until a batch lasts its share of the row's time, then batches are taken until the time is up:
 * a runtime that needs 10 ms for a fork gets fewer and shorter batches, not a longer run. One line of JSON a row goes
 * to standard output as soon as it is known, so that a row that hangs or kills the program costs only itself:
 *
 *   {"row":"getpid","min":175.2,"median":176.0,"batches":20,"operations":1024}
 *   {"row":"epoll","errno":38,"error":"Function not implemented","at":"epoll_create1(0)"}
 *
 * Files that are read (pread, stat, open, file mapping, exec) are this program's own image, which lies in the root that
 * the runtime serves; the file that is written lies in the scratch directory.
 *
 * gcc -O2 -static -pthread -o micro micro.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, BLOCK = 65536, MAX_BATCHES = 1000 };

static const char *image;            /* this program's path */
static const char *scratch = "/tmp"; /* a directory that can be written */
static char missing[PATH_MAX];
static char written[PATH_MAX];
static char *buffer;
static int file = -1;
static int ends[4] = {-1, -1, -1, -1};
static int events = -1, epoll = -1;
static pid_t self, partner;
static pthread_t partner_thread;
static volatile sig_atomic_t handled;
static int ping, pong, leaving;

/* The call that failed, in the source's own words. */
static const char *failed_at = "";
static int fail(const char *at)
{
	failed_at = at;
	return -1;
}
#define TRY(call)                          \
	do {                               \
		if ((long)(call) < 0)      \
			return fail(#call); \
	} while (0)
/* A count that must be exact: a short answer is a wrong one. */
#define EXACT(call, count)                          \
	do {                                        \
		long answer_ = (long)(call);        \
		if (answer_ != (long)(count)) {     \
			if (answer_ >= 0)           \
				errno = EIO;        \
			return fail(#call);         \
		}                                   \
	} while (0)
#define TRY_PTHREAD(call)                   \
	do {                                \
		int error_ = (call);        \
		if (error_) {               \
			errno = error_;     \
			return fail(#call); \
		}                           \
	} while (0)

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* A call with the number as an immediate, as libraries have it, where libc would not ask the kernel. */
static inline long clock_gettime_as_call(clockid_t clock, struct timespec *t)
{
	long answer;
	__asm__ volatile("mov %1, %%eax\n\tsyscall"
			 : "=&a"(answer)
			 : "i"(SYS_clock_gettime), "D"(clock), "S"(t)
			 : "rcx", "r11", "memory");
	if (answer < 0) {
		errno = -answer;
		return -1;
	}
	return answer;
}

/* Calls that need nothing prepared. */

static int run_getpid(long n)
{
	while (n--)
		TRY(getpid());
	return 0;
}

static int run_getppid(long n)
{
	while (n--)
		TRY(getppid());
	return 0;
}

static int run_clock_vdso(long n)
{
	struct timespec t;
	while (n--)
		TRY(clock_gettime(CLOCK_MONOTONIC, &t));
	return 0;
}

static int run_clock_call(long n)
{
	struct timespec t;
	while (n--)
		TRY(clock_gettime_as_call(CLOCK_MONOTONIC, &t));
	return 0;
}

/* Files. */

static int open_image(void)
{
	TRY(file = open(image, O_RDONLY | O_CLOEXEC));
	return 0;
}

static int open_written(void)
{
	TRY(file = open(written, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
	EXACT(pwrite(file, buffer, PAGE, 0), PAGE);
	return 0;
}

static void close_file(void)
{
	if (file >= 0)
		close(file);
	file = -1;
}

static void remove_written(void)
{
	close_file();
	unlink(written);
}

static int run_pread_4k(long n)
{
	while (n--)
		EXACT(pread(file, buffer, PAGE, 0), PAGE);
	return 0;
}

static int run_pread_64k(long n)
{
	while (n--)
		EXACT(pread(file, buffer, BLOCK, 0), BLOCK);
	return 0;
}

static int run_pwrite_4k(long n)
{
	while (n--)
		EXACT(pwrite(file, buffer, PAGE, 0), PAGE);
	return 0;
}

static int run_lseek(long n)
{
	while (n--)
		EXACT(lseek(file, n & 1023, SEEK_SET), n & 1023);
	return 0;
}

static int run_fstat(long n)
{
	struct stat st;
	while (n--)
		TRY(fstat(file, &st));
	return 0;
}

static int run_stat(long n)
{
	struct stat st;
	while (n--)
		TRY(stat(image, &st));
	return 0;
}

static int run_stat_missing(long n)
{
	struct stat st;
	while (n--)
		if (stat(missing, &st) != -1 || errno != ENOENT)
			return fail("stat(missing, &st)");
	return 0;
}

static int run_open_close(long n)
{
	while (n--) {
		int fd;
		TRY(fd = open(image, O_RDONLY | O_CLOEXEC));
		TRY(close(fd));
	}
	return 0;
}

/* Pipes, sockets, events. */

static void close_ends(void)
{
	for (int i = 0; i < 4; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		ends[i] = -1;
	}
}

static int make_pipe(void)
{
	TRY(pipe2(ends, O_CLOEXEC));
	return 0;
}

static int make_socketpair(void)
{
	TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	return 0;
}

static int run_write_read(long n)
{
	char c = 'x';
	while (n--) {
		EXACT(write(ends[1], &c, 1), 1);
		EXACT(read(ends[0], &c, 1), 1);
	}
	return 0;
}

static int make_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	TRY(events = eventfd(0, EFD_CLOEXEC));
	TRY(epoll = epoll_create1(EPOLL_CLOEXEC));
	TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, events, &event));
	return 0;
}

static void close_epoll(void)
{
	close(events);
	close(epoll);
	events = epoll = -1;
}

/* An event from its birth to its end: write, epoll_wait, read. */
static int run_epoll(long n)
{
	unsigned long one = 1;
	struct epoll_event event;
	while (n--) {
		EXACT(write(events, &one, sizeof one), sizeof one);
		EXACT(epoll_wait(epoll, &event, 1, -1), 1);
		EXACT(read(events, &one, sizeof one), sizeof one);
	}
	return 0;
}

/* A byte to another process and back. */

static int start_partner(void)
{
	char c;
	TRY(pipe2(ends, O_CLOEXEC));
	TRY(pipe2(ends + 2, O_CLOEXEC));
	TRY(partner = fork());
	if (partner == 0) {
		close(ends[1]);
		close(ends[2]);
		while (read(ends[0], &c, 1) == 1 && write(ends[3], &c, 1) == 1)
			;
		_exit(0);
	}
	return 0;
}

static void stop_partner(void)
{
	close_ends();
	if (partner > 0) {
		kill(partner, SIGKILL);
		waitpid(partner, NULL, 0);
	}
	partner = 0;
}

static int run_pipe_ping_pong(long n)
{
	char c = 'x';
	while (n--) {
		EXACT(write(ends[1], &c, 1), 1);
		EXACT(read(ends[2], &c, 1), 1);
	}
	return 0;
}

/* A turn handed to another thread and back, by futexes alone. */

static int post(int *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	TRY(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	return 0;
}

static int await(int *word)
{
	while (!__atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE)) {
		long answer = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		if (answer < 0 && errno != EAGAIN && errno != EINTR)
			return fail("futex(word, FUTEX_WAIT_PRIVATE, 0)");
	}
	return 0;
}

static void *answer_pings(void *unused)
{
	while (await(&ping) == 0 && !__atomic_load_n(&leaving, __ATOMIC_ACQUIRE) && post(&pong) == 0)
		;
	return unused;
}

static int start_thread(void)
{
	ping = pong = leaving = 0;
	TRY_PTHREAD(pthread_create(&partner_thread, NULL, answer_pings, NULL));
	return 0;
}

static void stop_thread(void)
{
	__atomic_store_n(&leaving, 1, __ATOMIC_RELEASE);
	post(&ping);
	pthread_join(partner_thread, NULL);
}

static int run_futex_ping_pong(long n)
{
	while (n--)
		if (post(&ping) < 0 || await(&pong) < 0)
			return -1;
	return 0;
}

/* Signals. */

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static int handle_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	self = getpid();
	TRY(sigaction(SIGUSR1, &action, NULL));
	return 0;
}

static int run_signal(long n)
{
	while (n--) {
		sig_atomic_t before = handled;
		TRY(kill(self, SIGUSR1));
		/* Linux delivers a signal to oneself before kill returns. */
		if (handled == before) {
			errno = EIO;
			return fail("kill(self, SIGUSR1): not delivered");
		}
	}
	return 0;
}

/* Memory. */

static int run_mmap(long n)
{
	while (n--) {
		char *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return fail("mmap(BLOCK, MAP_ANONYMOUS)");
		TRY(munmap(p, BLOCK));
	}
	return 0;
}

static int run_mmap_touch(long n)
{
	while (n--) {
		char *p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return fail("mmap(BLOCK, MAP_ANONYMOUS)");
		for (int i = 0; i < BLOCK; i += PAGE)
			((volatile char *)p)[i] = 1;
		TRY(munmap(p, BLOCK));
	}
	return 0;
}

static int run_mmap_file(long n)
{
	while (n--) {
		char *p = mmap(NULL, BLOCK, PROT_READ, MAP_PRIVATE, file, 0);
		if (p == MAP_FAILED)
			return fail("mmap(BLOCK, file)");
		for (int i = 0; i < BLOCK; i += PAGE)
			(void)((volatile char *)p)[i];
		TRY(munmap(p, BLOCK));
	}
	return 0;
}

/* Threads and processes. */

static void *nothing(void *unused)
{
	return unused;
}

static int run_thread(long n)
{
	while (n--) {
		pthread_t thread;
		TRY_PTHREAD(pthread_create(&thread, NULL, nothing, NULL));
		TRY_PTHREAD(pthread_join(thread, NULL));
	}
	return 0;
}

static int wait_for(pid_t child)
{
	int status;
	EXACT(waitpid(child, &status, 0), child);
	if (status) {
		errno = ECHILD;
		return fail("waitpid(child): not an exit with status 0");
	}
	return 0;
}

static int run_fork(long n)
{
	while (n--) {
		pid_t child;
		TRY(child = fork());
		if (child == 0)
			_exit(0);
		if (wait_for(child) < 0)
			return -1;
	}
	return 0;
}

static int run_fork_exec(long n)
{
	char *argv[] = {(char *)image, "--exit", NULL};
	while (n--) {
		pid_t child;
		TRY(child = fork());
		if (child == 0) {
			execv(image, argv);
			_exit(127);
		}
		if (wait_for(child) < 0)
			return -1;
	}
	return 0;
}

static const struct row {
	const char *name;
	int (*prepare)(void);
	int (*run)(long n);
	void (*clear)(void);
} rows[] = {
	{"getpid", NULL, run_getpid, NULL},
	{"getppid", NULL, run_getppid, NULL},
	{"clock_gettime_vdso", NULL, run_clock_vdso, NULL},
	{"clock_gettime_call", NULL, run_clock_call, NULL},
	{"pread_4k", open_image, run_pread_4k, close_file},
	{"pread_64k", open_image, run_pread_64k, close_file},
	{"pwrite_4k", open_written, run_pwrite_4k, remove_written},
	{"lseek", open_image, run_lseek, close_file},
	{"fstat", open_image, run_fstat, close_file},
	{"stat", NULL, run_stat, NULL},
	{"stat_missing", NULL, run_stat_missing, NULL},
	{"open_close", NULL, run_open_close, NULL},
	{"pipe_write_read", make_pipe, run_write_read, close_ends},
	{"unix_write_read", make_socketpair, run_write_read, close_ends},
	{"epoll_event", make_epoll, run_epoll, close_epoll},
	{"pipe_ping_pong", start_partner, run_pipe_ping_pong, stop_partner},
	{"futex_ping_pong", start_thread, run_futex_ping_pong, stop_thread},
	{"signal_self", handle_signal, run_signal, NULL},
	{"mmap_munmap_64k", NULL, run_mmap, NULL},
	{"mmap_touch_munmap", NULL, run_mmap_touch, NULL},
	{"mmap_file", open_image, run_mmap_file, close_file},
	{"thread_create_join", NULL, run_thread, NULL},
	{"fork_exit_wait", NULL, run_fork, NULL},
	{"fork_exec_wait", NULL, run_fork_exec, NULL},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void report_failure(const struct row *row)
{
	int error = errno;
	printf("{\"row\":\"%s\",\"errno\":%d,\"error\":\"%s\",\"at\":\"%s\"}\n", row->name, error, strerror(error),
	       failed_at);
}

static void measure(const struct row *row, double budget, int batches)
{
	static double samples[MAX_BATCHES];
	double began = now(), took;
	int count = 0;
	long n = 1;

	failed_at = "";
	if (row->prepare && row->prepare() < 0) {
		report_failure(row);
		goto clear;
	}
	/*
	 * The first operations warm caches; growing batches find the size that lasts long enough to be timed. A batch must
	 * be long twice: one that another process held up says nothing.
	 */
	for (int longs = 0;;) {
		double start = now();
		if (row->run(n) < 0) {
			report_failure(row);
			goto clear;
		}
		took = now() - start;
		if (took * 2 > budget / batches) {
			if ((n == 1 && took > budget) || ++longs == 2)
				break;
		} else if (n < 1L << 30) {
			longs = 0;
			n *= 2;
		}
	}
	if (n == 1)
		samples[count++] = took;
	do {
		double start = now();
		if (row->run(n) < 0) {
			report_failure(row);
			goto clear;
		}
		samples[count++] = (now() - start) / n;
	} while (count < batches && now() - began < budget * (count < 5 ? 5 : 1.5));
	qsort(samples, count, sizeof samples[0], by_value);
	printf("{\"row\":\"%s\",\"min\":%.1f,\"median\":%.1f,\"batches\":%d,\"operations\":%ld}\n", row->name,
	       samples[0], samples[count / 2], count, n);
clear:
	if (row->clear)
		row->clear();
	fflush(stdout);
}

/* Whether a comma-separated list has the name. */
static int listed(const char *list, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = list; (at = strstr(at, name)); at += length)
		if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == 0))
			return 1;
	return 0;
}

/* Runs a program and says how long it took, so that the start of the sandbox is no part of it. */
static int run_program(char **argv)
{
	double began = now();
	int status;
	pid_t child = fork();
	if (child < 0) {
		perror("micro: fork");
		return 125;
	}
	if (child == 0) {
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR) {
			perror("micro: waitpid");
			return 125;
		}
	printf("{\"row\":\"run\",\"ns\":%.0f,\"status\":%d}\n", now() - began,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: micro [--list] [--only ROW,...] [--skip ROW,...] [--ms PER_ROW] [--batches N] [--dir SCRATCH]\n"
			"       micro --run COMMAND [ARGUMENT...]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *only = NULL, *skip = NULL;
	double budget = 200e6;
	int batches = 20;

	image = argv[0];
	for (int i = 1; i < argc; i++) {
		char *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!strcmp(argv[i], "--exit"))
			_exit(0);
		if (!strcmp(argv[i], "--list")) {
			for (int r = 0; r < ROWS; r++)
				puts(rows[r].name);
			return 0;
		}
		if (!value)
			return usage();
		if (!strcmp(argv[i], "--run"))
			return run_program(argv + i + 1);
		if (!strcmp(argv[i], "--only"))
			only = value;
		else if (!strcmp(argv[i], "--skip"))
			skip = value;
		else if (!strcmp(argv[i], "--ms"))
			budget = atof(value) * 1e6;
		else if (!strcmp(argv[i], "--batches"))
			batches = atoi(value);
		else if (!strcmp(argv[i], "--dir"))
			scratch = value;
		else
			return usage();
		i++;
	}
	if (batches < 1 || batches > MAX_BATCHES || budget <= 0)
		return usage();
	buffer = aligned_alloc(PAGE, BLOCK);
	if (!buffer) {
		perror("micro: memory");
		return 1;
	}
	memset(buffer, 1, BLOCK);
	snprintf(missing, sizeof missing, "%s.missing", image);
	snprintf(written, sizeof written, "%s/micro.%d", scratch, (int)getpid());
	for (int r = 0; r < ROWS; r++)
		if ((!only || listed(only, rows[r].name)) && !(skip && listed(skip, rows[r].name)))
			measure(&rows[r], budget, batches);
	return 0;
}
