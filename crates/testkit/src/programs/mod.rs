//! Real programs, each fetched and built when it is first asked for, and kept.
//!
//! [`published`] are taken as others made them; [`built`] are made here, from `tests/programs/` or from
//! other people's sources, by the compilers of each language.

mod built;
mod published;

pub use built::{
    assemblyscript, c, cpp, database_clients_in_python, files_p3, go, http, http_p3,
    javascript_command, lua, postgres_client, probe, probe_component, python_command, redis_client,
    redis_client_in_go, requests, requests_p3, ripgrep, ripgrep_component, sockets,
    sockets_component, sockets_p3, sqlite_shell, streams, threads, wasmedge_sockets,
    wasmedge_sockets_by_crate, wasmedge_sockets_with_threads, zig,
};
pub use published::{
    Yosys, esbuild_gojs, quickjs, ruby, ruby_for_javascript, sqlite_of_2019, yosys,
};

/// A function that makes sure a program is there.
pub type Ensure = fn();

/// Every program by name, for those who want them all before the tests begin.
pub const ALL: &[(&str, Ensure)] = &[
    ("ruby", || drop(ruby())),
    ("sqlite_of_2019", || drop(sqlite_of_2019())),
    ("quickjs", || drop(quickjs())),
    ("yosys", || drop(yosys())),
    ("ruby_for_javascript", || drop(ruby_for_javascript())),
    ("esbuild_gojs", || drop(esbuild_gojs())),
    ("probe", || drop(probe())),
    ("threads", || drop(threads())),
    ("sockets", || drop(sockets())),
    ("sockets_p3", || drop(sockets_p3())),
    ("wasmedge_sockets", || drop(wasmedge_sockets())),
    ("redis_client", || drop(redis_client())),
    ("redis_client_in_go", || drop(redis_client_in_go())),
    ("database_clients_in_python", || {
        drop(database_clients_in_python());
    }),
    ("streams", || drop(streams())),
    ("files_p3", || drop(files_p3())),
    ("c", || drop(c())),
    ("cpp", || drop(cpp())),
    ("go", || drop(go())),
    ("zig", || drop(zig())),
    ("assemblyscript", || drop(assemblyscript())),
    ("lua", || drop(lua())),
    ("sqlite_shell", || drop(sqlite_shell())),
    ("python_command", || drop(python_command())),
    ("javascript_command", || drop(javascript_command())),
    ("ripgrep", || drop(ripgrep())),
];
