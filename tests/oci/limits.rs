//! What a container that wants too much gets, and what is left of it when the host takes something away.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bundle::Bundle;

fn with_pids_limit(arguments: &[&str], limit: u64) -> Bundle {
    let bundle = Bundle::new(arguments);
    bundle.edit(|config| config["linux"]["resources"]["pids"]["limit"] = limit.into());
    bundle
}

/// Waits until a file of the container's root holds something.
fn await_file(bundle: &Bundle, name: &str) -> String {
    let path = bundle.file("rootfs").join(name);
    let began = Instant::now();
    loop {
        match std::fs::read_to_string(&path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(began.elapsed() < Duration::from_secs(20), "{name} does not come"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_fork_bomb_meets_its_limit_and_init_lives_on() {
    let script = "( while :; do sleep 60 & done ) 2>/tmp/err; read line </tmp/err; echo \"$line\"; \
                  kill -9 -1; until sleep 0.1; do :; done; echo alive";
    let bundle = with_pids_limit(&["sh", "-c", script], 30);
    let other = Bundle::new(&["sh", "-c", "for i in 1 2 3 4 5; do sleep 0.1 || exit 1; done; echo fine"]);
    let said = std::thread::scope(|scope| {
        let beside = scope.spawn(|| other.run(&["run", "--bundle", other.path(), "other"]));
        let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
        assert_eq!(beside.join().unwrap().out, "fine\n");
        said
    });
    assert!(said.out.contains("can't fork: Resource temporarily unavailable"), "{said:?}");
    assert!(said.out.ends_with("alive\n"), "{said:?}");
}

#[test]
fn a_thread_bomb_gets_eagain() {
    const PROGRAM: &str = r#"
        #include <errno.h>
        #include <pthread.h>
        #include <stdio.h>
        #include <unistd.h>
        static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        static void *stay(void *unused) { pthread_mutex_lock(&gate); pthread_mutex_unlock(&gate); return unused; }
        int main(void)
        {
            static pthread_t threads[100];
            int n = 0, error;
            pthread_mutex_lock(&gate);
            while (n < 100 && !(error = pthread_create(&threads[n], NULL, stay, NULL)))
                n++;
            printf("%d threads, then %d\n", n, error);
            pthread_mutex_unlock(&gate);
            for (int i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
            error = pthread_create(&threads[0], NULL, stay, NULL);
            printf("afterwards %d\n", error);
            return 0;
        }"#;
    let bundle = with_pids_limit(&["/bin/bomb"], 40);
    let source = bundle.file("bomb.c");
    std::fs::write(&source, PROGRAM).unwrap();
    let compiled = Command::new("gcc")
        .args(["-static", "-pthread", "-o"])
        .arg(bundle.file("rootfs/bin/bomb"))
        .arg(&source)
        .status()
        .unwrap();
    assert!(compiled.success());
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.out, format!("39 threads, then {}\nafterwards 0\n", libc::EAGAIN), "{said:?}");
}

/// The host processes of the children of a container's init.
fn stubs(lead: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{lead}/task/{lead}/children")).unwrap();
    children.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn a_stub_that_the_host_kills_is_the_guests_sigkill() {
    // A child that sleeps in a call, and one that computes.
    let script = "sleep 100; echo $? >/tmp/first; sh -c 'while :; do :; done'; echo $? >/tmp/second; sleep 0.1; echo $? >/tmp/third";
    let bundle = Bundle::new(&["sh", "-c", script]);
    assert_eq!(bundle.create("c1").code, 0);
    bundle.succeed(&["start", "c1"]);
    let lead = bundle.state("c1")["pid"].as_i64().unwrap() as i32;
    for name in ["tmp/first", "tmp/second"] {
        let began = Instant::now();
        let stub = loop {
            if let [stub] = stubs(lead)[..] {
                break stub;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "no child of {lead}");
            std::thread::sleep(Duration::from_millis(10));
        };
        // It may be on its way to its program.
        std::thread::sleep(Duration::from_millis(100));
        kill(Pid::from_raw(stub), Signal::SIGKILL).unwrap();
        assert_eq!(await_file(&bundle, name), "137\n");
    }
    assert_eq!(await_file(&bundle, "tmp/third"), "0\n");
    bundle.await_status("c1", "stopped");
}
