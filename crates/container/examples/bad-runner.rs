//! Plays a runner that a guest has taken over and that nothing locks, against a real keeper.
//! `crates/container/tests/it` runs it, one case per test.
//!
//! `bad-runner CASE` keeps a run whose runner plays the case, and prints what the keeper made of it:
//! the outcome, then numbers. `bad-runner cases` lists the cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a program for tests fails the test that runs it"
)]

use lighter_boundary::Root;
use lighter_boundary::process::ProcessBoundary;
use lighter_boundary::sys::signal::SignalEvents;
use lighter_container::{NameService, Observer, Outcome, RunRequest, SIGNALS, Start, Streams, run};
use lighter_types::bundle::{Bundle, Entry, Terminals};
use lighter_types::cpu::CpuFeatures;
use lighter_types::egress::Origin;
use lighter_types::http::HttpSettings;
use lighter_types::limits::Limits;
use lighter_types::network::Transport;
use lighter_types::program::ProgramKind;
use lighter_types::refusal::Refusal;
use lighter_types::runner_protocol::{
    CONTROL_FD, End, FROM_RUNNER_BYTES, FromRunner, HEADER_BYTES, Order, TO_RUNNER_BYTES, Task,
    decode, encode, message_length,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::{self, File};
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the runner does once it has its order.
type Case = (&'static str, fn(File));

const CASES: &[Case] = &[
    ("oversized_frame_ends_the_runner", oversized),
    ("empty_frame_ends_the_runner", empty),
    ("malformed_frame_ends_the_runner", malformed),
    ("frame_with_more_in_it_ends_the_runner", left_over),
    ("frame_of_another_role_ends_the_runner", another_role),
    ("question_without_a_network_ends_the_runner", asks),
    ("lookup_without_a_network_ends_the_runner", look_up_once),
    (
        "question_of_who_sends_requests_ends_the_runner",
        ask_for_requests,
    ),
    (NAMED, look_up_and_take_nothing),
    ("frame_that_does_not_end_is_no_word", unfinished),
    ("flood_of_refusals_is_cut", flood_of_refusals),
    ("flood_does_not_outlast_the_time_limit", flood),
    ("end_without_a_word_after_many_is_heard", end_after_many),
    ("long_last_word_after_many_is_heard", long_last_word),
    ("start_told_again_ends_the_runner", loaded_again),
    ("descriptors_in_a_frame_are_not_taken", descriptors),
    ("words_after_the_last_are_not_heard", after_the_last),
    ("runner_that_stays_after_its_last_word_is_ended", stay),
    ("flood_after_the_last_word_is_ended", flood_after_the_last),
    ("runner_that_hangs_up_and_stays_is_ended", hang_up),
];

/// The one case that has names.
const NAMED: &str = "answers_that_are_not_taken_end_the_runner";

/// How long a case's guest may run.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// How many descriptors one message carries: the most that the kernel takes is 253.
const CARRIED: usize = 200;

fn main() {
    let argument = std::env::args().nth(1).expect("a case is given");
    match argument.as_str() {
        "runner" => misbehave(),
        "cases" => {
            let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
            print(&names.join("\n"));
        }
        case => keep(case),
    }
}

fn print(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

#[derive(Default)]
struct Counts {
    refused: usize,
    cut: usize,
    loaded: usize,
}

impl Observer for Counts {
    fn refused(&mut self, _: &Refusal) {
        self.refused += 1;
    }

    fn refusals_cut(&mut self) {
        self.cut += 1;
    }

    fn loaded(&mut self) {
        self.loaded += 1;
    }
}

fn keep(case: &str) {
    let signals = SignalEvents::open(&SIGNALS).expect("descriptors are left");
    let boundary = Arc::new(ProcessBoundary::open(false).expect("/proc is mounted"));
    let names = NameService {
        boundary: Arc::<ProcessBoundary>::clone(&boundary),
        empty_directory: PathBuf::from("."),
        hosts: Vec::new(),
        servers: Vec::new(),
        network: Arc::default(),
    };
    let empty = File::open(".").expect("the working directory is there");
    let request = RunRequest {
        egress: None,
        signer: None,
        root: Root::Directory(empty.as_fd()),
        owner: None,
        limits: Limits::default(),
        network: None,
        names: (case == NAMED).then(|| Arc::new(names)),
        code_bytes: 0,
        streams: Streams::Caller,
        coredump: None,
        time_limit: Some(TIME_LIMIT),
        drain_time: Duration::ZERO,
    };
    let before = count_descriptors();
    let mut counts = Counts::default();
    let order = |start: &Start| order(case, start.terminals);
    let outcome =
        run(boundary.as_ref(), request, order, &signals, &mut counts).expect("it can be kept");
    match outcome {
        Outcome::Misbehaved { reason } => print(&format!("misbehaved: {reason}")),
        outcome => print(&format!("{outcome:?}")),
    }
    let Counts {
        refused,
        cut,
        loaded,
    } = counts;
    print(&format!("refused {refused}, cut {cut}, loaded {loaded}"));
    print(&format!("descriptors {}", count_descriptors() - before));
    print(&format!("peak_kib {}", peak_kib()));
}

fn count_descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("/proc is mounted")
        .count()
}

/// The most memory that this process had, in KiB.
fn peak_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse().ok())
        .expect("the kernel tells it")
}

fn order(case: &str, terminals: Terminals) -> Bundle {
    Bundle {
        kind: ProgramKind::Module,
        artifact: String::new(),
        arguments: vec![case.to_owned()],
        environment: Vec::new(),
        preopens: Vec::new(),
        file_rights: Vec::new(),
        initial_directory: None,
        terminals,
        config: Vec::new(),
        stubs: Vec::new(),
        denials: Vec::new(),
        entry: Entry::Command,
        cpu: CpuFeatures::detect(),
        limits: Limits::default(),
        network: None,
        http: HttpSettings::default(),
        tls: None,
        has_coredump: false,
    }
}

fn misbehave() {
    // SAFETY: the keeper has left its socket there, and nothing else here knows the number.
    #[expect(unsafe_code, reason = "the number is a convention")]
    let mut control = File::from(unsafe { OwnedFd::from_raw_fd(CONTROL_FD) });
    let mut header = [0; HEADER_BYTES];
    control.read_exact(&mut header).expect("the keeper is ours");
    let mut body = vec![0; message_length(header, TO_RUNNER_BYTES).expect("the keeper is ours")];
    control.read_exact(&mut body).expect("the keeper is ours");
    let Ok(Order {
        task: Task::Run(bundle),
        ..
    }) = decode(&body)
    else {
        panic!("the keeper is ours");
    };
    let name = bundle.arguments.first().expect("it is the case");
    let (_, case) = CASES
        .iter()
        .find(|(known, _)| known == name)
        .expect("a known case");
    case(control);
}

fn frame(message: &FromRunner) -> Vec<u8> {
    encode(message, FROM_RUNNER_BYTES).expect("it is short")
}

fn refused(number: usize) -> FromRunner {
    FromRunner::Refused(Refusal::Escape {
        path: format!("{number}-{}", "x".repeat(200)),
    })
}

fn exited(code: u8) -> FromRunner {
    FromRunner::Ended(End::Exited(code))
}

/// Sends until the keeper has closed its end.
fn send(control: &mut File, bytes: &[u8]) {
    if control.write_all(bytes).is_err() {
        std::process::exit(0);
    }
}

/// Waits for the keeper, which ends this process or ends itself.
fn wait() {
    loop {
        std::thread::park();
    }
}

fn oversized(mut control: File) {
    send(&mut control, &u32::MAX.to_le_bytes());
    wait();
}

fn empty(mut control: File) {
    send(&mut control, &0_u32.to_le_bytes());
    wait();
}

fn malformed(mut control: File) {
    send(&mut control, &4_u32.to_le_bytes());
    send(&mut control, &[0xff; 4]);
    wait();
}

fn asks(mut control: File) {
    let asks = FromRunner::Asks { listener: 0 };
    send(&mut control, &frame(&asks));
    wait();
}

fn look_up(id: u32) -> Vec<u8> {
    frame(&FromRunner::LooksUp {
        id,
        name: "localhost".to_owned(),
    })
}

fn look_up_once(mut control: File) {
    send(&mut control, &look_up(0));
    wait();
}

fn ask_for_requests(mut control: File) {
    let origin = Origin {
        transport: Transport::Https,
        host: "192.0.2.1".to_owned(),
        port: 443,
    };
    let frame = encode(&FromRunner::Reaches { id: 0, origin }, FROM_RUNNER_BYTES);
    send(&mut control, &frame.expect("it is short"));
    wait();
}

fn look_up_and_take_nothing(mut control: File) {
    for id in 0.. {
        send(&mut control, &look_up(id));
    }
}

fn left_over(mut control: File) {
    send(&mut control, &2_u32.to_le_bytes());
    send(&mut control, &[0, 0]);
    wait();
}

fn another_role(mut control: File) {
    let compiled = FromRunner::Compiled {
        kind: ProgramKind::Module,
    };
    send(&mut control, &frame(&compiled));
    wait();
}

/// All but the last byte of the longest frame there may be.
fn unfinished(mut control: File) {
    let length = u32::try_from(FROM_RUNNER_BYTES).expect("it is short");
    send(&mut control, &length.to_le_bytes());
    send(&mut control, &vec![0; FROM_RUNNER_BYTES - 1]);
}

fn flood_of_refusals(mut control: File) {
    for number in 0..10_000 {
        send(&mut control, &frame(&refused(number)));
    }
    send(&mut control, &frame(&exited(3)));
}

/// More words than are taken in a second.
fn many(control: &mut File) {
    for _ in 0..1025 {
        send(control, &frame(&FromRunner::WantsInput));
    }
}

fn end_after_many(mut control: File) {
    many(&mut control);
}

fn long_last_word(mut control: File) {
    many(&mut control);
    let report = "x".repeat(20_000);
    send(
        &mut control,
        &frame(&FromRunner::Ended(End::Trapped { report })),
    );
}

fn flood(mut control: File) {
    send(&mut control, &frame(&FromRunner::Loaded));
    for number in 0.. {
        send(&mut control, &frame(&refused(number)));
    }
}

/// What would give the guest all of its time again.
fn loaded_again(mut control: File) {
    send(&mut control, &frame(&FromRunner::Loaded));
    send(&mut control, &frame(&FromRunner::Loaded));
    wait();
}

fn descriptors(control: File) {
    let carried = vec![control.as_fd(); CARRIED];
    let mut room = vec![MaybeUninit::uninit(); 4096];
    for _ in 0..8 {
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        assert!(
            ancillary.push(SendAncillaryMessage::ScmRights(&carried)),
            "there is room"
        );
        let bytes = frame(&refused(0));
        let bytes = [IoSlice::new(&bytes)];
        sendmsg(&control, &bytes, &mut ancillary, SendFlags::empty()).expect("it can be sent");
    }
    let mut control = control;
    send(&mut control, &frame(&exited(4)));
}

fn after_the_last(mut control: File) {
    send(&mut control, &frame(&exited(5)));
    send(&mut control, &frame(&refused(0)));
    send(&mut control, &frame(&FromRunner::Loaded));
    send(&mut control, &frame(&exited(6)));
}

fn stay(mut control: File) {
    send(&mut control, &frame(&exited(7)));
    wait();
}

fn flood_after_the_last(mut control: File) {
    send(&mut control, &frame(&exited(8)));
    for number in 0.. {
        send(&mut control, &frame(&refused(number)));
    }
}

fn hang_up(mut control: File) {
    send(&mut control, &frame(&FromRunner::Loaded));
    drop(control);
    wait();
}
