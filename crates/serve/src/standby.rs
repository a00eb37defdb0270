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
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_load::{Claim, LoadError, Ownership, Workspace};
use wardlake_records::RunEvent;

use crate::{ServeError, ServeOptions, announce, bind};

/// A listener that failed is asked again after so long.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// One who asks has so long for the head of the request and for taking the answer.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// So many are answered at once, and read so far.
const ASKING_AT_ONCE: usize = 64;
const HEAD_BYTES: usize = 16 << 10;

/// The right to serve.
pub(crate) struct Owner {
    /// It lasts as long as this.
    ownership: Ownership,
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

    /// Waits until another server may own the lake; the error to stop with. To be called once.
    pub(crate) async fn lost(&mut self) -> LoadError {
        self.ownership.lost().await
    }

    /// Lets the next server have the lake when this process has ended.
    pub(crate) async fn leave(self) {
        self.ownership.leave_to_end_of_process().await;
    }
}

/// Owns the lake, or waits for it. `None`: the server was stopped before it had it.
pub(crate) async fn own(
    workspace: &Arc<Workspace>,
    options: &ServeOptions,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<Owner>, ServeError> {
    let mut claim = Claim::new(&workspace.lake, options.journal.as_deref());
    let mut is_told = false;
    let holder = loop {
        let taken = tokio::select! {
            taken = claim.take() => taken,
            () = &mut *stop => return Ok(None),
        };
        match taken {
            Ok(ownership) => return Ok(Some(Owner { ownership, answering: None })),
            Err(error @ LoadError::Owned { .. }) if options.standby => break error.to_string(),
            // It may have died a moment ago.
            Err(LoadError::Owned { what, holder }) if claim.is_undecided() => {
                if !is_told {
                    tell(workspace, &format!("{what} was served by {holder}; waiting to see whether it still is"));
                    is_told = true;
                }
            }
            Err(LoadError::Owned { what, holder }) => return Err(ServeError::Owned { what, holder }),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = sleep(Claim::LOOK_EVERY) => {}
            () = &mut *stop => return Ok(None),
        }
    };
    stand_by(workspace, options, claim, holder, stop).await
}

/// Answers for the server until `claim` has the lake.
async fn stand_by(
    workspace: &Workspace,
    options: &ServeOptions,
    mut claim: Claim,
    holder: String,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<Owner>, ServeError> {
    let listener = bind(options.http, "http")?;
    announce(workspace, "http", None, &listener)?;
    tell(workspace, &format!("standby: {holder}"));
    let (say, holder) = watch::channel(holder);
    let (go_on, end) = oneshot::channel();
    let task = tokio::spawn(answer(listener, holder, end));
    loop {
        let look = async {
            sleep(Claim::LOOK_EVERY).await;
            claim.take().await
        };
        let taken = tokio::select! {
            taken = look => taken,
            () = &mut *stop => return Ok(None),
        };
        match taken {
            Ok(ownership) => {
                tell(workspace, "this server owns the lake now");
                say.send_replace("it begins to serve".to_owned());
                return Ok(Some(Owner { ownership, answering: Some(Answering { task, go_on }) }));
            }
            Err(error @ LoadError::Owned { .. }) => drop(say.send_replace(error.to_string())),
            // A store that does not answer now will, and who waits has the time.
            Err(error @ LoadError::Storage(_)) if error.kind() == ErrorKind::Unavailable => {
                drop(say.send_replace(error.to_string()));
            }
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
            Err(_) => sleep(ACCEPT_AGAIN_AFTER).await,
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
