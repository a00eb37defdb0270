//! Before a server serves: it owns the lake, or with `--standby` waits until nobody else does. Meanwhile its HTTP port answers every request
//! with 503 and who has the lake, for load balancers that ask `/ready`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use wardlake_load::{LoadError, Ownership, Workspace};
use wardlake_records::RunEvent;

use crate::{ServeError, ServeOptions, announce, bind};

/// Between two looks at whether the lake is free.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// One who asks has so long for the head of the request and for taking the answer.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// So many are answered at once, and read so far.
const ASKING_AT_ONCE: usize = 64;
const HEAD_BYTES: usize = 16 << 10;

/// The right to serve.
pub(crate) struct Owner {
    /// It lasts as long as this.
    _ownership: Ownership,
    answering: Option<Answering>,
}

/// A port that answers for a server that waits.
struct Answering {
    task: JoinHandle<TcpListener>,
    /// Ends it when it is dropped.
    go_on: oneshot::Sender<()>,
}

impl Owner {
    /// The listener of the server itself: nobody who asks finds the port closed meanwhile.
    pub(crate) async fn listener(&mut self, address: SocketAddr) -> Result<TcpListener, ServeError> {
        let Some(Answering { task, go_on }) = self.answering.take() else { return bind(address, "http") };
        drop(go_on);
        task.await.map_err(ServeError::task)
    }
}

/// Owns the lake, or waits for it. `None`: the server was stopped before it had it.
pub(crate) async fn own(
    workspace: &Arc<Workspace>,
    options: &ServeOptions,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<Owner>, ServeError> {
    let take = || Ownership::take(&workspace.lake, options.intake.as_deref());
    let holder = match take() {
        Ok(ownership) => return Ok(Some(Owner { _ownership: ownership, answering: None })),
        Err(error @ LoadError::Owned { .. }) if options.standby => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    let listener = bind(options.http, "http")?;
    announce(workspace, "http", None, &listener)?;
    tell(workspace, &format!("standby: {holder}"));
    let (say, holder) = watch::channel(holder);
    let (go_on, end) = oneshot::channel();
    let task = tokio::spawn(answer(listener, holder, end));
    loop {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = &mut *stop => return Ok(None),
        }
        match take() {
            Ok(ownership) => {
                tell(workspace, "this server owns the lake now");
                say.send_replace("it begins to serve".to_owned());
                return Ok(Some(Owner { _ownership: ownership, answering: Some(Answering { task, go_on }) }));
            }
            Err(error @ LoadError::Owned { .. }) => drop(say.send_replace(error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
}

fn tell(workspace: &Workspace, text: &str) {
    workspace.events.tell(RunEvent::Message { level: "info".to_owned(), text: text.to_owned() });
}

/// Answers until `end` is dropped; the listener.
async fn answer(listener: TcpListener, holder: watch::Receiver<String>, mut end: oneshot::Receiver<()>) -> TcpListener {
    let asking = Arc::new(Semaphore::new(ASKING_AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&asking).acquire_owned().await else { return listener };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut end => return listener,
        };
        match accepted {
            Ok((socket, _)) => {
                let reason = holder.borrow().clone();
                tokio::spawn(async move {
                    // One that is too slow is let go.
                    let _ = timeout(ASK_WITHIN, refuse(socket, &reason)).await;
                    drop(place);
                });
            }
            // Out of file handles, most often: some are given back in a moment.
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

async fn refuse(mut socket: TcpStream, reason: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES {
        match socket.read_buf(&mut head).await? {
            0 => break,
            _ if head.windows(4).any(|end| end == b"\r\n\r\n") => break,
            _ => {}
        }
    }
    let body = serde_json::json!({"error": format!("standby: {reason}"), "ready": false}).to_string();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: 1\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}
