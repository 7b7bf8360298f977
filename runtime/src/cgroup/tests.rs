use super::*;

const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

#[test]
fn hierarchies_of_a_hybrid_host() {
    let found = hierarchy::parse(MOUNTS, "9:name=systemd:/\n4:memory:/own/group\n2:cpu,cpuacct:/\n0::/\n");
    let names: Vec<_> = found.iter().map(|h| h.controllers.join(",")).collect();
    assert_eq!(names, ["memory", "cpu,cpuacct", "name=systemd"]);
    assert_eq!(found[0].directory(Path::new("c1")), Path::new("/sys/fs/cgroup/memory/own/group/c1"));
    assert_eq!(found[0].directory(Path::new("/a/../b/./c1")), Path::new("/sys/fs/cgroup/memory/a/b/c1"));
    assert_eq!(found[1].directory(Path::new("../../c1")), Path::new("/sys/fs/cgroup/cpu,cpuacct/c1"));
}

#[test]
fn the_hierarchy_of_a_unified_host() {
    let mounts = "30 23 0:26 /user.slice /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    let found = hierarchy::parse(mounts, "0::/user.slice/session\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].unified);
    assert_eq!(found[0].directory(Path::new("c1")), Path::new("/sys/fs/cgroup/session/c1"));
    // Outside of what is mounted.
    let found = hierarchy::parse(mounts, "0::/other\n");
    assert_eq!(found[0].directory(Path::new("c1")), Path::new("/sys/fs/cgroup/c1"));
}

#[test]
fn no_hierarchy_is_a_warning() {
    let (cgroup, warnings) = Cgroup::create_in(&[], Path::new("c1"), None);
    assert!(cgroup.groups.is_empty());
    assert!(warnings[0].contains("limits do not apply"), "{warnings:?}");
    assert_eq!(cgroup.add(1), None);
}

#[test]
fn an_unwritable_hierarchy_is_a_warning() {
    let hierarchy =
        Hierarchy { unified: false, controllers: vec!["memory".into()], mount: "/proc/nothing".into(), own: "".into() };
    let (_, warnings) = Cgroup::create_in(&[hierarchy], Path::new("c1"), None);
    assert!(warnings[0].contains("/proc/nothing/c1"), "{warnings:?}");
}

#[test]
fn slices_become_paths() {
    let path = |text: &str| path_of_slice(Path::new(text)).map(|p| p.display().to_string()).map_err(|e| e.to_string());
    assert_eq!(path("machine.slice:libpod:abc").unwrap(), "/machine.slice/libpod-abc.scope");
    assert_eq!(path("a-b-c.slice:moat:x").unwrap(), "/a.slice/a-b.slice/a-b-c.slice/moat-x.scope");
    assert_eq!(path(":moat:x").unwrap(), "/system.slice/moat-x.scope");
    assert_eq!(path("-.slice::x").unwrap(), "/x.scope");
    assert!(path("/a/b").unwrap_err().contains("slice:prefix:name"));
    assert!(path("a/b.slice:c:d").is_err());
    assert!(path("a--b.slice:c:d").is_err());
}
