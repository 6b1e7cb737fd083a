//! Runs a case of `broken-out`: first free, to see that it works, then locked in every way.

use lighter_testkit::{Outcome, Workspace, absent, example, is_root, require};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What came of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Refused,
}

/// What the kernel says of what it does not have, or was built without.
const LACKS: &[i32] = &[
    libc::ENOSYS,
    libc::EOPNOTSUPP,
    libc::EAFNOSUPPORT,
    libc::EPROTONOSUPPORT,
    libc::ESOCKTNOSUPPORT,
];

/// Runs a case, which must work without the lock and be refused with it: as root and as an
/// ordinary user, of a guest with mounts and of a role with an empty root.
#[track_caller]
pub(crate) fn assert_refused(case: &str) {
    if !require("root", is_root(), "only root can show what the lock stops") {
        return;
    }
    let workspace = Workspace::new(program());
    check_free(case, &play(&workspace, "free", case));
    assert_refused_when_locked(case);
}

/// The kernel counts no threads of root's, so a root without rights is held to their number by control
/// groups alone.
const THREADS: &str = "threads_above_the_limit_are_refused";

/// Runs a case of which there is nothing to see without the lock.
#[track_caller]
pub(crate) fn assert_refused_when_locked(case: &str) {
    if !require("root", is_root(), "only root can become an ordinary user") {
        return;
    }
    let both: &[&str] = &["tree", "empty"];
    let deprived = example("lighter-lock", "deprived");
    let deprived = deprived.to_str().expect("the path is text");
    let rights = "-sys_admin,-sys_ptrace,-setuid,-setgid,-sys_chroot";
    let surroundings = [
        ("root", Workspace::new(program()), &[][..], both),
        ("a user", Workspace::of_ordinary_user(program()), &[], both),
        (
            "root without rights",
            Workspace::new(program()),
            &["setpriv", "--bounding-set", rights, "--inh-caps", rights],
            both,
        ),
        // There is no tree for it.
        (
            "root without rights and namespaces",
            Workspace::new(program()),
            &[
                "setpriv",
                "--bounding-set",
                rights,
                "--inh-caps",
                rights,
                deprived,
                "user-namespaces",
                "--",
            ],
            &["empty"],
        ),
    ];
    for (user, workspace, prefix, roots) in surroundings {
        if !prefix.is_empty() && case == THREADS {
            continue;
        }
        for root in roots {
            let attempts = play_as(&workspace, prefix, root, case);
            assert!(!attempts.is_empty(), "{case} attempted nothing");
            let succeeded: Vec<_> = attempts
                .iter()
                .filter(|(_, (end, _))| *end == End::Succeeded)
                .collect();
            assert!(
                succeeded.is_empty(),
                "as {user}, with the root {root}, {case}: {succeeded:#?}"
            );
        }
    }
}

/// Runs a case in a runner that has a network: what it tries beyond that must work without the lock, and be
/// refused with it, to root and to an ordinary user.
#[track_caller]
pub(crate) fn assert_refused_with_a_network(case: &str) {
    if !require("root", is_root(), "only root can show what the lock stops") {
        return;
    }
    check_free(case, &play(&Workspace::new(program()), "free", case));
    assert_all_with_a_network(case, &End::Refused);
}

/// Runs a case in a runner that has a network, where all attempts must end alike.
#[track_caller]
pub(crate) fn assert_all_with_a_network(case: &str, expected: &End) {
    if !require("root", is_root(), "only root can become an ordinary user") {
        return;
    }
    let without = [
        "setpriv",
        "--bounding-set",
        "-sys_ptrace",
        "--inh-caps",
        "-sys_ptrace",
    ];
    for (user, workspace, prefix) in [
        ("root", Workspace::new(program()), &[][..]),
        ("a user", Workspace::of_ordinary_user(program()), &[]),
        (
            "root without CAP_SYS_PTRACE",
            Workspace::new(program()),
            &without,
        ),
    ] {
        let attempts = play_as(&workspace, prefix, "network", case);
        assert!(!attempts.is_empty(), "{case} attempted nothing");
        let others: Vec<_> = attempts
            .iter()
            .filter(|(_, (end, _))| end != expected)
            .collect();
        assert!(others.is_empty(), "as {user}, {case}: {others:#?}");
    }
}

/// Tries to reach a destination from a runner that has these grants.
pub(crate) fn reach(to: &str, grants: &[String]) -> BTreeMap<String, (End, String)> {
    let workspace = Workspace::new(program());
    let outcome = workspace.lighter(["reach", to]).args(grants).run();
    assert_eq!(outcome.code, Some(0), "{to}: {}", outcome.describe());
    read(&outcome)
}

/// What is not refused without the lock proves something; what the kernel lacks is absent.
#[track_caller]
fn check_free(case: &str, attempts: &BTreeMap<String, (End, String)>) {
    for (what, (end, why)) in attempts {
        if *end == End::Succeeded {
            continue;
        }
        let is_lacking = LACKS
            .iter()
            .any(|errno| *why == std::io::Error::from_raw_os_error(*errno).to_string());
        assert!(is_lacking, "{case}: {what} fails without the lock: {why}");
        absent(&format!("{what} ({case})"), why);
    }
}

/// Plays a case: each attempt and what came of it.
#[track_caller]
fn play(workspace: &Workspace, root: &str, case: &str) -> BTreeMap<String, (End, String)> {
    play_as(workspace, &[], root, case)
}

/// Plays a case behind the words of another command.
#[track_caller]
fn play_as(
    workspace: &Workspace,
    prefix: &[&str],
    root: &str,
    case: &str,
) -> BTreeMap<String, (End, String)> {
    let run = match prefix {
        [] => workspace.lighter([root, case]),
        [first, rest @ ..] => {
            let run = workspace.command(first).args(rest).arg(program());
            run.args([root, case])
        }
    };
    let outcome = run.run();
    assert_eq!(outcome.code, Some(0), "{case}: {}", outcome.describe());
    read(&outcome)
}

fn read(outcome: &Outcome) -> BTreeMap<String, (End, String)> {
    let text = outcome.stdout_text();
    text.lines()
        .map(|line| {
            let [end, what, why] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("no attempt: {line}");
            };
            let end = match end {
                "succeeded" => End::Succeeded,
                "refused" | "killed" => End::Refused,
                _ => panic!("no attempt: {line}"),
            };
            (what.to_owned(), (end, why.to_owned()))
        })
        .collect()
}

/// The names of all cases.
pub(crate) fn cases() -> Vec<String> {
    let workspace = Workspace::new(program());
    let outcome = workspace.lighter(["cases"]).run();
    let text = outcome.stdout_text();
    text.lines().map(str::to_owned).collect()
}

/// The program that plays the cases.
fn program() -> PathBuf {
    example("lighter-boundary", "broken-out")
}
