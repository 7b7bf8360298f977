#include "check.h"

static void shell(const char *text)
{
	printf("$ %s\n", text);
	fflush(stdout);
	int status = system(text);
	print_status(status);
}

int main(void)
{
	shell("echo one two | tr a-z A-Z | rev");
	shell("seq 1 2000 | sort -rn | head -2; false");
	shell("(sleep 0.05; echo late) & echo early; wait; exit 4");
	shell("trap 'echo trapped' USR1; kill -USR1 $$; echo after");
	shell("cat <<END\nhere $((6*7))\nEND");
	shell("for i in 1 2 3; do (exit $i) || echo $?; done");
	shell("kill -9 $$");
	shell("ls -l /nonexistent 2>/dev/null || echo $?");
	shell("mkdir -p a/b/c; touch a/b/c/d; find a | sort; rm -r a; ls");
	shell("bash -c 'set -m; sleep 10 & kill %1; wait %1; echo $?'");
	shell("printf '%s\\n' b a c > f; while read x; do echo got $x; done < f");
	shell("ulimit -n 50; ulimit -n; umask 077; touch g; stat -c %a g");
	shell("exec 3>h; echo to three >&3; exec 3>&-; cat h");
	shell("yes | head -1000 | wc -l");
	shell("timeout 0.1 sleep 5; echo $?");
	return 0;
}
