//! Who owns what: the files that a program writes into a mount, and the process that writes them.

use crate::{mount, workspace};
use lighter_testkit::{Outcome, Workspace, is_root, programs, require};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

/// The owner of some files: not root, not a runner's.
const OWNER: u32 = 51_234;

/// Root, and only root, can run programs as others.
fn is_root_here() -> bool {
    require("root", is_root(), "only root runs programs as other users")
}

fn write_as_root(workspace: &Workspace, flags: &[&str]) -> Outcome {
    let source = mount(&workspace.path("data"), "/data");
    workspace
        .lighter(["run", "-v", &source])
        .args(flags)
        .arg(programs::probe())
        .args(["write", "/data/new", "text"])
        .run()
}

/// Runs the probe on `/data` while that is an overlay, which has no idmapped mounts; its files are
/// [`OWNER`]'s and may be read by all. Then prints who owns what was written.
fn run_on_overlay(workspace: &Workspace, flags: &str, words: &str) -> Outcome {
    for name in ["lower", "upper", "work", "data"] {
        let path = workspace.directory(name);
        chown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    let script = format!(
        "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay data || exit 99
         echo there > data/old
         \"$0\" run {flags} \"$1\" {words}
         code=$?
         test ! -e data/new || stat -c '%u:%g' data/new
         exit $code"
    );
    let run = workspace.command("unshare").args(["--mount", "sh", "-c"]);
    run.arg(script)
        .arg(env!("CARGO_BIN_EXE_lighter"))
        .arg(programs::probe())
        .run()
}

#[test]
fn what_a_program_writes_belongs_to_the_caller() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    workspace.directory("data");
    write_as_root(&workspace, &[]).assert(0, "");
    let written = fs::metadata(workspace.path("data/new")).unwrap();
    assert_eq!((written.uid(), written.gid()), (0, 0));
}

#[test]
fn what_a_program_writes_belongs_to_the_user_named() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let data = workspace.directory("data");
    chown(&data, Some(OWNER), Some(OWNER)).unwrap();
    write_as_root(&workspace, &["--user", &format!("{OWNER}:{OWNER}")]).assert(0, "");
    let written = fs::metadata(workspace.path("data/new")).unwrap();
    assert_eq!((written.uid(), written.gid()), (OWNER, OWNER));
}

#[test]
fn files_of_another_owner_are_refused_with_the_way_out() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let data = workspace.directory("data");
    chown(&data, Some(OWNER), Some(OWNER)).unwrap();
    let outcome = write_as_root(&workspace, &[]);
    outcome.assert(1, "");
    let told = outcome.stderr_text();
    assert!(
        told.contains("lighter: refused: create /data/new"),
        "{told}"
    );
    assert!(told.contains("--user UID:GID"), "{told}");
}

#[test]
fn writable_mount_without_owner_map_is_refused() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let outcome = run_on_overlay(&workspace, "-v ./data:/data", "read /data/old");
    let words = [
        "on /data: Invalid argument",
        "no idmapped mounts",
        ":ro",
        "--user",
    ];
    outcome.assert_refused(125, &words);
}

#[test]
fn read_only_mount_needs_no_owner_map() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let outcome = run_on_overlay(&workspace, "-v ./data:/data:ro", "read /data/old");
    outcome.assert(0, "there\n");
}

/// Runs the probe in a chroot, where the kernel makes no user namespace.
fn run_in_chroot(workspace: &Workspace, flags: &str, words: &str) -> Outcome {
    workspace.directory("data");
    workspace.write("data/old", "there");
    chown(workspace.path("data"), Some(OWNER), Some(OWNER)).unwrap();
    let root = workspace.directory("root");
    let script = format!(
        "mount --rbind / {root} || exit 99
         exec chroot {root} /bin/sh -c 'cd {files} && exec \"$0\" run {flags} \"$1\" {words}' \
             \"$0\" \"$1\"",
        root = root.display(),
        files = workspace.path("").display(),
    );
    let run = workspace.command("unshare").args(["--mount", "sh", "-c"]);
    run.arg(script)
        .arg(env!("CARGO_BIN_EXE_lighter"))
        .arg(programs::probe())
        .run()
}

#[test]
fn read_only_mount_is_given_in_a_chroot() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    run_in_chroot(&workspace, "-v ./data:/data:ro", "read /data/old").assert(0, "there");
}

#[test]
fn writable_mount_in_a_chroot_is_refused_unless_its_owner_is_named() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let outcome = run_in_chroot(&workspace, "-v ./data:/data", "read /data/old");
    let words = [
        "no user namespace can be made here",
        "chroot",
        ":ro",
        "--user",
    ];
    outcome.assert_refused(125, &words);
    let flags = format!("-v ./data:/data --user {OWNER}:{OWNER}");
    run_in_chroot(&workspace, &flags, "write /data/new text").assert(0, "");
}

#[test]
fn owner_named_needs_no_owner_map() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let flags = format!("-v ./data:/data --user {OWNER}:{OWNER}");
    let outcome = run_on_overlay(&workspace, &flags, "write /data/new text");
    outcome.assert(0, &format!("{OWNER}:{OWNER}\n"));
}

#[test]
fn root_named_is_no_way_around_the_owner_map() {
    if !is_root_here() {
        return;
    }
    let workspace = workspace();
    let flags = "-v ./data:/data --user 0:0";
    let outcome = run_on_overlay(&workspace, flags, "read /data/old");
    outcome.assert_refused(125, &["no idmapped mounts", "may not be root"]);
}

/// What `/proc` says of a runner whose guest runs: its user, its rights, its descriptors above the
/// control socket, and what they lead to.
#[test]
fn runner_holds_no_descriptor_and_no_right_of_the_caller() {
    let workspace = workspace();
    workspace.write("secret", "");
    workspace.write(
        "spin.wat",
        "(module (func (export \"_start\") (loop (br 0))))",
    );
    workspace
        .lighter(["compile", "./spin.wat"])
        .run()
        .assert(0, "");
    let script = "exec 4<secret 5<secret 6<secret 8<secret 9<secret
         \"$0\" run --timeout 5s ./spin.wat & keeper=$!
         until runner=$(cat /proc/$keeper/task/$keeper/children) && test -n \"$runner\" &&
             grep -q '^Seccomp:.*2' /proc/$((runner))/status; do :; done
         ls -l /proc/$((runner))/fd | grep -c secret
         grep -E '^(CapEff|CapPrm|NoNewPrivs|Seccomp):' /proc/$((runner))/status
         tr -d '\\0' < /proc/$((runner))/environ
         kill $keeper; wait 2>/dev/null";
    let run = workspace.command("sh").args(["-c", script]);
    let outcome = run.arg(env!("CARGO_BIN_EXE_lighter")).run();
    let expected = "0\n\
                    CapPrm:\t0000000000000000\n\
                    CapEff:\t0000000000000000\n\
                    NoNewPrivs:\t1\n\
                    Seccomp:\t2\n";
    assert_eq!(outcome.stdout_text(), expected, "{}", outcome.describe());
}
