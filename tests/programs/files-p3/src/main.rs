//! Does to the first open directory what its argument names, by `wasi:filesystem` 0.3, and holds each answer
//! against the specification. What differs is printed, and the program ends with 1.
//!
//! The directory holds `a.txt` ("test-a\n"), `b.txt` ("test-b\n"), and `parent`, a symbolic link to `..`.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use wasip3::cli::environment;
use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::filesystem::preopens;
use wasip3::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use wasip3::random::{insecure, insecure_seed, random};
use wasip3::wit_stream;

wasip3::cli::command::export!(Files);

struct Files;

type Answer<T> = Result<T, ErrorCode>;

const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
const NO_FOLLOW: PathFlags = PathFlags::empty();
const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
const BOTH: DescriptorFlags = READ.union(WRITE);
const NEW: OpenFlags = OpenFlags::CREATE.union(OpenFlags::EXCLUSIVE);

static DIFFERS: AtomicBool = AtomicBool::new(false);

fn main() {
    println!("the export of 0.2 was called");
}

impl wasip3::exports::cli::run::Guest for Files {
    async fn run() -> Result<(), ()> {
        let what = environment::get_arguments().into_iter().nth(1).unwrap_or_default();
        let directories = preopens::get_directories();
        let directory = Directory(directories.first().map(|(found, _)| found));
        match what.as_str() {
            "open" => directory.open_errors().await,
            "flags" => directory.flags_and_types().await,
            "bytes" => directory.bytes().await,
            "directories" => directory.directories().await,
            "rename" => directory.renames().await,
            "hard-links" => directory.hard_links().await,
            "symbolic-links" => directory.symbolic_links().await,
            "status" => directory.status().await,
            "times" => directory.times().await,
            "size" => directory.sizes().await,
            "unlink" => directory.unlinks().await,
            "entries" => directory.entries().await,
            "unusual-entries" => directory.unusual_entries().await,
            "identity" => directory.identity().await,
            "read-only" => directory.read_only().await,
            "clocks" => clocks().await,
            "random" => randoms(),
            _ => return Err(()),
        }
        if DIFFERS.load(Ordering::Relaxed) { Err(()) } else { Ok(()) }
    }
}

/// Holds one answer against what may come.
fn expect<T: PartialEq + Debug>(what: &str, answer: T, expected: &[T]) {
    if !expected.contains(&answer) {
        println!("{what}: expected one of {expected:?}, got {answer:?}");
        DIFFERS.store(true, Ordering::Relaxed);
    }
}

/// Holds the error of one answer against what may come.
fn expect_error<T>(what: &str, answer: Answer<T>, expected: &[ErrorCode]) {
    let answer = answer.err().map(|error| format!("{error:?}"));
    let expected: Vec<_> = expected.iter().map(|error| Some(format!("{error:?}"))).collect();
    expect(what, answer, &expected);
}

fn expect_ok<T>(what: &str, answer: Answer<T>) {
    expect(what, answer.err().map(|error| format!("{error:?}")), &[None]);
}

/// The directory, with paths as text.
struct Directory<'a>(Option<&'a Descriptor>);

impl Directory<'_> {
    fn get(&self) -> &Descriptor {
        self.0.expect("a directory is open")
    }
    async fn open(&self, follow: PathFlags, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Answer<Descriptor> {
        self.get().open_at(follow, path.to_owned(), how, flags).await
    }
    async fn read(&self, path: &str) -> Answer<Descriptor> {
        self.open(NO_FOLLOW, path, OpenFlags::empty(), READ).await
    }
    async fn make(&self, path: &str) -> Descriptor {
        self.open(NO_FOLLOW, path, NEW, BOTH).await.expect("a new file")
    }
    async fn mkdir(&self, path: &str) -> Answer<()> {
        self.get().create_directory_at(path.to_owned()).await
    }
    async fn rmdir(&self, path: &str) -> Answer<()> {
        self.get().remove_directory_at(path.to_owned()).await
    }
    async fn unlink(&self, path: &str) -> Answer<()> {
        self.get().unlink_file_at(path.to_owned()).await
    }
    async fn symlink(&self, target: &str, path: &str) -> Answer<()> {
        self.get().symlink_at(target.to_owned(), path.to_owned()).await
    }
    async fn link(&self, from: &str, to: &str) -> Answer<()> {
        self.get().link_at(NO_FOLLOW, from.to_owned(), self.get(), to.to_owned()).await
    }
    async fn rename(&self, from: &str, to: &str) -> Answer<()> {
        self.get().rename_at(from.to_owned(), self.get(), to.to_owned()).await
    }
    async fn readlink(&self, path: &str) -> Answer<String> {
        self.get().readlink_at(path.to_owned()).await
    }
    async fn subdirectory(&self, path: &str) -> Descriptor {
        let flags = READ | DescriptorFlags::MUTATE_DIRECTORY;
        self.open(NO_FOLLOW, path, OpenFlags::DIRECTORY, flags).await.expect("a subdirectory")
    }

    async fn open_errors(&self) {
        use ErrorCode::{Exist, Loop, NoEntry, NotDirectory, NotPermitted};
        expect_error("open nothing", self.read("").await, &[NoEntry]);
        expect_error("open what is not there", self.read("z.txt").await, &[NoEntry]);
        expect_error("open ..", self.read("..").await, &[NotPermitted]);
        expect_error("open /", self.read("/").await, &[NotPermitted]);
        expect_error("open an absolute path", self.read("/etc/passwd").await, &[NotPermitted]);
        expect_error("open a link", self.read("parent").await, &[Loop]);
        let followed = self.open(FOLLOW, "parent", OpenFlags::empty(), READ).await;
        expect_error("follow a link that leads out", followed, &[NotPermitted]);
        expect_error("open through a link that leads out", self.read("parent/x").await, &[NotPermitted]);
        expect_error("open below a file", self.read("a.txt/x").await, &[NotDirectory]);
        let directory = self.open(NO_FOLLOW, "a.txt", OpenFlags::DIRECTORY, READ).await;
        expect_error("open a file as a directory", directory, &[NotDirectory]);
        expect_error("make what is there", self.open(NO_FOLLOW, "a.txt", NEW, BOTH).await, &[Exist]);
    }

    async fn flags_and_types(&self) {
        let flags_of = async |path: &str, how, flags| match self.open(NO_FOLLOW, path, how, flags).await {
            Ok(file) => file.get_flags().await,
            Err(error) => Err(error),
        };
        let none = DescriptorFlags::empty();
        let own = self.get().get_flags().await.expect("flags");
        expect("flags of the directory", own, &[READ | DescriptorFlags::MUTATE_DIRECTORY]);
        expect_type("type of the directory", self.get().get_type().await, DescriptorType::Directory);
        let file = self.read("a.txt").await.expect("a.txt");
        expect_type("type of a file", file.get_type().await, DescriptorType::RegularFile);
        let plain = OpenFlags::empty();
        expect("nothing asked of a directory", flags_of(".", plain, none).await.ok(), &[Some(READ)]);
        expect_error("write a directory", flags_of(".", plain, WRITE).await, &[ErrorCode::IsDirectory]);
        expect("nothing asked of a file", flags_of("a.txt", plain, none).await.ok(), &[Some(READ)]);
        expect("reading", flags_of("a.txt", plain, READ).await.ok(), &[Some(READ)]);
        expect("writing is not reading", flags_of("a.txt", plain, WRITE).await.ok(), &[Some(WRITE)]);
        let exclusive = flags_of("a.txt", OpenFlags::EXCLUSIVE, none).await.ok();
        expect("exclusive without create", exclusive, &[Some(READ)]);
        let mutable = DescriptorFlags::MUTATE_DIRECTORY;
        let changed = flags_of(".", OpenFlags::DIRECTORY, READ | mutable).await.ok();
        expect("changing a directory", changed, &[Some(READ | mutable)]);
        for (asked, got) in [(none, BOTH), (READ, BOTH), (WRITE, WRITE), (BOTH, BOTH)] {
            let what = format!("a new file with {asked:?}");
            expect(&what, flags_of("c", NEW, asked).await.ok(), &[Some(got)]);
            expect_ok("remove it", self.unlink("c").await);
        }
    }

    async fn bytes(&self) {
        let a = self.read("a.txt").await.expect("a.txt");
        for (offset, rest) in [(0, "test-a\n"), (1, "est-a\n"), (6, "\n"), (7, ""), (17, "")] {
            expect(&format!("read from {offset}"), read_from(&a, offset).await.ok(), &[Some(rest.into())]);
        }
        expect_error("read from the end of numbers", read_from(&a, u64::MAX).await, &[ErrorCode::Invalid]);
        expect_ok("sync what is only read", a.sync().await);
        expect_ok("sync data of what is only read", a.sync_data().await);
        expect_ok("advise", a.advise(0, 7, Advice::Sequential).await);

        let c = self.make("c").await;
        expect_ok("write", write_at(&c, "hello!", 0).await);
        expect_ok("write over it", write_at(&c, "byeee", 0).await);
        expect_ok("append", append(&c, " laters").await);
        expect("what was written", read_from(&c, 0).await.ok(), &[Some("byeee! laters".into())]);
        expect_ok("write past the end", write_at(&c, "x", 15).await);
        expect("the hole is zeros", read_from(&c, 13).await.ok(), &[Some("\0\0x".into())]);
        expect_ok("sync", c.sync().await);
        expect_ok("remove it", self.unlink("c").await);
        let codes = [ErrorCode::BadDescriptor, ErrorCode::NotPermitted, ErrorCode::Access];
        expect_error("write to what is only read", write_at(&a, "x", 0).await, &codes);
    }

    async fn directories(&self) {
        use ErrorCode::{Access, Busy, Exist, Invalid, NoEntry, NotDirectory, NotEmpty, NotPermitted};
        expect_error("make nothing", self.mkdir("").await, &[NoEntry]);
        expect_error("make .", self.mkdir(".").await, &[Exist]);
        for path in ["..", "/", "../x", "parent/x", "/x"] {
            expect_error(&format!("make {path}"), self.mkdir(path).await, &[NotPermitted]);
        }
        expect_error("make over a file", self.mkdir("a.txt").await, &[Exist]);
        expect_ok("make", self.mkdir("q").await);
        expect_error("make again", self.mkdir("q").await, &[Exist]);
        for path in ["../x/q", "parent/x/q", "q/../../x"] {
            expect_error(&format!("remove {path}"), self.rmdir(path).await, &[NotPermitted]);
        }
        expect_ok("make below", self.mkdir("q/r").await);
        expect_error("remove what is not empty", self.rmdir("q").await, &[NotEmpty]);
        expect_ok("remove below", self.rmdir("q/r").await);
        expect_ok("remove", self.rmdir("q").await);
        for path in ["q/", "q///"] {
            expect_ok(&format!("make {path}"), self.mkdir(path).await);
            expect_ok("remove it", self.rmdir(path).await);
        }
        expect_error("remove a file with a slash", self.rmdir("a.txt/").await, &[NotDirectory]);
        expect_error("remove nothing", self.rmdir("").await, &[NoEntry]);
        expect_error("remove .", self.rmdir(".").await, &[Invalid, Access, Busy]);
        expect_error("remove ..", self.rmdir("..").await, &[NotPermitted]);
        expect_error("remove /", self.rmdir("/").await, &[NotPermitted]);
        expect_error("remove a file", self.rmdir("a.txt").await, &[NotDirectory]);
        expect_error("remove what is not there", self.rmdir("z").await, &[NoEntry]);
        expect_error("remove a link", self.rmdir("parent").await, &[NotDirectory]);

        expect_ok("make a child", self.mkdir("child").await);
        expect_ok("make a sibling", self.mkdir("sibling").await);
        let child = self.subdirectory("child").await;
        let child = Directory(Some(&child));
        expect_ok("make in the child", child.mkdir("z").await);
        expect_ok("remove in the child", child.rmdir("z").await);
        expect_error("out of the child", child.mkdir("../sibling/z").await, &[NotPermitted]);
        expect_error("out of the child again", child.rmdir("../sibling").await, &[NotPermitted]);
        expect_error("open out of the child", child.read("../a.txt").await, &[NotPermitted]);
        expect_ok("remove the sibling", self.rmdir("sibling").await);
        expect_ok("remove the child", self.rmdir("child").await);
    }

    async fn renames(&self) {
        use ErrorCode::{Access, Busy, Invalid, NoEntry, NotPermitted};
        expect_ok("to itself", self.rename("a.txt", "a.txt").await);
        expect_ok("over a link", self.symlink("a.txt", "c").await);
        expect_ok("which goes", self.rename("a.txt", "c").await);
        expect_error("what has gone", self.rename("a.txt", "a.txt").await, &[NoEntry]);
        expect_ok("back", self.rename("c", "a.txt").await);
        expect_error("what is not there", self.rename("z", "q").await, &[NoEntry]);
        expect_error(".", self.rename(".", "q").await, &[Busy, Invalid, Access]);
        for path in ["../q", "parent/q", "/q", ".."] {
            expect_error(&format!("to {path}"), self.rename("a.txt", path).await, &[NotPermitted]);
        }
        expect_ok("make a child", self.mkdir("child").await);
        let child = self.subdirectory("child").await;
        let into = self.get().rename_at("a.txt".into(), &child, "b".into()).await;
        expect_ok("into another directory", into);
        let out = child.rename_at("b".into(), self.get(), "a.txt".into()).await;
        expect_ok("and out of it", out);
        expect_ok("remove the child", self.rmdir("child").await);
    }

    async fn hard_links(&self) {
        use ErrorCode::{Access, Exist, NoEntry, NotPermitted};
        expect_error("of a directory", self.link(".", "q").await, &[NotPermitted, Access]);
        for (from, to) in [("", "q"), ("", ""), ("a.txt", ""), ("z", "q")] {
            expect_error(&format!("{from:?} to {to:?}"), self.link(from, to).await, &[NoEntry]);
        }
        expect_error("to itself", self.link("a.txt", "a.txt").await, &[Exist]);
        for (from, to) in [("/", "q"), ("a.txt", "/"), ("a.txt", "/q"), ("..", "q"), ("a.txt", "..")] {
            expect_error(&format!("{from} to {to}"), self.link(from, to).await, &[NotPermitted]);
        }
        for (from, to) in [("parent/x", "q"), ("a.txt", "parent/x")] {
            expect_error(&format!("{from} to {to}"), self.link(from, to).await, &[NotPermitted]);
        }
        expect_ok("of a file", self.link("a.txt", "c").await);
        let links = self.read("c").await.expect("c").stat().await.expect("status").link_count;
        expect("names of the file", links, &[2]);
        expect_ok("remove one", self.unlink("c").await);
    }

    async fn symbolic_links(&self) {
        use ErrorCode::{Exist, Invalid, Loop, NoEntry, NotDirectory, NotPermitted};
        expect("where it leads", self.readlink("parent").await.ok(), &[Some("..".to_owned())]);
        for (path, code) in [("", NoEntry), (".", Invalid), ("a.txt", Invalid), ("z", NoEntry)] {
            expect_error(&format!("read {path:?}"), self.readlink(path).await, &[code]);
        }
        for path in ["..", "./../", "/"] {
            expect_error(&format!("read {path}"), self.readlink(path).await, &[NotPermitted]);
        }
        let file = self.read("a.txt").await.expect("a.txt");
        expect_error("below a file", file.readlink_at(".".into()).await, &[NotDirectory]);

        expect_ok("make one to a link that leads out", self.symlink("parent", "q").await);
        expect_error("open it", self.read("q").await, &[Loop]);
        let followed = self.open(FOLLOW, "q", OpenFlags::empty(), READ).await;
        expect_error("follow it", followed, &[NotPermitted]);
        let status = self.get().stat_at(FOLLOW, "q".into()).await;
        expect_error("status behind it", status, &[NotPermitted]);
        expect_error("make one through it", self.symlink("a.txt", "q/x").await, &[NotPermitted]);
        expect_ok("remove it", self.unlink("q").await);

        expect_ok("make one to itself", self.symlink("self", "self").await);
        let followed = self.open(FOLLOW, "self", OpenFlags::empty(), READ).await;
        expect_error("follow that", followed, &[Loop]);
        expect_ok("remove that", self.unlink("self").await);

        expect_ok("make one to a file", self.symlink("a.txt", "good").await);
        expect_error("make it again", self.symlink("a.txt", "good").await, &[Exist]);
        let file = self.open(FOLLOW, "good", OpenFlags::empty(), READ).await.expect("it leads to a file");
        expect("read it", read_from(&file, 0).await.ok(), &[Some("test-a\n".into())]);
        expect_ok("remove the link alone", self.unlink("good").await);
        expect_ok("the file stays", self.read("a.txt").await);
        expect_error("without a name", self.symlink("x", "").await, &[NoEntry]);
        expect_error("without a target", self.symlink("", "x").await, &[NoEntry]);
        expect_error("to an absolute path", self.symlink("/etc/passwd", "x").await, &[NotPermitted]);
    }

    async fn status(&self) {
        use ErrorCode::{NoEntry, NotDirectory, NotPermitted};
        let at = async |flags, path: &str| self.get().stat_at(flags, path.to_owned()).await;
        let file = self.read("a.txt").await.expect("a.txt");
        let status = file.stat().await.expect("status");
        expect("size", (status.size, status.link_count), &[(7, 1)]);
        expect_type("type of a file", Ok(status.type_), DescriptorType::RegularFile);
        expect_type("type of .", at(NO_FOLLOW, ".").await.map(|found| found.type_), DescriptorType::Directory);
        let link = at(NO_FOLLOW, "parent").await.map(|found| found.type_);
        expect_type("type of a link", link, DescriptorType::SymbolicLink);
        let times = async |flags| {
            let found = at(flags, "a.txt").await.expect("status");
            let found = [found.data_modification_timestamp, found.status_change_timestamp];
            found.map(|time| time.map(|time| (time.seconds, time.nanoseconds)))
        };
        let own = [status.data_modification_timestamp, status.status_change_timestamp];
        let own = own.map(|time| time.map(|time| (time.seconds, time.nanoseconds)));
        expect("times by path", times(NO_FOLLOW).await, &[own]);
        expect("times by a path that is followed", times(FOLLOW).await, &[own]);
        expect("a time of change", own[1] >= own[0] && own[1].is_some(), &[true]);
        expect_error("below a file", file.stat_at(NO_FOLLOW, "z".into()).await, &[NotDirectory]);
        expect_error("of a file as .", file.stat_at(NO_FOLLOW, ".".into()).await, &[NotDirectory]);
        expect_error("of nothing", at(NO_FOLLOW, "").await, &[NoEntry]);
        expect_error("of what is not there", at(NO_FOLLOW, "z").await, &[NoEntry]);
        for path in ["..", "/etc/passwd", "/", "parent/x"] {
            expect_error(&format!("of {path}"), at(NO_FOLLOW, path).await, &[NotPermitted]);
        }
        expect_error("behind a link", at(FOLLOW, "parent").await, &[NotPermitted]);
    }

    async fn times(&self) {
        use ErrorCode::{NoEntry, NotPermitted};
        let at = |seconds| NewTimestamp::Timestamp(system_clock::Instant { seconds, nanoseconds: 5 });
        let set = async |flags, path: &str, access, modification| {
            self.get().set_times_at(flags, path.to_owned(), access, modification).await
        };
        let file = self.read("a.txt").await.expect("a.txt");
        let seconds = async || {
            let status = file.stat().await.expect("status");
            [status.data_access_timestamp, status.data_modification_timestamp]
                .map(|time| time.map(|time| (time.seconds, time.nanoseconds)))
        };
        expect_ok("by path", set(NO_FOLLOW, "a.txt", at(42), at(69)).await);
        expect("both were set", seconds().await, &[[Some((42, 5)), Some((69, 5))]]);
        expect_ok("by descriptor", file.set_times(NewTimestamp::NoChange, at(70)).await);
        expect("one was set", seconds().await, &[[Some((42, 5)), Some((70, 5))]]);
        expect_ok("now", file.set_times(NewTimestamp::Now, NewTimestamp::NoChange).await);
        let [access, _] = seconds().await;
        let now = system_clock::now().seconds;
        expect("now is now", access.is_some_and(|(found, _)| (found - now).abs() < 60), &[true]);
        expect_error("of nothing", set(FOLLOW, "", at(1), at(1)).await, &[NoEntry]);
        expect_error("of what is not there", set(NO_FOLLOW, "z", at(1), at(1)).await, &[NoEntry]);
        for path in ["/", "..", "../x", "parent/x"] {
            let answer = set(NO_FOLLOW, path, at(1), at(1)).await;
            expect_error(&format!("of {path}"), answer, &[NotPermitted]);
        }
        expect_error("behind a link", set(FOLLOW, "parent", at(1), at(1)).await, &[NotPermitted]);
    }

    async fn sizes(&self) {
        use ErrorCode::{Access, BadDescriptor, FileTooLarge, Invalid};
        let c = self.make("c").await;
        let r = self.read("c").await.expect("c");
        let sizes = async || (c.stat().await.expect("status").size, r.stat().await.expect("status").size);
        expect("of a new file", sizes().await, &[(0, 0)]);
        expect_ok("grow", c.set_size(42).await);
        expect("grown for all", sizes().await, &[(42, 42)]);
        expect_ok("shrink", c.set_size(3).await);
        expect("shrunk for all", sizes().await, &[(3, 3)]);
        expect_ok("truncate", self.open(NO_FOLLOW, "c", OpenFlags::TRUNCATE, BOTH).await);
        expect("nothing for all", sizes().await, &[(0, 0)]);
        expect_error("of what is only read", r.set_size(1).await, &[Invalid, BadDescriptor, Access]);
        expect_error("of all numbers", c.set_size(u64::MAX).await, &[Invalid, FileTooLarge]);
        expect_ok("remove it", self.unlink("c").await);
        expect_ok("grow without a name", c.set_size(7).await);
        expect("grown without a name", sizes().await, &[(7, 7)]);
    }

    async fn unlinks(&self) {
        use ErrorCode::{Access, IsDirectory, NoEntry, NotDirectory, NotPermitted};
        expect_error("nothing", self.unlink("").await, &[NoEntry]);
        for path in [".", "..", "../x", "/"] {
            let codes = [NotPermitted, IsDirectory, Access];
            expect_error(path, self.unlink(path).await, &codes);
        }
        for path in ["/etc/passwd", "parent/x"] {
            expect_error(path, self.unlink(path).await, &[NotPermitted]);
        }
        expect_error("what is not there", self.unlink("z").await, &[NoEntry]);
        expect_error("a file with a slash", self.unlink("a.txt/").await, &[NotDirectory]);
    }

    async fn entries(&self) {
        let (stream, end) = self.get().read_directory();
        let mut found: Vec<_> = stream.collect().await.into_iter().map(|entry| (entry.name, entry.type_)).collect();
        expect_ok("to the end", end.await);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        expect("names", names.as_slice(), &[["a.txt", "b.txt", "parent"].as_slice()]);
        let types = found.iter().map(|(_, type_)| format!("{type_:?}")).collect::<Vec<_>>().join(" ");
        let expected = [DescriptorType::RegularFile, DescriptorType::RegularFile, DescriptorType::SymbolicLink];
        expect("types", types, &[expected.map(|type_| format!("{type_:?}")).join(" ")]);
        let file = self.read("a.txt").await.expect("a.txt");
        let (stream, end) = file.read_directory();
        expect("entries of a file", stream.collect().await.len(), &[0]);
        expect_error("of a file", end.await, &[ErrorCode::NotDirectory]);
    }

    /// For a directory with a name that is not Unicode, a pipe and two hundred files besides.
    async fn unusual_entries(&self) {
        let (stream, end) = self.get().read_directory();
        let found = stream.collect().await;
        expect("entries", found.len(), &[204]);
        expect_error("a name is not Unicode", end.await, &[ErrorCode::IllegalByteSequence]);
        let pipe = found.into_iter().find(|entry| entry.name == "pipe").map(|entry| entry.type_);
        expect_type("a pipe", pipe.ok_or(ErrorCode::NoEntry), DescriptorType::Fifo);
    }

    async fn identity(&self) {
        let [a, again, b] = [self.read("a.txt").await, self.read("a.txt").await, self.read("b.txt").await]
            .map(|file| file.expect("a file"));
        expect("one file twice", a.is_same_object(&again).await, &[true]);
        expect("two files", a.is_same_object(&b).await, &[false]);
        let hash = async |file: &Descriptor| file.metadata_hash().await.map(|hash| (hash.lower, hash.upper)).ok();
        expect("one file has one hash", hash(&a).await == hash(&again).await, &[true]);
        expect("two files have two", hash(&a).await == hash(&b).await, &[false]);
        let by_path = self.get().metadata_hash_at(NO_FOLLOW, "a.txt".into()).await;
        let by_path = by_path.map(|hash| (hash.lower, hash.upper)).ok();
        expect("by path too", by_path == hash(&a).await, &[true]);
        let gone = self.get().metadata_hash_at(NO_FOLLOW, "z".into()).await;
        expect_error("of what is not there", gone.map(drop), &[ErrorCode::NoEntry]);
        let out = self.get().metadata_hash_at(FOLLOW, "parent".into()).await;
        expect_error("of what is outside", out.map(drop), &[ErrorCode::NotPermitted]);
    }

    /// For a directory that was granted read-only.
    async fn read_only(&self) {
        let codes = [ErrorCode::ReadOnly, ErrorCode::NotPermitted];
        expect("flags", self.get().get_flags().await.ok(), &[Some(READ)]);
        expect_ok("read", self.read("a.txt").await);
        expect_error("write", self.open(NO_FOLLOW, "a.txt", OpenFlags::empty(), WRITE).await, &codes);
        expect_error("truncate", self.open(NO_FOLLOW, "a.txt", OpenFlags::TRUNCATE, READ).await, &codes);
        expect_error("make a file", self.open(NO_FOLLOW, "c", NEW, BOTH).await, &codes);
        expect_error("make a directory", self.mkdir("c").await, &codes);
        expect_error("remove", self.unlink("a.txt").await, &codes);
        expect_error("rename", self.rename("a.txt", "c").await, &codes);
        expect_error("link", self.link("a.txt", "c").await, &codes);
        expect_error("make a symbolic link", self.symlink("a.txt", "c").await, &codes);
        let now = || NewTimestamp::Now;
        let times = self.get().set_times_at(NO_FOLLOW, "a.txt".into(), now(), now()).await;
        expect_error("set times", times, &codes);
    }
}

fn expect_type(what: &str, answer: Answer<DescriptorType>, expected: DescriptorType) {
    expect(what, answer.ok().map(|type_| format!("{type_:?}")), &[Some(format!("{expected:?}"))]);
}

async fn read_from(file: &Descriptor, offset: u64) -> Answer<String> {
    let (stream, end) = file.read_via_stream(offset);
    let bytes = stream.collect().await;
    end.await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn write_at(file: &Descriptor, text: &str, offset: u64) -> Answer<()> {
    let (mut sender, receiver) = wit_stream::new();
    let end = file.write_via_stream(receiver, offset);
    sender.write_all(text.as_bytes().to_vec()).await;
    drop(sender);
    end.await
}

async fn append(file: &Descriptor, text: &str) -> Answer<()> {
    let (mut sender, receiver) = wit_stream::new();
    let end = file.append_via_stream(receiver);
    sender.write_all(text.as_bytes().to_vec()).await;
    drop(sender);
    end.await
}

async fn clocks() {
    let start = monotonic_clock::now();
    monotonic_clock::wait_for(10_000_000).await;
    let waited = monotonic_clock::now();
    expect("it waits as long as it should", waited - start >= 10_000_000, &[true]);
    monotonic_clock::wait_until(waited).await;
    monotonic_clock::wait_until(0).await;
    monotonic_clock::wait_for(0).await;
    monotonic_clock::wait_until(monotonic_clock::now() + 5_000_000).await;
    expect("it never goes back", monotonic_clock::now() >= waited + 5_000_000, &[true]);
    expect("it has a resolution", monotonic_clock::get_resolution() > 0, &[true]);
    expect("so has the time of day", system_clock::get_resolution() > 0, &[true]);
    let now = system_clock::now();
    expect("it is after 2025", now.seconds > 1_735_689_600, &[true]);
    expect("a second has a billion nanoseconds", now.nanoseconds < 1_000_000_000, &[true]);
}

fn randoms() {
    // Fewer may come than were asked for, but some.
    for most in [0, 1, 10, 1000] {
        let is_right = |bytes: Vec<u8>| bytes.len() as u64 <= most && (most == 0 || !bytes.is_empty());
        expect("no more than asked for", is_right(random::get_random_bytes(most)), &[true]);
        expect("insecure too", is_right(insecure::get_insecure_random_bytes(most)), &[true]);
    }
    expect("two are two", random::get_random_u64() == random::get_random_u64(), &[false]);
    expect("bytes differ", random::get_random_bytes(16) == random::get_random_bytes(16), &[false]);
    expect("a seed is no zero", insecure_seed::get_insecure_seed() == (0, 0), &[false]);
}
