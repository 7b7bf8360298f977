//! Disks without room.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::scene::{ID, Scene};

/// A filesystem of this size, in bytes.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn new(at: &'a Path, size: u64) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        match mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())) {
            Ok(()) => Some(Self(at)),
            Err(e) => {
                eprintln!("skipped: mount: {e}");
                None
            }
        }
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("ballast")).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_root_without_room_for_state_refuses_a_container() {
    for pages in 1..4 {
        let scene = Scene::new(&["sleep", "1000"]);
        let state = scene.bundle.file("state");
        let Some(_disk) = Disk::new(&state, pages * 4096) else { return };
        let said = scene.bundle.create(ID);
        if said.code != 0 {
            assert_eq!(said.err.lines().count(), 1, "{said:?}");
            assert!(said.err.contains("No space left on device"), "{said:?}");
        }
        scene.delete();
    }
}

#[test]
fn a_root_that_has_filled_up_does_not_keep_a_container() {
    let scene = Scene::new(&["sleep", "1000"]);
    let state = scene.bundle.file("state");
    let Some(disk) = Disk::new(&state, 256 << 10) else { return };
    scene.ok(&["create", "--bundle", scene.bundle.path(), ID]);
    disk.fill();
    let said = scene.bundle.run(&["start", ID]);
    if said.code != 0 {
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
        assert!(said.err.contains("No space left on device"), "{said:?}");
    }
    scene.ok(&["state", ID]);
    scene.ok(&["kill", ID, "KILL"]);
    scene.bundle.await_status(ID, "stopped");
    std::fs::remove_file(state.join("ballast")).unwrap();
    scene.delete();
}

#[test]
fn a_full_rootfs_is_the_programs_error() {
    let script = "cat /dev/zero > /tmp/fill; echo status $?; echo more > /tmp/more || echo none";
    let scene = Scene::new(&["sh", "-c", script]);
    let at = scene.bundle.file("rootfs/tmp");
    // A mount below the root: the container's tree shows it.
    let Some(_disk) = Disk::new(&at, 64 << 10) else { return };
    let said = scene.bundle.run(&["run", "--bundle", scene.bundle.path(), ID]);
    assert!(said.out.contains("status 1") && said.out.contains("none"), "{said:?}");
    assert!(said.err.contains("No space left on device"), "{said:?}");
    scene.assert_nothing_left();
}

#[test]
fn a_log_without_room_stops_nobody() {
    let scene = Scene::new(&["echo", "hello"]);
    let at = scene.bundle.file("full");
    let Some(disk) = Disk::new(&at, 8192) else { return };
    let logs = [at.join("log"), at.join("messages"), at.join("trace")];
    for log in &logs {
        std::fs::write(log, "").unwrap();
    }
    disk.fill();
    let flags = [
        format!("--log={}", logs[0].display()),
        format!("--debug-log={}", logs[1].display()),
        format!("--strace={}", logs[2].display()),
    ];
    let run = ["run", "--bundle", scene.bundle.path(), ID];
    let arguments: Vec<&str> = flags.iter().map(String::as_str).chain(run).collect();
    let said = scene.bundle.run(&arguments);
    assert_eq!((said.code, said.out.as_str()), (0, "hello\n"), "{said:?}");
    scene.assert_nothing_left();
    // The error that the log cannot take is still on standard error.
    let said = scene.bundle.run(&[&flags[0], "state", "none"]);
    assert!(said.code == 1 && said.err.contains("container does not exist"), "{said:?}");
}
