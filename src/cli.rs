//! The words of the user: arguments, exit codes, and everything that is printed.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{
    self,
    diagnostic::{Color, Report},
};

pub mod cert;
pub mod check;
mod drain;
pub mod explain;
mod process;
pub mod run;
pub mod serve;
pub mod status;

/// The edge in front of a NestJS backend and a single-page application.
///
/// Portcullis terminates TLS, serves the SPA, sets security headers, limits rates and proxies API and
/// WebSocket traffic to a pool of NestJS instances.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it without a file:
  portcullis serve --files dist --proxy /api/=http://127.0.0.1:3001
Then write portcullis.toml, and:
  portcullis check
  portcullis explain GET https://your-domain.com/api/todos
  portcullis run";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what the configuration says
    ///
    /// Signals: HUP reads the configuration and certificates anew and keeps the old ones on any fault,
    /// TERM and INT finish what is in flight and stop (a second one stops at once), USR1 opens the log
    /// files anew. Exit codes: 0 after a drain, 71 an address cannot be listened on, 78 the
    /// configuration has faults.
    Run(ConfigFile),
    /// Print every fault and warning in the configuration
    ///
    /// Opens no socket. Exit codes: 0 good, 78 faults.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Serve without a file: a development certificate, a folder, some backends
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Options),
    /// Certificates
    #[command(subcommand)]
    Cert(Cert),
    /// Say which listener, site, route, backends, headers and limits a request meets
    ///
    /// Exit codes: 0, 1 when nothing matches.
    Explain {
        #[command(flatten)]
        file: ConfigFile,
        /// Method, as in GET
        method: String,
        /// Whole address, as in <https://your-domain.com/api/todos>
        url: String,
    },
    /// Ask the running process whether it is ready
    ///
    /// Speaks to the admin listener of the configuration, so it can be a container's health check.
    /// Exit codes: 0 ready, 1 not ready or not running.
    Status(ConfigFile),
    /// Take a backend out of service, and return when it is idle
    ///
    /// It gets no request until `undrain`, across reloads too, but not across a restart. Requests in flight go
    /// on; WebSockets are closed with code 1012 and event streams end, so that their clients come back on another backend.
    /// Exit codes: 0 idle, 1 not idle in time (it stays drained), unknown, or not running.
    Drain {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        order: Order,
        /// How long to wait until it is idle
        #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
        timeout: Duration,
    },
    /// Put a backend back into service
    ///
    /// Exit codes: 0, 1 unknown or not running.
    Undrain {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        order: Order,
    },
}

/// Which backend.
#[derive(Debug, Args)]
struct Order {
    /// Name of the upstream, as in `api` for [upstream.api]
    upstream: String,
    /// Name of the backend, as in the configuration or in the log
    backend: String,
}

impl Order {
    fn view(&self) -> drain::Order<'_> {
        drain::Order {
            upstream: &self.upstream,
            backend: &self.backend,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::value::unit::parse_duration(text).ok_or_else(|| "write it like \"30s\"".to_owned())
}

#[derive(Debug, Subcommand)]
enum Cert {
    /// Make a certificate for development, signed by a local authority that is made once and kept
    Dev {
        /// Host names and addresses
        #[arg(required = true)]
        names: Vec<String>,
        /// Folder for the files
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The file; without it $PORTCULLIS_CONFIG, ./portcullis.toml, /etc/portcullis/portcullis.toml
    #[arg(long = "config", short = 'c', value_name = "FILE")]
    path: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs: one JSON array
    Json,
}

/// What the process ends with. Numbers from `sysexits.h`, which supervisors and scripts know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Good,
    /// A finding: not ready, nothing matches.
    Bad,
    /// Arguments that make no sense (`EX_USAGE`).
    Usage,
    /// The system refuses: an address that is taken, a file that cannot be written (`EX_OSERR`).
    System,
    /// Faults in the configuration (`EX_CONFIG`).
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Usage => 64,
            Exit::System => 71,
            Exit::Config => 78,
        })
    }
}

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = !error.use_stderr();
            // Nothing can be done about a standard error that is gone.
            let _ = error.print();
            return if asked { Exit::Good } else { Exit::Usage }.into();
        }
    };
    match arguments.command {
        Command::Run(file) => run::run(&file.find()),
        Command::Check {
            file,
            format: Format::Text,
        } => check::text(&file.find()),
        Command::Check {
            file,
            format: Format::Json,
        } => check::json(&file.find()),
        Command::Serve(options) => serve::serve(&options),
        Command::Cert(Cert::Dev { names, out }) => match cert::dev(&names, out.as_deref()) {
            Ok(text) => {
                say(&text);
                Exit::Good
            }
            Err(error) => complain(&error),
        },
        Command::Explain { file, method, url } => explain::explain(&file.find(), &method, &url),
        Command::Status(file) => status::status(&file.find()),
        Command::Drain {
            file,
            order,
            timeout,
        } => drain::drain(&file.find(), &order.view(), timeout),
        Command::Undrain { file, order } => drain::undrain(&file.find(), &order.view()),
    }
    .into()
}

impl ConfigFile {
    /// The first of the places that exists; the last when none does, so that the fault names it.
    fn find(&self) -> PathBuf {
        if let Some(path) = &self.path {
            return path.clone();
        }
        if let Some(path) = std::env::var_os("PORTCULLIS_CONFIG").filter(|path| !path.is_empty()) {
            return path.into();
        }
        let local = PathBuf::from("portcullis.toml");
        if local.exists() {
            local
        } else {
            Path::new("/etc/portcullis/portcullis.toml").to_owned()
        }
    }
}

/// Prints to standard output.
fn say(text: &str) {
    // Whoever closed the pipe has read enough.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

/// Prints faults and warnings to standard error.
fn show(report: &Report) {
    if !report.diagnostics.is_empty() {
        let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let text = report.render(if colors { Color::Always } else { Color::Never });
        let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    }
}

/// Prints an error with its causes to standard error.
fn complain(error: &anyhow::Error) -> Exit {
    let _ = writeln!(std::io::stderr().lock(), "portcullis: {error:#}");
    Exit::System
}
