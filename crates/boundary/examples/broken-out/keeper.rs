//! The trusted side: sets the stage, starts the process that plays the case, and prints what came
//! of each attempt.

use crate::attempts::Word;
use crate::raw::{call, path};
use crate::stage::{
    DIRECTORY_FD, Kind, NAMESPACE_FD, SOCKET_FD, Stage, TERMINAL_FD, Wish, build, look,
};
use crate::{EXECUTED, print};
use lighter_boundary::process::ProcessBoundary;
use lighter_boundary::sys::clone::{Step, spawn};
use lighter_boundary::{Boundary, Content, Exit, Mount, Network, Root, Spec, Workload};
use lighter_types::grant::Protocol;
use lighter_types::limits::Limits;
use lighter_types::network::{NetworkPolicy, PublishedPort, Reach};
use lighter_types::runner_protocol::{
    CONTROL_FD, FROM_RUNNER_BYTES, TO_RUNNER_BYTES, encode, take_message,
};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Descriptors are kept above this number, out of the way of their places in the runner.
const ABOVE_PLACES: RawFd = 64;

/// How long a word of the locked process may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a case and prints what came of it.
pub(crate) fn keep(kind: Kind, case: &str, wish: Option<Wish>) {
    assert!(
        wish.is_some() || crate::cases().any(|(name, _)| *name == case),
        "there is no case {case}"
    );
    let root = build();
    let (mut bystander, mark) = start_bystander();
    let kept = keep_directory(&root.join("outside"));
    let neighbours = Neighbours::open();
    let mut stage = make_stage(kind, case, &root, (&bystander, mark), kept.as_raw_fd());
    neighbours.tell(&mut stage);
    stage.wish = wish;
    let before = look(&root);
    let (control, theirs) = UnixStream::pair().expect("a socket can be made");
    let handed = Handed::open(&root.join("outside"), theirs);
    let process = match kind {
        Kind::Free => start_free(&handed),
        Kind::Tree | Kind::Empty | Kind::Network => start_locked(kind, &root, &handed),
    };
    let ended = converse(control, handed, &stage, process);
    print_all(ended);
    if kind != Kind::Free {
        check_surroundings(&root, &before, &mut bystander);
        neighbours.check();
    }
    drop(bystander.stdin.take());
    bystander.wait().expect("it is our child");
}

/// What is told of the stage once the locked process has ended.
fn check_surroundings(root: &Path, before: &[String], bystander: &mut Child) {
    let after = look(root);
    for line in before.iter().filter(|line| !after.contains(line)) {
        print(&format!("succeeded\tchange of what was\t{line}"));
    }
    for line in after.iter().filter(|line| !before.contains(line)) {
        print(&format!("succeeded\tchange into what is\t{line}"));
    }
    if bystander.try_wait().expect("it is our child").is_some() {
        print("succeeded\tend of a bystander\t");
    }
}

fn start_bystander() -> (Child, usize) {
    let program = std::env::current_exe().expect("/proc is mounted");
    let mut bystander = Command::new(program)
        .arg("bystander")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started");
    let mut line = String::new();
    let stdout = bystander.stdout.as_mut().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it can be read");
    let mark = line.trim().parse().expect("a bystander tells its mark");
    (bystander, mark)
}

/// Leaves a directory open as a careless caller does: it would survive any exec.
fn keep_directory(directory: &Path) -> OwnedFd {
    let directory = above_places(File::open(directory).expect("it was just made"));
    rustix::io::fcntl_setfd(&directory, rustix::io::FdFlags::empty()).expect("it is open");
    directory
}

fn above_places(file: impl AsFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(file, ABOVE_PLACES).expect("descriptors are left")
}

fn make_stage(
    kind: Kind,
    case: &str,
    root: &Path,
    (bystander, mark): (&Child, usize),
    kept_directory: RawFd,
) -> Stage {
    let inside = |name: &str, locked: &str| match kind {
        Kind::Free => text(&root.join(name)),
        Kind::Tree | Kind::Empty | Kind::Network => locked.to_owned(),
    };
    Stage {
        kind,
        case: case.to_owned(),
        outside: text(&root.join("outside")),
        code: inside("code", "/code"),
        read_only: inside("read-only", "/guest/read-only"),
        writable: inside("writable", "/guest/writable"),
        bystander: i32::try_from(bystander.id()).expect("process numbers are small"),
        mark,
        kept_directory,
        granted: 0,
        other: 0,
        half: 0,
        free: 0,
        published: 0,
        wish: None,
        handle: handle(&root.join("outside/secret")),
    }
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("the workspace's path is text")
        .to_owned()
}

/// A file's handle: its length, its type and its bytes.
fn handle(file: &Path) -> Vec<u8> {
    let mut handle = vec![0; 8 + 128];
    handle[..4].copy_from_slice(&128_u32.to_ne_bytes());
    let (file, mut mount) = (path(text(file)), 0_i32);
    let mount = (&raw mut mount).addr();
    let arguments = [
        crate::raw::HERE,
        file.as_ptr().addr(),
        handle.as_mut_ptr().addr(),
        mount,
    ];
    // Without one the case is absent: opening an empty handle fails.
    let _ = call(libc::SYS_name_to_handle_at, arguments);
    handle
}

/// The descriptors that a process is handed, and what the keeper holds at their other ends.
struct Handed {
    places: Vec<(OwnedFd, RawFd)>,
    _master: OwnedFd,
    _peer: UnixStream,
}

impl Handed {
    fn open(outside: &Path, control: UnixStream) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let nothing = File::options().read(true).write(true).open("/dev/null");
        let nothing = nothing.expect("/dev/null is there");
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("terminals are left");
        grantpt(&master).expect("it was just made");
        unlockpt(&master).expect("it was just made");
        let name = ptsname(&master, Vec::new()).expect("it was just made");
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let terminal =
            rustix::fs::open(name, flags, rustix::fs::Mode::empty()).expect("it was just made");
        let (mut peer, socket) = UnixStream::pair().expect("a socket can be made");
        peer.write_all(b"x").expect("the other end is there");
        let places = vec![
            (above_places(&nothing), 0),
            (above_places(&nothing), 1),
            (above_places(&nothing), 2),
            (above_places(&control), CONTROL_FD),
            (above_places(&terminal), TERMINAL_FD),
            (
                above_places(File::open(outside).expect("it was just made")),
                DIRECTORY_FD,
            ),
            (
                above_places(File::open("/proc/self/ns/uts").expect("/proc is mounted")),
                NAMESPACE_FD,
            ),
            (above_places(&socket), SOCKET_FD),
        ];
        Self {
            places,
            _master: master,
            _peer: peer,
        }
    }

    fn borrowed(&self) -> Vec<(BorrowedFd<'_>, RawFd)> {
        self.places
            .iter()
            .map(|(fd, place)| (fd.as_fd(), *place))
            .collect()
    }
}

/// The process that plays the case.
enum Process {
    /// As it is.
    Free(Pid),
    /// Locked, inside its boundary.
    Locked(Box<dyn Workload>),
}

impl Process {
    /// Waits for its end.
    fn wait(self) -> Exit {
        match self {
            Self::Locked(mut workload) => workload.wait().expect("it is our child"),
            Self::Free(pid) => {
                let ended = waitpid(Some(pid), WaitOptions::empty()).expect("it is our child");
                let (_, status) = ended.expect("it was waited for");
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Code(code),
                    (None, signal) => Exit::Signal(signal.unwrap_or(libc::SIGKILL)),
                }
            }
        }
    }

    /// Answers its calls.
    fn mediate(&mut self, listener: RawFd, stage: &Stage) {
        let Self::Locked(workload) = self else {
            panic!("it is not locked");
        };
        let grants = match &stage.wish {
            Some(wish) => wish.grants.clone(),
            None => [
                ("tcp", stage.granted),
                ("udp", stage.granted),
                ("udp", stage.half),
            ]
            .map(|(scheme, port)| format!("{scheme}://127.0.0.1:{port}"))
            .to_vec(),
        };
        let grants = grants.iter().map(|grant| grant.parse().expect("a grant"));
        let network = Network {
            policy: NetworkPolicy {
                granted: Reach {
                    destinations: grants.collect(),
                    lookups: Vec::new(),
                },
                ceilings: Vec::new(),
            },
            published: vec![PublishedPort {
                protocol: Protocol::Tcp,
                container_port: stage.published,
                host_address: None,
                host_port: stage.published,
            }],
            ..Network::default()
        };
        let mediated = workload.mediate(listener, Arc::new(network));
        mediated.expect("this process may look into its child");
        workload.answer_calls().expect("there are threads");
    }
}

/// Who may be reached, and who not: on loopback, by TCP and by UDP.
struct Neighbours {
    granted: (TcpListener, UdpSocket),
    other: (TcpListener, UdpSocket),
    half: (TcpListener, UdpSocket),
    free: u16,
    published: u16,
}

impl Neighbours {
    fn open() -> Self {
        // Both families by one socket, and one number for both transports.
        let pair = || {
            let any = Ipv6Addr::UNSPECIFIED;
            loop {
                let listener = TcpListener::bind((any, 0)).expect("a free port");
                let port = listener.local_addr().expect("it is bound").port();
                if let Ok(socket) = UdpSocket::bind((any, port)) {
                    listener.set_nonblocking(true).expect("it is a socket");
                    socket.set_nonblocking(true).expect("it is a socket");
                    return (listener, socket);
                }
            }
        };
        let free = pair().0.local_addr().expect("it is bound").port();
        let published = pair().0.local_addr().expect("it is bound").port();
        let granted = pair();
        let listener = granted.0.try_clone().expect("descriptors are left");
        listener.set_nonblocking(false).expect("it is a socket");
        // Who comes is let in, so that nobody has to wait.
        std::thread::spawn(move || listener.incoming().for_each(drop));
        Self {
            granted,
            other: pair(),
            half: pair(),
            free,
            published,
        }
    }

    fn tell(&self, stage: &mut Stage) {
        let port =
            |pair: &(TcpListener, UdpSocket)| pair.0.local_addr().expect("it is bound").port();
        stage.granted = port(&self.granted);
        stage.other = port(&self.other);
        stage.half = port(&self.half);
        stage.free = self.free;
        stage.published = self.published;
    }

    /// Nobody has come by where nobody may.
    fn check(&self) {
        // Who knocks for another case may have come by.
        let is_guest = |from: &SocketAddr| !KNOCKING_PORTS.contains(&from.port());
        let has_caller = |listener: &TcpListener| {
            let mut callers = std::iter::from_fn(|| listener.accept().ok());
            callers.any(|(_, from)| is_guest(&from))
        };
        if has_caller(&self.other.0) {
            print("succeeded\tconnection where none is granted\t");
        }
        let mut datagrams = std::iter::from_fn(|| self.other.1.recv_from(&mut [0; 1]).ok());
        if datagrams.any(|(_, from)| is_guest(&from)) {
            print("succeeded\tdatagram where none is granted\t");
        }
        if has_caller(&self.half.0) {
            print("succeeded\tconnection where datagrams are granted\t");
        }
    }
}

/// Nothing is locked, but what is mounted and named stays the process's own, so that nothing of
/// it is left behind.
fn start_free(handed: &Handed) -> Process {
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    let mut steps = vec![
        Step::MakeMountsPrivate,
        Step::NewSession,
        Step::DieWithParent,
    ];
    let places = handed.borrowed();
    steps.extend(
        places
            .iter()
            .map(|(fd, place)| Step::PlaceDescriptor(fd.as_raw_fd(), *place)),
    );
    let program = above_places(File::open("/proc/self/exe").expect("/proc is mounted"));
    let arguments = [c"lighter", c"runner"];
    let child = spawn(namespaces, &steps, program.as_fd(), &arguments).expect("it starts");
    Process::Free(Pid::from_raw(child.pid).expect("a child has a number"))
}

fn start_locked(kind: Kind, root: &Path, handed: &Handed) -> Process {
    let boundary = ProcessBoundary::open(false).expect("/proc is mounted");
    let scratch = root.join("scratch");
    let empty = File::open(&scratch).expect("it was just made");
    let mounts = vec![
        mount(&root.join("read-only"), "/read-only", true),
        mount(&root.join("writable"), "/writable", false),
    ];
    let root = match kind {
        Kind::Empty | Kind::Network => Root::Directory(empty.as_fd()),
        Kind::Tree | Kind::Free => Root::Tree {
            code: root.join("code"),
            mounts,
            scratch,
            has_page_map: false,
        },
    };
    let spec = Spec {
        descriptors: handed.borrowed(),
        root,
        owner: None,
        limits: Limits::default(),
        is_looked_into: kind == Kind::Network,
        is_pinned: false,
    };
    Process::Locked(boundary.start(&spec).expect("the boundary can be made"))
}

fn mount(source: &Path, target: &str, is_read_only: bool) -> Mount {
    let found = source.metadata().expect("it was just made");
    Mount {
        target: target.to_owned(),
        content: Content::Bind {
            source: source.to_owned(),
            identity: (found.dev(), found.ino()),
            is_directory: true,
            is_read_only,
        },
    }
}

/// The ports that [`knock`] comes from: none that the kernel chooses by itself.
const KNOCKING_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// Comes to a port of this machine, for a while, by TCP and by UDP.
fn knock(port: u16) {
    let mut own_ports = KNOCKING_PORTS.cycle().skip(
        usize::try_from(std::process::id()).expect("it is small") * 31 % KNOCKING_PORTS.len(),
    );
    std::thread::spawn(move || {
        let start = Instant::now();
        while start.elapsed() < crate::network::KNOCKING_TIME {
            let ips = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 1, 2, 3)].map(IpAddr::from);
            for ip in ips.into_iter().chain([Ipv6Addr::LOCALHOST.into()]) {
                let own = SocketAddr::new(ip, own_ports.next().expect("it is a cycle"));
                // Nobody may be there.
                let _ = connect_from(own, SocketAddr::new(ip, port));
                let _ = UdpSocket::bind(own).and_then(|socket| socket.send_to(b"x", (ip, port)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

fn connect_from(own: SocketAddr, to: SocketAddr) -> rustix::io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let family = if own.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    bind(&socket, &own)?;
    connect(&socket, &to)
}

/// Gives the order, hears every word, and waits for the end.
fn converse(
    mut control: UnixStream,
    mut handed: Handed,
    stage: &Stage,
    mut process: Process,
) -> (Vec<Word>, Exit) {
    let order = encode(stage, TO_RUNNER_BYTES).expect("an order is short");
    control.write_all(&order).expect("the process is there");
    // Its end of the control socket is its alone, so that its end is seen.
    handed.places.clear();
    control
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a socket");
    let (mut incoming, mut words, mut chunk) = (Vec::new(), Vec::<Word>::new(), [0; 4096]);
    loop {
        let read = control
            .read(&mut chunk)
            .unwrap_or_else(|error| panic!("after {:?}: {error}", words.last()));
        incoming.extend_from_slice(&chunk[..read]);
        while let Some(word) =
            take_message(&mut incoming, FROM_RUNNER_BYTES).expect("the process keeps the protocol")
        {
            match word {
                Word::Asks(listener) => {
                    process.mediate(listener, stage);
                    control.write_all(&[0]).expect("the process is there");
                }
                Word::Listens(port) => knock(port),
                word => words.push(word),
            }
        }
        if read == 0 {
            return (words, process.wait());
        }
    }
}

fn print_all((words, exit): (Vec<Word>, Exit)) {
    let mut open = None;
    for word in words {
        match word {
            Word::Begun(what) => open = Some(what),
            Word::Succeeded => print(&format!(
                "succeeded\t{}\t",
                open.take().expect("it was begun")
            )),
            Word::Refused(errno) => {
                let what = open.take().expect("it was begun");
                let error = std::io::Error::from_raw_os_error(errno);
                print(&format!("refused\t{what}\t{error}"));
            }
            Word::Failed(why) => panic!("the lock could not be put on: {why}"),
            Word::Asks(_) | Word::Listens(_) => unreachable!("it was heard before"),
        }
    }
    match (open, exit) {
        (None, Exit::Code(0)) => {}
        (Some(what), Exit::Code(EXECUTED)) => print(&format!("succeeded\t{what}\t")),
        (Some(what), Exit::Signal(libc::SIGSYS)) => print(&format!("killed\t{what}\tSIGSYS")),
        (open, exit) => panic!("the process ended with {exit:?} while at {open:?}"),
    }
}
