//! What systemd is told, where it asks to be: nothing happens without `NOTIFY_SOCKET`.

use std::path::Path;

use sd_notify::NotifyState;

/// The daemon answers on its socket.
pub fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("watching")]);
}

/// The daemon takes no new work and finishes what is under way.
pub fn stopping() {
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing the batches under way"),
    ]);
}

/// Whether systemd made the directory of that socket (`RuntimeDirectory=`); its group may then use the socket.
pub fn made_directory_of(socket: &Path) -> bool {
    let made = std::env::var_os("RUNTIME_DIRECTORY");
    made.is_some_and(|directories| {
        std::env::split_paths(&directories).any(|directory| socket.parent() == Some(&directory))
    })
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
