//! Which kernel this is.

/// The major and minor number of its version, for what cannot be asked for otherwise; (0, 0) if it does not say.
pub fn version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
