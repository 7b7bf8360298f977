#include "check.h"

int main(void)
{
	struct statx x;
	struct stat s;
	put("file", "0123456789", 0640);
	TELL(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &x));
	printf("%o links %u size %llu blocksize %d mask %d\n", x.stx_mode, x.stx_nlink, (unsigned long long)x.stx_size, x.stx_blksize,
	       (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	struct timespec times[2] = { { 1000, 123456789 }, { 2000, 987654321 } };
	TELL(utimensat(AT_FDCWD, "file", times, 0));
	TELL(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_ALL, &x));
	printf("%lld.%09u %lld.%09u\n", (long long)x.stx_atime.tv_sec, x.stx_atime.tv_nsec, (long long)x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec);
	times[0].tv_nsec = UTIME_OMIT;
	times[1] = (struct timespec){ -5, 5 };
	TELL(utimensat(AT_FDCWD, "file", times, 0));
	MUST(stat("file", &s));
	printf("%ld.%09ld %ld.%09ld\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
	times[1].tv_nsec = UTIME_NOW;
	TELL(utimensat(AT_FDCWD, "file", times, 0));
	MUST(stat("file", &s));
	SHOW(s.st_mtim.tv_sec > 1000000000);
	SHOW(s.st_ctim.tv_sec > 1000000000);
	printf("%ld\n", s.st_atim.tv_sec);
	times[0].tv_nsec = 1000000000;
	TELL(utimensat(AT_FDCWD, "file", times, 0));
	times[0].tv_nsec = 0;
	TELL(utimensat(AT_FDCWD, "missing", times, 0));
	TELL(utimensat(AT_FDCWD, "file", times, 0x1));
	symlink("missing", "link");
	TELL(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
	TELL(utimensat(AT_FDCWD, "link", times, 0));
	int fd = MUST(open("file", O_RDONLY));
	times[0].tv_sec = 77;
	TELL(futimens(fd, times));
	MUST(fstat(fd, &s));
	printf("%ld\n", s.st_atim.tv_sec);
	TELL(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
	TELL(statx(fd, "", 0, STATX_SIZE, &x));
	TELL(statx(AT_FDCWD, "file", 0x1, STATX_SIZE, &x));
	TELL(statx(AT_FDCWD, "file", 0, 0x80000000, &x));
	TELL(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &x));
	TELL(statx(AT_FDCWD, "file", 0, 0, (void *)8));
	TELL(fstatat(AT_FDCWD, "", &s, 0));
	TELL(fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH));
	return 0;
}
