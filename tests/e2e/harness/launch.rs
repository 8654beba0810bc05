//! The binary under test, with what a folder that was prepared holds for it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use crate::harness::BINARY;

/// The binary, in `dir`.
///
/// A file `hosts` there is its `/etc/hosts`, and nobody else's; the lines `NAME=value` of a file
/// `environment` are variables of its environment; a file `unprivileged` takes from root what is
/// more than owning files.
pub(super) fn command(dir: &Path) -> Command {
    let mut command = if dir.join("hosts").exists() {
        with_own_hosts()
    } else if dir.join("unprivileged").exists() && is_root() {
        without_capabilities()
    } else {
        Command::new(BINARY)
    };
    // What would be kept in /var/lib is kept in the folder, too.
    let state = dir.join("state");
    fs::create_dir_all(&state).unwrap();
    let variables = fs::read_to_string(dir.join("environment")).unwrap_or_default();
    command
        .current_dir(dir)
        .env("STATE_DIRECTORY", state)
        .envs(variables.lines().filter_map(|line| line.split_once('=')));
    command
}

/// The binary in a mount namespace of its own; the script ends in the proxy itself, under the same
/// process id.
fn with_own_hosts() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.args([
        "mount --bind hosts /etc/hosts && exec \"$0\" \"$@\"",
        BINARY,
    ]);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The binary as root, to whom permissions apply.
fn without_capabilities() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", BINARY]);
    command
}
