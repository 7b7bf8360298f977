//! Ways out of a sandbox that are known from others: one test each, all with every capability inside and a secret outside.
#![allow(missing_docs)]

mod attack;
mod hostile;

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Stdio;

use attack::{Attack, bystander};
use moat_tests::run::moat_binary;
use serde_json::json;

#[test]
fn no_path_and_no_link_leads_out() {
    let attack = Attack::new(&["walls"]).with_program("walls");
    let said = attack.run();
    assert!(said.out.contains("root: nothing") && !said.out.contains("SECRET"), "{said:?}");
    assert_eq!(said.out.matches("EXDEV").count(), 3, "{said:?}");
    assert!(!attack.bundle.file("volume/mounted-by-guest").exists(), "a guest's mount is the host's");
    assert!(!attack.bundle.file("volume/made").exists() && attack.bundle.file("volume/file").exists());
    attack.assert_host_untouched();
}

#[test]
fn renaming_while_others_walk_leads_nowhere() {
    for (base, link) in [("/tmp", ".."), ("/volume", ".."), ("/volume", "/"), ("/tmp", "../..")] {
        let attack = Attack::new(&["races", base, link]).with_program("races");
        let said = attack.run();
        assert_eq!(said.out, "tried, found 0\n", "{base} {link}: {said:?}");
        attack.assert_host_untouched();
    }
}

#[test]
fn the_runtimes_binary_cannot_be_reached() {
    // The command is whatever executes it, which in a careless runtime is the runtime.
    let attack = Attack::new(&["/proc/self/exe", "--version"]);
    let said = attack.run();
    assert!(!said.out.contains("moat version"), "{said:?}");
    attack.assert_host_untouched();
    let script = "cmp /proc/self/exe /bin/busybox; cmp /proc/1/exe /bin/busybox; echo x >> /proc/self/exe; \
                  echo x >> /proc/1/exe; for l in /proc/*/exe; do cmp $l /bin/busybox; echo x >> $l; done; echo done";
    let attack = Attack::new(&["sh", "-c", script]);
    symlink("busybox", attack.bundle.file("rootfs/bin/cmp")).unwrap();
    let said = attack.run();
    assert_eq!(said.out, "done\n", "{said:?}");
    attack.assert_host_untouched();
}

#[test]
fn an_exec_from_outside_cannot_be_made_the_runtime() {
    let attack = Attack::new(&["sleep", "100"]);
    symlink("/proc/self/exe", attack.bundle.file("rootfs/bin/me")).unwrap();
    std::fs::write(attack.bundle.file("rootfs/bin/script"), "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(
        attack.bundle.file("rootfs/bin/script"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    assert_eq!(attack.bundle.create("attack").code, 0);
    attack.bundle.succeed(&["start", "attack"]);
    for command in ["/bin/me", "/bin/script", "/proc/self/exe", "/proc/1/exe"] {
        let said = attack.bundle.run(&["exec", "attack", command, "--version"]);
        assert!(!said.out.contains("moat version"), "{command}: {said:?}");
    }
    let said = attack.bundle.run(&["exec", "--cwd", "/proc/self/fd/3", "attack", "pwd"]);
    assert!(!said.out.contains(attack.bundle.path()), "{said:?}");
    attack.assert_host_untouched();
}

#[test]
fn descriptors_of_the_runtimes_caller_stay_outside() {
    let list = "ls /proc/self/fd | tr '\\n' ' '; cat <&7 2>/dev/null || echo none";
    let attack = Attack::new(&["sh", "-c", list]);
    symlink("busybox", attack.bundle.file("rootfs/bin/tr")).unwrap();
    let (moat, bundle) = (moat_binary().unwrap(), attack.bundle.path());
    let (secret, state) = (attack.bundle.file("secret"), attack.bundle.file("state"));
    let shell = |verb: &str| {
        let line = format!(
            "exec 7< {} 9> /dev/null; exec {} --root {} {verb}",
            secret.display(),
            moat.display(),
            state.display()
        );
        let mut command = std::process::Command::new("bash");
        let output = command.args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // 3 is what `ls` lists with.
    assert_eq!(shell(&format!("run --bundle {bundle} attack")), "0 1 2 3 none\n");
    attack.bundle.edit(|c| c["process"]["args"] = json!(["sleep", "100"]));
    shell(&format!("create --bundle {bundle} attack > /dev/null 2>&1"));
    attack.bundle.succeed(&["start", "attack"]);
    assert_eq!(shell(&format!("exec attack sh -c \"{list}\"")), "0 1 2 3 none\n");
    // Nor do its own processes keep them.
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(attack.bundle.file("state/attack/state.json")).unwrap()).unwrap();
    let lead = attack.bundle.state("attack")["pid"].clone();
    let secret = std::fs::metadata(attack.bundle.file("secret")).unwrap();
    let processes = state["helpers"].as_array().unwrap().iter().map(|h| h["pid"].clone()).chain([lead]);
    for pid in processes {
        for fd in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let same = std::fs::metadata(fd.path()).is_ok_and(|m| (m.dev(), m.ino()) == (secret.dev(), secret.ino()));
            assert!(!same, "process {pid} holds the secret as {:?}", fd.file_name());
        }
    }
}

#[test]
fn preserved_descriptors_are_those_that_were_asked_for() {
    let list = "ls /proc/self/fd | tr '\\n' ' '; cat <&3; cat <&4 2>/dev/null || echo none";
    let attack = Attack::new(&["sh", "-c", list]);
    symlink("busybox", attack.bundle.file("rootfs/bin/tr")).unwrap();
    let line = format!(
        "echo given > {0}/given; exec 3< {0}/given 4< {0}/secret; exec {1} --root {0}/state run --preserve-fds 1 --bundle {0} attack",
        attack.bundle.path(),
        moat_binary().unwrap().display()
    );
    let output = std::process::Command::new("bash").args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 1 2 3 4 given\nnone\n", "{output:?}");
}

#[test]
fn no_privilege_reaches_the_host() {
    let attack = Attack::new(&["privileged"]).with_program("privileged");
    let said = attack.run();
    assert_eq!(said.out, "tried\n", "{said:?}");
    assert_eq!(said.code, 0, "{said:?}");
    attack.assert_host_untouched();
}

#[test]
fn a_device_of_the_hosts_is_neither_opened_nor_made_on_a_volume() {
    let script =
        "for d in /volume/mem /mem /volume/disk; do cat $d > /dev/null 2>&1 && echo opened $d; done; echo done";
    let attack = Attack::new(&["sh", "-c", script]);
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    for (path, kind, device) in [
        ("volume/mem", SFlag::S_IFCHR, makedev(1, 1)),
        ("rootfs/mem", SFlag::S_IFCHR, makedev(1, 1)),
        ("volume/disk", SFlag::S_IFBLK, std::fs::metadata(attack.bundle.path()).unwrap().dev()),
    ] {
        mknod(&attack.bundle.file(path), kind, Mode::from_bits_truncate(0o666), device).unwrap();
    }
    symlink("busybox", attack.bundle.file("rootfs/bin/mknod")).unwrap();
    let said = attack.run();
    assert_eq!(said.out, "done\n", "{said:?}");
    for name in ["made", "disk2"] {
        assert!(!attack.bundle.file("volume").join(name).exists(), "a device was made on the host");
    }
}

#[test]
fn processes_of_the_host_are_out_of_reach() {
    let script = "kill -9 -1; for p in /proc/[0-9]*; do kill -9 ${p#/proc/} 2>/dev/null; done; \
                  i=2; while [ $i -lt 300 ]; do kill -9 $i 2>/dev/null && [ $i != $$ ] && echo killed $i; i=$((i+1)); done; \
                  ls -d /proc/[0-9]* | wc -l";
    let attack = Attack::new(&["sh", "-c", script]);
    symlink("busybox", attack.bundle.file("rootfs/bin/wc")).unwrap();
    let mut victim = bystander();
    let said = attack.run();
    assert!(victim.try_wait().unwrap().is_none(), "a process of the host was killed");
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(!said.out.contains("killed"), "{said:?}");
    assert!(said.out.trim().parse::<u32>().is_ok_and(|n| n <= 4), "{said:?}");
}

#[test]
fn sockets_of_the_host_are_reached_by_a_volume_only() {
    let name = format!("moat-escape-{}", std::process::id());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&abstract_name).unwrap();
    let attack = Attack::new(&["walls", &name]).with_program("walls");
    let outside = UnixListener::bind(attack.bundle.file("outside")).unwrap();
    symlink("../outside", attack.bundle.file("rootfs/socketlink")).unwrap();
    let said = attack.run();
    for line in ["abstract: ECONNREFUSED", "in the root: ENOENT", "by a link: ENOENT"] {
        assert!(said.out.contains(line), "{line}: {said:?}");
    }
    for listener in [&listener, &outside] {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    }
}

#[test]
fn settings_of_the_host_cannot_be_written() {
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /sys/kernel/uevent_helper \
                  /proc/sysrq-trigger /proc/sys/vm/overcommit_memory /sys/fs/cgroup/release_agent; do \
                  echo '|/bin/evil' > $f; done 2>/dev/null; hostname evil; echo done";
    let attack = Attack::new(&["sh", "-c", script]);
    let said = attack.run();
    assert_eq!(said.out, "done\n", "{said:?}");
    attack.assert_host_untouched();
}

#[test]
fn a_terminal_of_the_hosts_hears_no_typing() {
    // Standard input is the host's terminal itself, without one of the container's own.
    let attack = Attack::new(&["privileged"]).with_program("privileged");
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = attack.bundle.command(&["run", "--bundle", attack.bundle.path(), "attack"]);
    let output = command.stdin(pty.slave.try_clone().unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tried\n", "{output:?}");
    let mut master = std::fs::File::from(pty.master);
    master.write_all(b"\n").unwrap();
    let mut slave = std::fs::File::from(pty.slave);
    let mut line = [0; 16];
    let count = std::io::Read::read(&mut slave, &mut line).unwrap();
    assert_eq!(&line[..count], b"\n", "something was typed");
}

#[test]
fn setuid_files_give_nothing_where_new_privileges_are_forbidden() {
    let script = "chmod 4755 /bin/euid; echo made";
    let attack = Attack::new(&["sh", "-c", script]).with_program("euid");
    symlink("busybox", attack.bundle.file("rootfs/bin/chmod")).unwrap();
    assert_eq!(attack.run().out, "made\n");
    let euid = |forbidden: bool| {
        attack.bundle.edit(|c| {
            c["process"]["args"] = json!(["euid"]);
            c["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
            c["process"]["noNewPrivileges"] = forbidden.into();
        });
        attack.run().out
    };
    assert_eq!(euid(true), "1000\n");
    assert_eq!(euid(false), "0\n");
}
