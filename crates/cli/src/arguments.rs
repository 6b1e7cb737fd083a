//! The command line: its words, and what a wrong one is told.

use crate::flags::{EngineFlags, GrantFlags, LimitFlags};
use crate::printer::{self, Format};
use crate::serving::HttpFlags;
use crate::verbs;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use lighter_types::escape::escape;
use lighter_types::exit;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Runs WebAssembly programs as containers: locked in, with nothing granted but what you say.
#[derive(Parser)]
#[command(name = "lighter", version, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    engine: EngineFlags,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a program
    #[command(
        override_usage = "lighter run [OPTIONS] PROGRAM [ARGUMENT]...",
        after_help = "PROGRAM is a .wasm or .wat file, a directory that holds one, or - for standard input.\n\
                      Everything after it belongs to the program.",
        subcommand_value_name = "PROGRAM",
        subcommand_help_heading = "Program",
        disable_help_subcommand = true
    )]
    Run(Box<RunArguments>),
    /// Show what a program is, what it imports, what the flags grant it and what is missing
    #[command(
        override_usage = "lighter explain [OPTIONS] PROGRAM [ARGUMENT]...",
        after_help = "Takes the flags of run. Ends with 0 if the program would run, with 126 if not.",
        subcommand_value_name = "PROGRAM",
        disable_help_subcommand = true
    )]
    Explain(Deferred<ExplainArguments>),
    /// Compile a program, so that its first run starts at once
    Compile {
        /// The program
        #[arg(value_hint = clap::ValueHint::AnyPath)]
        program: PathBuf,
        /// Compile although this interface is missing; each use of it will be a trap
        #[arg(long, value_name = "INTERFACE")]
        stub: Vec<String>,
    },
    /// Show and clean up what Lighter keeps
    #[command(subcommand)]
    System(SystemVerb),
    /// Show what the engine and this machine's boundary are (also: system info)
    Info(InfoArguments),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Show the version
    Version(FormatFlag),
}

/// Arguments that are described only once their command is called: the many flags of one verb cost
/// the others nothing.
struct Deferred<T>(Box<T>);

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command.defer(T::augment_args_for_update)
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(|arguments| Self(Box::new(arguments)))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

#[derive(Subcommand)]
pub(crate) enum SystemVerb {
    /// Show what is kept on disk
    Df(FormatFlag),
    /// Remove compiled code
    Prune {
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
    /// Show what the engine and this machine's boundary are
    Info(InfoArguments),
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct FormatFlag {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct InfoArguments {
    /// Show the system calls that a locked process may make instead
    #[arg(long)]
    pub(crate) policy: bool,
    #[command(flatten)]
    pub(crate) format: FormatFlag,
}

/// The flags of `run`, and the program with what follows it.
#[derive(Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) grants: GrantFlags,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    #[command(flatten)]
    pub(crate) http: HttpFlags,
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
    #[command(subcommand)]
    pub(crate) program: Program,
}

#[derive(Args)]
#[command(
    about = "Show what a program is, what it imports, what the flags grant it and what is missing"
)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) grants: GrantFlags,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    #[command(flatten)]
    pub(crate) http: HttpFlags,
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
    #[command(flatten)]
    pub(crate) format: FormatFlag,
    #[command(subcommand)]
    pub(crate) program: Program,
}

/// A line that begins with `run`, as a command of its own: described without the other verbs, it is
/// read in less time. Lines that it does not take are [`CommandLine`]'s, as is `--help`.
#[derive(Parser)]
#[command(
    name = "run",
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct RunLine {
    #[command(flatten)]
    engine: EngineFlags,
    #[command(flatten)]
    run: RunArguments,
}

impl RunLine {
    fn read(words: &[OsString]) -> Option<Self> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(words);
        // What describes the flags is not taken apart: it goes with the process.
        std::mem::forget(command);
        Self::from_arg_matches(&matches.ok()?).ok()
    }
}

/// Flags about the process rather than about its rights.
#[derive(Args)]
pub(crate) struct ProcessFlags {
    /// Remove the container when it ends; a run in the foreground leaves nothing anyway
    #[arg(long)]
    rm: bool,
    /// Keep standard input open; a run in the foreground always has it
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Make the program's streams one terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Working directory of the program
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(crate) workdir: Option<String>,
    /// The program's own name, its first argument (default: the file's name)
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<String>,
    /// Call this exported function; its arguments follow PROGRAM
    #[arg(long, value_name = "FUNCTION")]
    pub(crate) invoke: Option<String>,
    /// Write a core dump of the program's memories to this file if it traps
    #[arg(long, value_name = "FILE")]
    pub(crate) coredump: Option<PathBuf>,
}

/// The first word that is no flag, and all that follows.
#[derive(Subcommand)]
pub(crate) enum Program {
    #[command(external_subcommand)]
    Words(Vec<OsString>),
}

/// Reads the command line, does what it says, and gives the exit code.
pub(crate) fn dispatch(words: Vec<OsString>) -> u8 {
    if words.get(1).is_some_and(|word| word == "run")
        && let Some(words) = words.get(2..)
        && let Some(RunLine { engine, run }) = RunLine::read(words)
    {
        return verbs::run::run(&engine, run);
    }
    let verb = words.iter().skip(1).find(|word| !is_flag(word)).cloned();
    let foreign = words.iter().find(|word| word.to_str().is_none()).cloned();
    let line = match CommandLine::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => return wrong(&error, foreign.as_deref(), &verb.unwrap_or_default()),
    };
    let CommandLine { engine, verb } = line;
    match verb {
        Verb::Run(arguments) => verbs::run::run(&engine, *arguments),
        Verb::Explain(arguments) => verbs::explain::explain(&engine, *arguments.0),
        Verb::Compile { program, stub } => verbs::compile::compile(&engine, program, &stub),
        Verb::System(SystemVerb::Df(format)) => verbs::system::df(&engine, format.format),
        Verb::System(SystemVerb::Prune { force }) => verbs::system::prune(&engine, force),
        Verb::Info(arguments) | Verb::System(SystemVerb::Info(arguments)) => {
            let format = arguments.format.format;
            if arguments.policy {
                verbs::system::policy(format)
            } else {
                verbs::system::info(&engine, format)
            }
        }
        Verb::Completion { shell } => {
            verbs::completion::completion(shell, &mut CommandLine::command())
        }
        Verb::Version(format) => verbs::version::version(format.format),
    }
}

fn is_flag(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// Words for a wrong command line, and for `--help`, which is none.
///
/// `foreign` is the line's first word that is not UTF-8, which clap does not name; `verb` is its first
/// that is no flag, so perhaps the value of one.
fn wrong(error: &clap::Error, foreign: Option<&OsStr>, verb: &OsStr) -> u8 {
    let code = if verb == "run" {
        exit::FAILED
    } else {
        exit::USAGE
    };
    let asked = |kind| {
        error
            .get(kind)
            .map(|value| escape(&shown(value)))
            .unwrap_or_default()
    };
    let (message, hint) = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return printer::out(&error.render().to_string());
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printer::err(&error.render().to_string());
            return code;
        }
        ErrorKind::UnknownArgument => {
            let flag = asked(ContextKind::InvalidArg);
            let close = asked(ContextKind::SuggestedArg);
            let hint = (!close.is_empty()).then(|| format!("did you mean {close}?"));
            (format!("unknown flag: {flag}"), hint)
        }
        ErrorKind::InvalidSubcommand => (
            format!("unknown command: {}", asked(ContextKind::InvalidSubcommand)),
            None,
        ),
        ErrorKind::InvalidUtf8 => (
            format!(
                "not UTF-8: {}",
                escape(&foreign.unwrap_or_default().to_string_lossy())
            ),
            Some("flags and their values are Unicode text".to_owned()),
        ),
        ErrorKind::MissingSubcommand | ErrorKind::MissingRequiredArgument => (missing(error), None),
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            (
                first.strip_prefix("error: ").unwrap_or(first).to_owned(),
                None,
            )
        }
    };
    let help = || {
        let command = CommandLine::command();
        let verb = command.find_subcommand(verb).map(clap::Command::get_name);
        let verb = verb.map(|verb| format!(" {verb}")).unwrap_or_default();
        format!("see lighter{verb} --help")
    };
    printer::error(&message, &[], Some(&hint.unwrap_or_else(help)));
    code
}

fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        other => other.to_string(),
    }
}

/// What is missing: a flag that another one needs, or else what a verb is about.
fn missing(error: &clap::Error) -> String {
    let names = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.as_slice(),
        _ => &[],
    };
    match names.iter().find(|name| name.starts_with("--")) {
        Some(flag) => format!("something is missing: {flag}"),
        None => "something is missing: no program or command was given".to_owned(),
    }
}
