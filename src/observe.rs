//! What the proxy tells its operator: the program's own log, the access log, metrics.
//!
//! The program's log goes to standard error as text, on a terminal and off it: it is rare and
//! read by people, often through a container runtime that adds nothing. `PORTCULLIS_LOG_FORMAT=json`
//! turns it into JSON lines for a collector. `PORTCULLIS_LOG` takes filter directives
//! (`info,portcullis::upstream=debug`) and then wins over `log.level`.

use std::{env, io::IsTerminal as _};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

use crate::config::log::Level;

pub mod access_log;
pub mod log_file;
pub mod metrics;

/// The program's log, once it is installed.
#[derive(Debug, Clone)]
pub struct ProgramLog {
    /// `None` when the environment fixed the filter.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

/// What the environment says about the program's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `PORTCULLIS_LOG_FORMAT`: `text` or `json`.
    pub format: Option<String>,
    /// `PORTCULLIS_LOG`: filter directives.
    pub filter: Option<String>,
}

/// Why the program's log cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// `PORTCULLIS_LOG_FORMAT` holds something else.
    #[error("PORTCULLIS_LOG_FORMAT is {0:?}; set it to \"text\" or \"json\", or unset it")]
    Format(String),
    /// `PORTCULLIS_LOG` holds no directives.
    #[error("PORTCULLIS_LOG is not a list of directives like \"info,portcullis=debug\"")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// It was installed before.
    #[error("the log is installed already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

impl Overrides {
    /// Reads the environment. A variable that is empty is as good as unset.
    pub fn from_env() -> Self {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            format: variable("PORTCULLIS_LOG_FORMAT"),
            filter: variable("PORTCULLIS_LOG"),
        }
    }
}

impl ProgramLog {
    /// Installs it for the whole process.
    ///
    /// # Errors
    /// An override that means nothing, or a second call.
    pub fn install(level: Level, overrides: &Overrides) -> Result<Self, InstallError> {
        let json = match overrides.format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err(InstallError::Format(other.to_owned())),
        };
        let filter = match &overrides.filter {
            None => filter(level),
            Some(directives) => EnvFilter::try_new(directives).map_err(InstallError::Filter)?,
        };
        let (filter, handle) = reload::Layer::new(filter);
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = if json {
            lines.json().flatten_event(true).boxed()
        } else {
            lines.with_ansi(takes_colours()).boxed()
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init()
            .map_err(InstallError::Twice)?;
        Ok(Self {
            filter: overrides.filter.is_none().then_some(handle),
        })
    }

    /// Writes from this severity on, unless the environment fixed the filter.
    pub fn set_level(&self, level: Level) {
        if let Some(handle) = &self.filter
            && let Err(error) = handle.reload(filter(level))
        {
            tracing::error!(%error, "the log level could not be changed");
        }
    }
}

/// Below `info` the libraries underneath would drown the proxy's own lines. What the DNS library has to say is in the
/// outcome of a look-up, which is told once and not each time.
fn filter(level: Level) -> EnvFilter {
    EnvFilter::new(match level {
        Level::Error => "error,hickory=off",
        Level::Warn => "warn,hickory=off",
        Level::Info => "info,hickory=off",
        Level::Debug => "info,portcullis=debug,hickory=off",
    })
}

fn takes_colours() -> bool {
    std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_format_it_does_not_know() {
        let overrides = Overrides {
            format: Some("xml".into()),
            filter: None,
        };
        let error = ProgramLog::install(Level::Info, &overrides).unwrap_err();
        assert!(error.to_string().contains("\"xml\""));
    }

    #[test]
    fn refuses_directives_that_mean_nothing() {
        let overrides = Overrides {
            format: None,
            filter: Some("portcullis=loud".into()),
        };
        let error = ProgramLog::install(Level::Info, &overrides).unwrap_err();
        assert!(matches!(error, InstallError::Filter(_)));
    }

    #[test]
    fn takes_a_new_level_while_it_runs() {
        let log = ProgramLog::install(Level::Warn, &Overrides::default()).unwrap();
        assert!(!tracing::enabled!(tracing::Level::INFO));
        log.set_level(Level::Debug);
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert!(!tracing::enabled!(target: "h2", tracing::Level::DEBUG));
    }
}
