//! `lighter`: one program file, several roles. Whoever types it gets the command line.

mod arguments;
mod flags;
mod printer;
mod refusal;
mod serving;
mod settings;
mod verbs;

// The program file gets its memcpy, memmove and memset from it.
use lighter_copy as _;

#[global_allocator]
static MEMORY: lighter_memory::Memory = lighter_memory::Memory;

fn main() {
    // A runner starts often and pays for nothing that only the command line needs.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == "runner")
    {
        lighter_runner::main();
    }
    lighter_engine::survive_file_size_limit();
    lighter_runner::end(arguments::dispatch(std::env::args_os().collect()));
}
