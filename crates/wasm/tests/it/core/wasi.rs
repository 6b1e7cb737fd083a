//! WASI 0.1, behaviour by behaviour: each name is one of `tests/guests/wasi.rs`, and together
//! they cover what WebAssembly/wasi-testsuite asks of `wasm32-wasip1`.

use super::guest::{self, Outcome, Scratch};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

fn behaves(name: &str) -> Outcome {
    let scratch = Scratch::new(name);
    let program = guest::rust("wasi", "wasm32-wasip1");
    let outcome = guest::run(&["--dir", &scratch.at("/")], &program, &[name]);
    outcome.succeeded();
    outcome
}

#[test]
fn random_bytes_fill_any_length() {
    behaves("big_random_buf");
}

#[test]
fn clocks_go_forward_and_have_a_resolution() {
    behaves("clocks");
}

#[test]
fn closed_preopen_is_gone() {
    behaves("close_preopen");
}

#[test]
fn preopen_can_be_overwritten() {
    behaves("overwrite_preopen");
}

#[test]
fn preopen_is_found_with_its_name_and_rights() {
    behaves("preopen");
}

#[test]
fn descriptor_outlives_its_file() {
    behaves("dangling_fd");
}

#[test]
fn dangling_link_is_not_opened() {
    behaves("dangling_symlink");
}

#[test]
fn directory_is_no_file() {
    behaves("dir_fd_op_failures");
}

#[test]
fn file_is_read_written_sought_and_sized() {
    behaves("file_ops");
}

#[test]
fn scattered_reads_and_writes_keep_order_and_bounds() {
    behaves("scattered");
}

#[test]
fn append_and_nonblock_can_be_set_and_cleared() {
    behaves("append");
}

#[test]
fn times_are_set_as_asked() {
    behaves("times");
}

#[test]
fn status_is_the_same_by_path_and_descriptor() {
    behaves("file_status");
}

#[test]
fn links_are_not_followed_unless_asked() {
    behaves("nofollow_errors");
}

#[test]
fn open_flags_and_access_are_checked() {
    behaves("path_open_flags");
}

#[test]
fn rights_shrink_and_bind() {
    behaves("rights");
}

#[test]
fn hard_links_are_made() {
    behaves("path_link");
}

#[test]
fn renames_replace_what_posix_lets_them() {
    behaves("path_rename");
}

#[test]
fn slash_at_the_end_means_a_directory() {
    behaves("trailing_slashes");
}

#[test]
fn directory_is_listed_once_and_in_parts() {
    behaves("readdir");
}

#[test]
fn descriptors_are_renumbered() {
    behaves("renumber");
}

#[test]
fn sleeping_ends_on_time_and_far_ends_do_not_overflow() {
    behaves("poll_clocks");
}

#[test]
fn files_are_always_ready() {
    behaves("poll_files");
}

#[test]
fn files_are_no_sockets() {
    behaves("sockets");
}

#[test]
fn path_that_leads_out_is_refused_and_told() {
    let outcome = behaves("interesting_paths");
    // A new name that leads out is the one that is told.
    for path in ["/dir/nested/file", "/..", "/../x"] {
        let told = format!("refused: Escape {{ path: {path:?} }}");
        assert!(outcome.stderr.contains(&told), "{path}: {outcome:#?}");
    }
    assert!(!outcome.stderr.contains("\"/dir\""), "{outcome:#?}");
}

#[test]
fn link_that_leads_out_is_not_followed() {
    let outcome = behaves("symlinks");
    assert!(
        outcome
            .stderr
            .contains("refused: Escape { path: \"/out\" }"),
        "{outcome:#?}"
    );
}

#[test]
fn lack_of_permission_is_told_with_action_and_path() {
    let scratch = Scratch::new("refused");
    let closed = scratch.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root is above permissions; the test then says nothing about them.
    if std::fs::write(closed.join("probe"), "").is_ok() {
        eprintln!("SKIPPED: this user is above permissions");
        return;
    }
    let program = guest::rust("wasi", "wasm32-wasip1");
    let directory = format!("/ro={}", closed.display());
    let options = ["--dir", &scratch.at("/"), "--dir", &directory];
    let outcome = guest::run(&options, &program, &["refused"]);
    outcome.succeeded();
    assert!(
        outcome
            .stderr
            .contains("Permission { action: \"create\", path: \"/ro/new\" }"),
        "{outcome:#?}"
    );
}

#[test]
fn pipe_is_polled_until_it_has_something() {
    let program = guest::rust("wasi", "wasm32-wasip1");
    let mut command = guest::command(&[], &program, &["poll_stdin"]);
    command.stdin(Stdio::piped());
    let mut child = guest::start(command);
    assert_eq!(guest::first_line(&mut child), "ready");
    guest::feed(&mut child, b"x");
    guest::finish(child).succeeded();
}

#[test]
fn streams_say_what_they_are() {
    let scratch = Scratch::new("streams");
    let program = guest::rust("wasi", "wasm32-wasip1");
    let input = scratch.file("input", "hello");
    let mut command = guest::command(&[], &program, &["streams"]);
    command.stdin(std::fs::File::open(input).unwrap());
    let outcome = guest::finish(guest::start(command));
    outcome.succeeded();
    assert_eq!(outcome.stdout, "4 seeks, 0, 0\n");
    let outcome = guest::run(&["--tty"], &program, &["streams"]);
    assert_eq!(outcome.stdout, "2, 2, 2\n");
}
