//! A terminal that a test sits at.

use crate::execution::{Execution, wait};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A command that runs at a pseudo-terminal, which is its controlling terminal and all its standard streams.
pub struct Terminal {
    master: OwnedFd,
    /// Held so that the settings can be read after the command has ended.
    slave: OwnedFd,
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    timeout: Duration,
}

impl Terminal {
    /// Starts a command at a new terminal of the size given.
    ///
    /// # Panics
    /// If there are no pseudo-terminals, or the command can't be started.
    pub fn start(execution: Execution, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a free pty");
        grantpt(&master).expect("a fresh pty is ours");
        unlockpt(&master).expect("a fresh pty is ours");
        let name = ptsname(&master, Vec::new()).expect("a pty has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave =
            open(name.as_c_str(), flags, Mode::empty()).expect("an unlocked pty can be opened");
        set_size(&master, columns, rows);

        // The program `setsid` makes the terminal the controlling one, which takes a call after the fork.
        let timeout = execution.time_limit();
        let mut execution = execution.through("setsid", &["--ctty", "--wait"]);
        let stream = || slave.try_clone().expect("descriptors are left");
        execution
            .command()
            .stdin(stream())
            .stdout(stream())
            .stderr(stream());
        let child = execution.start();
        // The command holds copies of the terminal until it goes.
        drop(execution);
        let output = read_in_background(master.try_clone().expect("descriptors are left"));
        Self {
            master,
            slave,
            child,
            output,
            seen: Vec::new(),
            timeout,
        }
    }

    /// Types at the terminal.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn type_text(&mut self, text: &str) {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            let written = write(&self.master, bytes).expect("the terminal is open");
            bytes = &bytes[written..];
        }
    }

    /// Waits until the terminal has shown `text`, and returns all that came since the last call.
    ///
    /// # Panics
    /// If it does not come in time.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + self.timeout;
        loop {
            let shown = String::from_utf8_lossy(&self.seen).into_owned();
            if shown.contains(text) {
                self.seen.clear();
                return shown;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{text:?} did not come in time, but {shown:?}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} did not come, but {shown:?}")
                }
            }
        }
    }

    /// Gives the terminal another size, of which the foreground process is told.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        set_size(&self.master, columns, rows);
    }

    /// Says whether the terminal is in raw mode: it neither echoes nor collects lines.
    pub fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.slave)
            .expect("the terminal is open")
            .local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the command's end, and returns how it ended and what the terminal has shown since the last
    /// [`Terminal::wait_for`]. The terminal stays, so that [`Terminal::is_raw`] can be asked.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn finish(&mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child, self.timeout).expect("the command ends in time");
        // All was written before it ended, so it is here as soon as the reader has come round.
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(100)) {
            self.seen.extend(bytes);
        }
        (
            status,
            String::from_utf8_lossy(&std::mem::take(&mut self.seen)).into_owned(),
        )
    }
}

fn set_size(master: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).expect("a pty has a size");
}

fn read_in_background(master: OwnedFd) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            match read(&master, &mut buffer) {
                Err(Errno::INTR) => {}
                // The other side is closed, or the test is over.
                Ok(0) | Err(_) => return,
                Ok(length) if sender.send(buffer[..length].to_vec()).is_err() => return,
                Ok(_) => {}
            }
        }
    });
    receiver
}
