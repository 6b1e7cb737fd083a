//! `lighter completion`.

use crate::arguments::Shell;
use crate::printer;

pub(crate) fn completion(shell: Shell, command: &mut clap::Command) -> u8 {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "lighter", &mut script);
    printer::out(&String::from_utf8_lossy(&script))
}
