//! How the binary is started, as files in the folder of its configuration ask for it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use crate::harness::BINARY;

/// The binary, without arguments. A file `hosts` in the folder is the `/etc/hosts` of the proxy, and
/// of nobody else. A file `unprivileged` takes from root what is more than owning files.
pub(crate) fn command(dir: &Path) -> Command {
    if dir.join("hosts").exists() {
        with_own_hosts()
    } else if dir.join("unprivileged").exists() && is_root() {
        without_capabilities()
    } else {
        Command::new(BINARY)
    }
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
