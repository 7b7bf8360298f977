#include "check.h"

// The child leaves at once, without a stack of its own: it touches none.
static long clone_and_exit(unsigned long flags, int *pidfd, int *child)
{
	long result;
	register long r10 asm("r10") = (long)child;
	register long r8 asm("r8") = 0;
	asm volatile("syscall\n"
		     "test %%rax, %%rax\n"
		     "jnz 1f\n"
		     "mov $60, %%eax\n"
		     "xor %%edi, %%edi\n"
		     "syscall\n"
		     "1:"
		     : "=a"(result)
		     : "a"(SYS_clone), "D"(flags), "S"(0), "d"(pidfd), "r"(r10), "r"(r8)
		     : "rcx", "r11", "memory");
	return result;
}

int main(void)
{
	static const unsigned long flags[] = { CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD, CLONE_PIDFD, CLONE_DETACHED,
					       CLONE_VFORK, CLONE_PARENT_SETTID };
	static const unsigned long signals[] = { 0, SIGCHLD, 0xff };
	for (unsigned s = 0; s < COUNT(signals); s++)
		for (unsigned high = 0; high < 1 << COUNT(flags); high += 64) {
			printf("%lu %03x ", signals[s], high);
			for (unsigned low = 0; low < 64; low++) {
				unsigned long all = signals[s];
				int fd = -1, child = -1;
				for (unsigned i = 0; i < COUNT(flags); i++)
					if ((high | low) >> i & 1)
						all |= flags[i];
				long result = clone_and_exit(all, &fd, &child);
				putchar(result > 0 ? '.' : result == -EINVAL ? 'i' : '?');
				if (result > 0 && !(all & CLONE_THREAD))
					waitpid((pid_t)result, NULL, __WALL);
				if (result > 0 && all & CLONE_PIDFD)
					close(fd);
			}
			printf("\n");
		}
	return 0;
}
