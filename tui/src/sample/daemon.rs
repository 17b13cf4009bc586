//! A daemon that answers with what a test wants it to.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::client::{Client, Strings};

/// Listens until it is dropped.
pub struct Daemon {
    folder: TempDir,
    serving: JoinHandle<()>,
}

impl Daemon {
    /// Answers every request, head and body in one text, with a status and a body, and closes the connection.
    /// Status 0 closes it without an answer.
    pub fn answer(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("daemon.sock")).unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                let (status, body) = answer(&request);
                if status > 0 {
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                    );
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                }
            }
        });
        Self { folder, serving }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("daemon.sock")
    }

    /// A client of it, as the dashboard has one.
    pub fn client(&self) -> Client {
        Client::new(self.socket(), Strings::Visible).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One request: its head, and as much body as the head announces.
async fn read(stream: &mut UnixStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        assert!(
            stream.read_buf(&mut request).await.unwrap() > 0,
            "the request ends early: {text}"
        );
    }
}
