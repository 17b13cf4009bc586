//! The signals that end a run: from a service manager, from the keyboard, or because the terminal is gone.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Taken before anything is started, so that no signal can leave something behind.
pub struct End {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Option<Signal>,
}

impl End {
    /// Takes the signals from now on. A hang-up only `with_dashboard`: without one, whoever started us with `nohup` decides.
    pub fn watch(with_dashboard: bool) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: with_dashboard
                .then(|| signal(SignalKind::hangup()))
                .transpose()?,
        })
    }

    /// Waits until the end is wanted.
    pub async fn wanted(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hang_up => {}
        }
    }
}
