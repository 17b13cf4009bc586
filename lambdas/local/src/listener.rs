//! The listener: connections come in, and each brings its requests to the front.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use rustix::fd::OwnedFd;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{faults::Broken, front::Front};

/// How long a client may take for the head of a request. A connection that is silent for longer is closed.
const HEAD_WITHIN: Duration = Duration::from_mins(1);

/// The pause after a connection could not be taken, mostly because too many files are open.
const REST: Duration = Duration::from_millis(50);

/// Connections that may wait to be taken. Beyond it a client tries again after a second, and on a busy machine the usual 128 are
/// there in no time.
const WAITING: u32 = 4096;

/// Takes a port on 127.0.0.1; 0 takes a free one.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // As every server does: the port is free again right after a stop.
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(WAITING)
}

/// Serves until `stop`, and then until the answers under way are written.
pub async fn run(listener: TcpListener, front: Front, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => serve(stream, &http, &front, &connections),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(REST).await;
            }
        }
    }
    connections.shutdown().await;
}

fn serve(stream: TcpStream, http: &http1::Builder, front: &Front, connections: &GracefulShutdown) {
    // Answers are written in one piece; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    // A second handle, so that the connection can be reset while hyper owns the first. No function's process may have it: that would
    // keep open what is closed here, and the client would wait for an answer.
    let socket = front
        .admin
        .as_ref()
        .and_then(|_| rustix::io::fcntl_dupfd_cloexec(&stream, 0).ok())
        .map(Arc::new);
    let front = front.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (front, socket) = (front.clone(), socket.clone());
        async move { answered(front.enter(request.map(Body::new)).await, socket.as_deref()) }
    });
    let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
    tokio::spawn(async move {
        // Clients come and go, and hyper has answered what can be answered.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
}

/// The response, or the error that ends the connection without one.
fn answered(response: Response, socket: Option<&OwnedFd>) -> io::Result<Response> {
    if response.extensions().get::<Broken>() != Some(&Broken::Reset) {
        return Ok(response);
    }
    if let Some(socket) = socket {
        // Closing now sends a reset instead of an orderly end.
        rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
    }
    Err(io::ErrorKind::ConnectionReset.into())
}
