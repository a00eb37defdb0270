//! One HTTP connection: requests go to the router, answers come back, and a client that is too slow for either is left.

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{
    Request,
    body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::{Sleep, sleep},
};

use crate::doors::{Guest, Pulse};

/// Which way a request came; every request has it among its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    /// The client's address.
    pub(crate) peer: IpAddr,
    /// The address of this machine that it came to.
    pub(crate) reached: Option<IpAddr>,
}

/// Answers the requests of a connection until either side ends it. When the server closes, the request under way is the last.
pub(crate) async fn converse(socket: TcpStream, guest: Arc<Guest>, router: Router, mut closing: watch::Receiver<bool>) {
    // The end of an answer is one small packet that somebody waits for.
    let _ = socket.set_nodelay(true);
    let via = Via {
        peer: guest.from.ip().to_canonical(),
        reached: socket.local_addr().ok().map(|address| address.ip().to_canonical()),
    };
    let limits = guest.limits();
    let pulse = Arc::clone(&guest.pulse);
    let wire = Wire { socket, pulse: Arc::clone(&pulse), write_timeout: limits.write_timeout, stalled: None };
    let handlers = TowerToHyperService::new(router);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(via);
        let under_way = UnderWay::begin(&pulse);
        let answering = handlers.call(request);
        async move {
            let answer = answering.await?;
            Ok::<_, Infallible>(answer.map(|body| Answering { body, _under_way: under_way }))
        }
    });
    // The head's time is ours to count: hyper would count that between two requests as well.
    let connection = http1::Builder::new()
        .header_read_timeout(None::<Duration>)
        .max_header_size(limits.head_bytes)
        .serve_connection(TokioIo::new(wire), answer);
    let mut connection = pin!(connection);
    let mut overdue = pin!(guest.pulse.until_overdue(limits));
    let mut is_closing = false;
    loop {
        tokio::select! {
            // However it ended, the client knows.
            _ = connection.as_mut() => return,
            () = overdue.as_mut() => return,
            _ = closing.wait_for(|closed| *closed), if !is_closing => {}
        }
        is_closing = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// A request on its way to its answer's last byte.
struct UnderWay(Arc<Pulse>);

impl UnderWay {
    fn begin(pulse: &Arc<Pulse>) -> Self {
        pulse.asked();
        Self(Arc::clone(pulse))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// An answer's body, under way until it is dropped.
struct Answering {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket, which tells when a request begins and fails when nothing can be written for too long.
struct Wire {
    socket: TcpStream,
    pulse: Arc<Pulse>,
    write_timeout: Duration,
    /// Since the client took nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    fn in_time<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pulse.came();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, parts);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
