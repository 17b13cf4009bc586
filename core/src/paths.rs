//! Where files and the socket are: the only definition of each, for every program.

use std::env;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

/// The daemon's socket for a client: `--socket`, `$PATTERNS_SOCKET`, then the first that exists of
/// `$XDG_RUNTIME_DIR/patterns/daemon.sock` and `/run/patterns/daemon.sock`; the first of these two when neither does.
#[must_use]
pub fn socket_to_connect(flag: Option<&Path>) -> PathBuf {
    if let Some(path) = chosen_socket(flag) {
        return path;
    }
    let candidates = default_sockets();
    candidates
        .iter()
        .find(|path| path.exists())
        .or(candidates.first())
        .cloned()
        .unwrap_or_else(system_socket)
}

/// The daemon's socket for the daemon itself: `--socket`, `$PATTERNS_SOCKET`, `$XDG_RUNTIME_DIR/patterns/daemon.sock`
/// where there is such a directory, else `/run/patterns/daemon.sock`.
#[must_use]
pub fn socket_to_bind(flag: Option<&Path>) -> PathBuf {
    chosen_socket(flag)
        .or_else(|| default_sockets().into_iter().next())
        .unwrap_or_else(system_socket)
}

fn chosen_socket(flag: Option<&Path>) -> Option<PathBuf> {
    flag.map(Path::to_path_buf)
        .or_else(|| directory("PATTERNS_SOCKET"))
}

fn default_sockets() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    if let Some(runtime) = directory("XDG_RUNTIME_DIR") {
        candidates.push(runtime.join("patterns/daemon.sock"));
    }
    candidates.push(system_socket());
    candidates
}

fn system_socket() -> PathBuf {
    PathBuf::from("/run/patterns/daemon.sock")
}

/// Where the daemon keeps its databases: `--state-dir`, `$STATE_DIRECTORY` (set by systemd), `$XDG_STATE_HOME/patterns`,
/// `~/.local/state/patterns`. `None` without any of these.
#[must_use]
pub fn state_dir(flag: Option<&Path>) -> Option<PathBuf> {
    flag.map(Path::to_path_buf)
        .or_else(|| directory("STATE_DIRECTORY"))
        .or_else(|| {
            Some(
                etcetera::choose_base_strategy()
                    .ok()?
                    .state_dir()?
                    .join("patterns"),
            )
        })
}

/// The daemon's configuration: `--config`, `$XDG_CONFIG_HOME/patterns/config.toml`, `~/.config/patterns/config.toml`.
/// A missing file at a default place is fine. `None` without a home directory.
#[must_use]
pub fn config_file(flag: Option<&Path>) -> Option<PathBuf> {
    flag.map(Path::to_path_buf).or_else(|| {
        Some(
            etcetera::choose_base_strategy()
                .ok()?
                .config_dir()
                .join("patterns/config.toml"),
        )
    })
}

fn directory(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins() {
        let flag = Path::new("/somewhere/else.sock");
        assert_eq!(socket_to_connect(Some(flag)), flag);
        assert_eq!(socket_to_bind(Some(flag)), flag);
        assert_eq!(
            state_dir(Some(Path::new("/state"))),
            Some(PathBuf::from("/state"))
        );
    }
}
