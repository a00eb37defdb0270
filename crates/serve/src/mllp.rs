//! The MLLP listeners: HL7 v2 messages in, acknowledgements out, in order. A message is acknowledged when it is on disk; one that
//! cannot be read is kept as it came, and its sender is told why.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};
use wardlake_connect::{
    hl7::{self, Decoder, ErrorCode, Frame, Header, Outcome, Problem},
    source::{MllpSettings, TlsFiles},
};
use wardlake_runner::{Content, Delivery, Feed, IntakeError, Receipt};

use crate::{ServeError, Server, announce, bind};

/// Messages of one connection that may wait for their answers; a sender that does not wait is read no further.
const UNANSWERED: usize = 64;
const READ_BYTES: usize = 64 << 10;
/// Between two tries while too much waits to be loaded: the sender waits for its answer, which holds it back.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// A listener that is bound and not yet accepting.
pub(crate) struct Listener {
    feed: Arc<Feed>,
    limit: usize,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// Binds a listener for every table with an `mllp` block that an address is known for, and tells where.
pub(crate) async fn bind_all(server: &Server, given: Option<SocketAddr>) -> Result<Vec<Listener>, ServeError> {
    let feeds: Vec<(&Arc<Feed>, &MllpSettings)> =
        server.sources.feeds().filter_map(|feed| Some((feed, feed.table().mllp.as_ref()?))).collect();
    if given.is_some() && feeds.len() != 1 {
        let message = match feeds.len() {
            0 => "--mllp needs a source table with an `mllp` block".to_owned(),
            several => format!("--mllp names one address for {several} source tables; give each a `listen` of its own"),
        };
        return Err(ServeError::Config { message });
    }
    let mut listeners = Vec::new();
    for (feed, settings) in feeds {
        let address = match (given, &settings.listen) {
            (Some(address), _) => address,
            (None, Some(text)) => text.parse().map_err(|_| ServeError::Config {
                message: format!("source {}: `mllp.listen` is `{text}`; write `127.0.0.1:2575`", feed.label()),
            })?,
            (None, None) => continue,
        };
        let tls = match &settings.tls {
            Some(files) => Some(acceptor(files, &server.project_dir, feed.label())?),
            None => None,
        };
        let listener = bind(address, "mllp").await?;
        announce(&server.workspace, "mllp", Some(feed.label()), &listener)?;
        let limit = usize::try_from(settings.max_bytes).unwrap_or(usize::MAX);
        listeners.push(Listener { feed: Arc::clone(feed), limit, listener, tls });
    }
    Ok(listeners)
}

fn acceptor(files: &TlsFiles, folder: &Path, label: &str) -> Result<TlsAcceptor, ServeError> {
    let wrong = |file: &str, reason: String| ServeError::Config {
        message: format!("source {label}: {file} cannot be used for TLS: {reason}"),
    };
    let chain = |file: &str| -> Result<Vec<CertificateDer<'static>>, ServeError> {
        let found = CertificateDer::pem_file_iter(folder.join(file)).map_err(|error| wrong(file, error.to_string()))?;
        found.collect::<Result<_, _>>().map_err(|error| wrong(file, error.to_string()))
    };
    let key =
        PrivateKeyDer::from_pem_file(folder.join(&files.key)).map_err(|error| wrong(&files.key, error.to_string()))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&files.certificate, error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in chain(file)? {
                roots.add(certificate).map_err(|error| wrong(file, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(file, error.to_string()))?)
        }
    };
    let config = builder
        .with_single_cert(chain(&files.certificate)?, key)
        .map_err(|error| wrong(&files.certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Listener {
    /// Accepts connections until the server stops; messages that were taken are answered.
    pub(crate) async fn run(self, server: Arc<Server>, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        while !*stopped.borrow() {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        let (feed, tls, stopped) = (Arc::clone(&self.feed), self.tls.clone(), stopped.clone());
                        let limit = self.limit;
                        connections.spawn(async move { converse(socket, tls, feed, limit, stopped).await });
                    }
                    Err(error) => {
                        server.workspace.events.warn(format!("mllp {}: {error}", self.feed.label()));
                        // Out of file handles, most often: some are given back in a moment.
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                _ = stopped.changed() => {}
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

async fn converse(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    feed: Arc<Feed>,
    limit: usize,
    stopped: watch::Receiver<bool>,
) {
    // An answer is one small packet that somebody waits for.
    let _ = socket.set_nodelay(true);
    match tls {
        None => {
            let (read, write) = socket.into_split();
            exchange(read, write, feed, limit, stopped).await;
        }
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                let (read, write) = tokio::io::split(stream);
                exchange(read, write, feed, limit, stopped).await;
            }
        }
    }
}

/// What one message's sender waits for.
struct Waiting {
    header: Header,
    /// Why the message cannot be read, if it cannot.
    problem: Option<Problem>,
    stored: Result<oneshot::Receiver<Result<Receipt, IntakeError>>, IntakeError>,
}

/// Reads and answers side by side: a sender may send on before it has its answers, which come in the order of the messages.
async fn exchange(
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin,
    feed: Arc<Feed>,
    limit: usize,
    stopped: watch::Receiver<bool>,
) {
    let (send, receive) = mpsc::channel(UNANSWERED);
    tokio::join!(take(read, &feed, limit, send, stopped), answer(write, receive));
}

async fn take(
    mut read: impl AsyncRead + Unpin,
    feed: &Feed,
    limit: usize,
    waiting: mpsc::Sender<Waiting>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut decoder = Decoder::new(limit);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        while let Some(frame) = decoder.next_frame() {
            // The other half ends when the sender is gone; what was stored stays stored.
            if waiting.send(store(feed, frame).await).await.is_err() {
                return;
            }
        }
        let length = tokio::select! {
            length = read.read(&mut buffer) => length.unwrap_or(0),
            _ = stopped.wait_for(|stopped| *stopped) => 0,
        };
        if length == 0 {
            break;
        }
        decoder.push(&buffer[..length]);
    }
    // What is left of a message that never ended is kept as well.
    decoder.finish();
    while let Some(frame) = decoder.next_frame() {
        if waiting.send(store(feed, frame).await).await.is_err() {
            return;
        }
    }
}

/// Hands a message in; its place in the order is taken when this returns.
async fn store(feed: &Feed, frame: Frame) -> Waiting {
    let (payload, problem) = match frame {
        Frame::Message(bytes) => (bytes, None),
        Frame::Broken { bytes, problem, .. } => (bytes, Some(problem)),
    };
    let header = hl7::header(&payload);
    let read = match problem {
        Some(problem) => Err(problem),
        None => hl7::read_row(&payload, &feed.table().format.mapping),
    };
    let (content, problem) = match read {
        Ok(row) => (Content::Message(row), None),
        Err(problem) => (Content::Rejected { reason: problem.reason.code().to_owned() }, Some(problem)),
    };
    let mut delivery = Delivery { key: key(&header, &payload), payload, content };
    loop {
        match feed.submit(delivery).await {
            Err((IntakeError::Busy { .. }, back)) => {
                delivery = back;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            Err((error, _)) => return Waiting { header, problem, stored: Err(error) },
            Ok(stored) => return Waiting { header, problem, stored: Ok(stored) },
        }
    }
}

/// Sender, control id and content: the same message sent again is known, another one under a number used before is not.
fn key(header: &Header, payload: &[u8]) -> Vec<u8> {
    if header.control_id.is_empty() {
        return Vec::new();
    }
    let sender = format!("{}\0{}\0{}\0", header.sending_application, header.sending_facility, header.control_id);
    let mut hasher = wardlake_core::RowHasher::default();
    hasher.field(Some(payload));
    [sender.as_bytes(), &hasher.finish().0.to_le_bytes()].concat()
}

async fn answer(mut write: impl AsyncWrite + Unpin, mut waiting: mpsc::Receiver<Waiting>) {
    while let Some(Waiting { header, problem, stored }) = waiting.recv().await {
        let stored = match stored {
            Ok(stored) => stored.await.unwrap_or(Err(IntakeError::Stopping)),
            Err(error) => Err(error),
        };
        let outcome = match (&stored, &problem) {
            (Err(_), _) => Outcome::Error(ErrorCode::Internal),
            (Ok(_), Some(problem)) => Outcome::Rejected(problem),
            (Ok(_), None) => Outcome::Accepted,
        };
        let answer = hl7::acknowledge(&header, outcome, chrono::Local::now().fixed_offset()).framed();
        if write.write_all(&answer).await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}
