//! Reload: read, build, swap. Whatever goes wrong, the old snapshot goes on.

use crate::{
    app::{App, RunError},
    config::{
        Config,
        diagnostic::{Report, Severity},
    },
    observe::metrics::Reload,
};

impl App<'_> {
    /// Reads the configuration and the certificates anew; any fault keeps the old ones and says so.
    pub(super) async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(generation) => {
                tracing::info!(generation, "reloaded");
            }
            Err(error) => {
                self.shared.metrics().reload(Reload::Refused);
                match &error {
                    RunError::Config(report) => tell(report),
                    RunError::Bind { address, source } => {
                        tracing::error!(%address, error = %source, "cannot listen");
                    }
                    RunError::System(error) => tracing::error!(%error, "reload failed"),
                }
                tracing::error!("reload refused, the old configuration goes on");
            }
        }
    }

    async fn try_reload(&mut self) -> Result<u64, RunError> {
        let source = self.source.clone();
        let shared = self.shared.clone();
        let old = self.live.load();
        // Reading files and hashing a build take their time.
        #[expect(
            clippy::disallowed_methods,
            reason = "reads files; the control thread has probes to run"
        )]
        let built = tokio::task::spawn_blocking(move || {
            let (config, report) = source.load().map_err(RunError::Config)?;
            tell(&report);
            needs_restart(old.config(), &config);
            shared
                .build(config, Some(&old))
                .map_err(|faults| RunError::Config(report.with(faults)))
        });
        let snapshot = built
            .await
            .map_err(|_| std::io::Error::other("building the configuration failed"))??;
        self.listeners
            .follow(snapshot.config(), self.workers.count())?;
        let generation = snapshot.generation();
        self.shared.announce(&snapshot);
        self.program_log.set_level(snapshot.config().log.level);
        self.live.publish(snapshot);
        self.listeners.give_to(&self.workers);
        self.listeners.closed().await;
        Ok(generation)
    }
}

/// Says what a reload cannot change.
fn needs_restart(old: &Config, new: &Config) {
    if old.server.threads != new.server.threads {
        tracing::warn!("server.threads changes at the next restart");
    }
    if old.server.admin != new.server.admin {
        tracing::warn!("server.admin changes at the next restart");
    }
    if old.log.access.as_ref().map(|access| &access.path)
        != new.log.access.as_ref().map(|access| &access.path)
    {
        tracing::warn!("log.access.path changes at the next restart");
    }
}

/// Writes warnings and faults to the log.
pub(super) fn tell(report: &Report) {
    for diagnostic in &report.diagnostics {
        let place = report.place(diagnostic);
        let help = diagnostic.help.as_deref().unwrap_or_default();
        match diagnostic.severity {
            Severity::Error => tracing::error!(%place, help, "{}", diagnostic.message),
            Severity::Warning => tracing::warn!(%place, help, "{}", diagnostic.message),
        }
    }
}
