#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#define BAD ((void *)8)
#define KERNEL ((void *)0xffff800000000000ul)

int main(void)
{
	int p[2], pair[2], zero = MUST(open("/dev/zero", O_RDWR)), file = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	write(file, "0123456789", 10);
	lseek(file, 0, SEEK_SET);
	write(p[1], "abc", 3);
	write(pair[1], "abc", 3);
	TELL(syscall(SYS_read, file, BAD, 4));
	TELL(syscall(SYS_read, file, KERNEL, 4));
	TELL(syscall(SYS_write, file, BAD, 4));
	TELL(syscall(SYS_pread64, file, BAD, 4, 0));
	TELL(syscall(SYS_read, p[0], BAD, 4));
	TELL(syscall(SYS_write, p[1], BAD, 4));
	TELL(syscall(SYS_read, zero, BAD, 4));
	TELL(syscall(SYS_read, file, BAD, 0));
	TELL(syscall(SYS_recvfrom, pair[0], BAD, 3, 0, NULL, NULL));
	TELL(syscall(SYS_sendto, pair[0], BAD, 3, 0, NULL, 0));
	TELL(syscall(SYS_open, BAD, O_RDONLY));
	TELL(syscall(SYS_stat, "file", BAD));
	TELL(syscall(SYS_fstat, file, BAD));
	TELL(syscall(SYS_stat, BAD, BAD));
	TELL(syscall(SYS_access, BAD, 0));
	TELL(syscall(SYS_rename, BAD, "x"));
	TELL(syscall(SYS_unlink, BAD));
	TELL(syscall(SYS_mkdir, BAD, 0));
	TELL(syscall(SYS_readlink, "/proc/self/exe", BAD, 10));
	TELL(syscall(SYS_chdir, BAD));
	TELL(syscall(SYS_getcwd, BAD, 4096));
	TELL(syscall(SYS_pipe, BAD));
	TELL(syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8));
	TELL(syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD, 8));
	TELL(syscall(SYS_rt_sigprocmask, 0, BAD, NULL, 8));
	TELL(syscall(SYS_rt_sigprocmask, 0, NULL, BAD, 8));
	TELL(syscall(SYS_sigaltstack, BAD, NULL));
	TELL(syscall(SYS_sigaltstack, NULL, BAD));
	TELL(syscall(SYS_uname, BAD));
	TELL(syscall(SYS_sysinfo, BAD));
	TELL(syscall(SYS_getrusage, 0, BAD));
	TELL(syscall(SYS_times, BAD));
	TELL(syscall(SYS_getrlimit, RLIMIT_CORE, BAD));
	TELL(syscall(SYS_setrlimit, RLIMIT_CORE, BAD));
	TELL(syscall(SYS_nanosleep, BAD, NULL));
	TELL(syscall(SYS_gettimeofday, BAD, NULL));
	TELL(syscall(SYS_getitimer, 0, BAD));
	TELL(syscall(SYS_setitimer, 0, BAD, NULL));
	TELL(syscall(SYS_poll, BAD, 1, 0));
	TELL(syscall(SYS_select, 1, BAD, NULL, NULL, NULL));
	TELL(syscall(SYS_getrandom, BAD, 4, 0));
	TELL(syscall(SYS_statfs, "/", BAD));
	TELL(syscall(SYS_getresuid, BAD, BAD, BAD));
	TELL(syscall(SYS_getgroups, 100, BAD) >= 0);
	TELL(syscall(SYS_sched_getaffinity, 0, 128, BAD));
	TELL(syscall(SYS_readv, file, BAD, 1));
	TELL(syscall(SYS_writev, file, BAD, 1));
	TELL(syscall(SYS_writev, file, BAD, 0));
	struct iovec vector[3] = { { "ok", 2 }, { BAD, 2 }, { "no", 2 } };
	TELL(writev(file, vector, 3));
	vector[0].iov_base = BAD;
	TELL(writev(file, vector, 3));
	vector[0].iov_len = -1;
	TELL(writev(file, vector, 3));
	TELL(writev(file, vector, 1025));
	TELL(writev(file, vector, -1));
	// Half of the buffer is there.
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(edge + 4096, 4096);
	TELL(pread(file, edge + 4092, 8, 0));
	printf("%.4s\n", edge + 4092);
	TELL(pwrite(file, edge + 4092, 8, 0));
	TELL(syscall(SYS_read, zero, edge + 4092, 8));
	strcpy(edge + 4092, "abc");
	TELL(syscall(SYS_access, edge + 4092, 0));
	memset(edge + 4092, 'a', 4);
	TELL(syscall(SYS_access, edge + 4092, 0));
	TELL(syscall(SYS_stat, "file", edge + 4090));
	// Read-only memory can't be written for the kernel either.
	mprotect(edge, 4096, PROT_READ);
	TELL(syscall(SYS_read, zero, edge, 8));
	TELL(syscall(SYS_fstat, file, edge));
	TELL(syscall(SYS_wait4, -1, BAD, WNOHANG, NULL));
	TELL(syscall(99999));
	TELL(syscall(-1));
	return 0;
}
