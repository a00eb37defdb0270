//! The MLLP listeners: HL7 v2 messages in, acknowledgements out, in order. A message is acknowledged when it is on disk; one that
//! cannot be read is kept as it came, and its sender is told why.

use std::{future::pending, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
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
    source::{Messages, TlsFiles},
};
use wardlake_load::{Content, Delivery, Feed, IntakeError, Origin, Receipt};

use crate::{
    ServeError, Server, announce, bind,
    doors::{self, Guest},
    limits::Coming,
};

/// Messages of one connection that may wait for their answers; a sender that does not wait is read no further.
pub const UNANSWERED: usize = 64;
const READ_BYTES: usize = 64 << 10;
/// Between two tries while too much waits to be loaded: the sender waits for its answer, which holds it back.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// It is held back for so long, and then told to send again: most senders wait little longer before they take the line for dead.
pub const BUSY_LONGEST: Duration = Duration::from_secs(10);

/// A listener that is bound and not yet accepting.
pub(crate) struct Listener {
    feed: Arc<Feed>,
    limit: usize,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// What all connections of a listener share.
struct Line {
    server: Arc<Server>,
    /// `mllp <source>.<table>`, for people.
    name: String,
    feed: Arc<Feed>,
    /// Bytes of a message.
    limit: usize,
    tls: Option<TlsAcceptor>,
}

/// Binds a listener for every table that takes messages and that an address is known for, and tells where.
pub(crate) fn bind_all(server: &Server, given: Option<SocketAddr>) -> Result<Vec<Listener>, ServeError> {
    let feeds: Vec<(&Arc<Feed>, Messages<'_>)> = server.sources.for_messages().collect();
    if given.is_some() && feeds.len() != 1 {
        return Err(match feeds.len() {
            0 => ServeError::NoMessageTable,
            count => ServeError::SeveralMessageTables { count },
        });
    }
    let mut listeners = Vec::new();
    for (feed, settings) in feeds {
        let address = match (given, settings.listen) {
            (Some(address), _) => address,
            (None, Some(text)) => text
                .parse()
                .map_err(|_| ServeError::ListenAddress { table: feed.label().to_owned(), text: text.to_string() })?,
            (None, None) => continue,
        };
        let tls = match settings.tls {
            Some(files) => Some(acceptor(files, &server.project_dir, feed.label())?),
            None => None,
        };
        let listener = bind(address, "mllp")?;
        announce(&server.workspace, "mllp", Some(feed.label()), &listener)?;
        let limit = usize::try_from(settings.max_bytes).unwrap_or(usize::MAX);
        listeners.push(Listener { feed: Arc::clone(feed), limit, listener, tls });
    }
    Ok(listeners)
}

fn acceptor(files: &TlsFiles, folder: &Path, label: &str) -> Result<TlsAcceptor, ServeError> {
    let wrong = |file: &str, reason: String| ServeError::Tls { table: label.to_owned(), file: file.to_owned(), reason };
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
    /// Accepts connections until the doors are closed; messages that were taken are answered.
    pub(crate) async fn run(self, server: Arc<Server>, closing: watch::Receiver<bool>) {
        let Self { feed, limit, listener, tls } = self;
        let name = format!("mllp {}", feed.label());
        let line = Arc::new(Line { server: Arc::clone(&server), name: name.clone(), feed, limit, tls });
        let told = closing.clone();
        let converse =
            move |socket: TcpStream, guest: Arc<Guest>| converse(socket, guest, Arc::clone(&line), told.clone());
        doors::accept(&server, &name, listener, closing, converse).await;
    }
}

impl Line {
    /// Warns of what a sender did.
    fn warn(&self, kind: &'static str, guest: &Guest, what: &str) {
        let text = format!("{}: {} {what}", self.name, guest.from);
        self.server.doors.warn(&self.server.workspace.events, kind, guest.from, text);
    }
}

async fn converse(socket: TcpStream, guest: Arc<Guest>, line: Arc<Line>, closing: watch::Receiver<bool>) {
    // An answer is one small packet that somebody waits for.
    let _ = socket.set_nodelay(true);
    let Some(tls) = &line.tls else {
        let (read, write) = socket.into_split();
        return exchange(read, write, &guest, &line, closing).await;
    };
    let head_timeout = guest.limits().head_timeout;
    match timeout(head_timeout, tls.accept(socket)).await {
        Ok(Ok(stream)) => {
            let (read, write) = tokio::io::split(stream);
            exchange(read, write, &guest, &line, closing).await;
        }
        Ok(Err(error)) => line.warn("tls", &guest, &format!("was refused: its TLS handshake failed: {error}")),
        Err(_) => {
            let seconds = head_timeout.as_secs();
            line.warn("tls", &guest, &format!("was refused: its TLS handshake was not done after {seconds} s"));
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
    guest: &Guest,
    line: &Line,
    closing: watch::Receiver<bool>,
) {
    let (send, receive) = mpsc::channel(UNANSWERED);
    tokio::join!(take(read, guest, line, send, closing), answer(write, guest, line, receive));
}

/// Takes messages until the sender or the server ends it. A sender may be quiet between messages as long as it likes, not within one.
async fn take(
    mut read: impl AsyncRead + Unpin,
    guest: &Guest,
    line: &Line,
    waiting: mpsc::Sender<Waiting>,
    mut closing: watch::Receiver<bool>,
) {
    let limits = guest.limits();
    let mut decoder = Decoder::new(line.limit);
    let mut buffer = vec![0; READ_BYTES];
    let mut claim = line.server.doors.claim(guest.from.ip().to_canonical());
    // The frame that is not complete yet.
    let mut coming: Option<Coming> = None;
    loop {
        let is_closing = *closing.borrow();
        if is_closing && coming.is_none() {
            return;
        }
        let length = tokio::select! {
            length = read.read(&mut buffer) => length.unwrap_or(0),
            () = until(coming.map(|coming| coming.due(limits))) => {
                line.warn("slow", guest, "began a message and did not go on; its connection is closed");
                0
            }
            // The other half ends when the sender is gone; what was stored stays stored.
            () = waiting.closed() => return,
            changed = closing.changed(), if !is_closing => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if length == 0 {
            break;
        }
        guest.pulse.touch();
        if let Err(full) = claim.grow(length) {
            // Nothing of it was acknowledged: the sender has it still.
            let what = format!("began a message that there is no room for; its connection is closed: {full}");
            return line.warn("room", guest, &what);
        }
        decoder.push(&buffer[..length]);
        let mut is_new = coming.is_none();
        while let Some(frame) = decoder.next_frame() {
            is_new = true;
            if !hand_on(frame, guest, line, &waiting, &closing).await {
                return;
            }
        }
        claim.shrink_to(decoder.held_bytes());
        let is_unfinished = decoder.is_waiting() || decoder.held_bytes() > 0;
        if !is_unfinished {
            coming = None;
        } else if is_new {
            coming = Some(Coming::begin(length));
        } else if let Some(coming) = &mut coming {
            coming.came(length);
        }
    }
    // What is left of a message that never ended is kept as well.
    decoder.finish();
    while let Some(frame) = decoder.next_frame() {
        if !hand_on(frame, guest, line, &waiting, &closing).await {
            return;
        }
    }
}

/// Waits for that moment; for ever, if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Stores a message and puts it in the line for its answer; false if nobody answers any more.
async fn hand_on(
    frame: Frame,
    guest: &Guest,
    line: &Line,
    waiting: &mpsc::Sender<Waiting>,
    closing: &watch::Receiver<bool>,
) -> bool {
    guest.pulse.asked();
    waiting.send(store(&line.feed, frame, guest.from, closing).await).await.is_ok()
}

/// Hands a message in; its place in the order is taken when this returns.
async fn store(feed: &Feed, frame: Frame, from: SocketAddr, closing: &watch::Receiver<bool>) -> Waiting {
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
    // What is kept is what the sender is told once it is: any other answer means that nothing was.
    let outcome = problem.as_ref().map_or(Outcome::Accepted, Outcome::Rejected);
    let peer = SocketAddr::new(from.ip().to_canonical(), from.port()).to_string();
    let origin = Origin { peer, answer: hl7::codes(&header, outcome).to_string() };
    let mut delivery = Delivery { key: key(&header, &payload), payload, content, origin };
    let held_back_to = Instant::now() + BUSY_LONGEST;
    loop {
        let (error, back) = match feed.submit(delivery).await {
            Ok(stored) => return Waiting { header, problem, stored: Ok(stored) },
            Err(refused) => refused,
        };
        let may_wait = Instant::now() < held_back_to && !*closing.borrow();
        if !may_wait || !matches!(error, IntakeError::Busy { .. }) {
            return Waiting { header, problem, stored: Err(error) };
        }
        delivery = back;
        tokio::time::sleep(BUSY_PAUSE).await;
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

async fn answer(mut write: impl AsyncWrite + Unpin, guest: &Guest, line: &Line, mut waiting: mpsc::Receiver<Waiting>) {
    let write_timeout = guest.limits().write_timeout;
    while let Some(Waiting { header, problem, stored }) = waiting.recv().await {
        let stored = match stored {
            Ok(stored) => stored.await.unwrap_or(Err(IntakeError::Stopping)),
            Err(error) => Err(error),
        };
        if let Err(error) = &stored {
            line.server.readiness.note_refusal(line.feed.label(), error);
        }
        let outcome = match (&stored, &problem) {
            // Nobody waits for a word on it, stored or not.
            (_, Some(problem)) if !problem.is_awaited => Outcome::Rejected(problem),
            (Err(_), _) => Outcome::Error(ErrorCode::Internal),
            (Ok(_), Some(problem)) => Outcome::Rejected(problem),
            (Ok(_), None) => Outcome::Accepted,
        };
        let answer = hl7::acknowledge(&header, outcome, chrono::Local::now().fixed_offset()).framed();
        let written = async {
            write.write_all(&answer).await?;
            write.flush().await
        };
        match timeout(write_timeout, written).await {
            Ok(Ok(())) => guest.pulse.answered(),
            Ok(Err(_)) => return,
            Err(_) => {
                let seconds = write_timeout.as_secs();
                let what = format!("took no answer for {seconds} s; its connection is closed");
                return line.warn("deaf", guest, &what);
            }
        }
    }
    let _ = timeout(write_timeout, write.shutdown()).await;
}
