//! The connection: a client in a thread with a runtime of its own, which no task can starve.
//!
//! Everything that talks to the server runs there, and nothing of the user's does: no task, no
//! `serde` implementation, no callback. Callers wait for it by blocking, or as a future.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::AccountErrorKind;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use tokio::runtime::{self, Runtime};

use crate::ClusterError;

/// How long one request may take before it is tried again or given up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// A server that is back is found within this time.
const RECONNECT: Duration = Duration::from_millis(250);

/// How to prove who one is, and what to trust.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) token: Option<String>,
    pub(crate) user: Option<(String, String)>,
    pub(crate) nkey: Option<String>,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) root_certificates: Option<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) require_tls: bool,
}

/// A connection. A clone is the same; the last one ends it.
#[derive(Clone)]
pub(crate) struct ServerLink(Arc<Connected>);

impl std::fmt::Debug for ServerLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

struct Connected {
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
    client: Client,
    context: Context,
}

impl ServerLink {
    pub(crate) fn new(url: &str, name: &str, access: &Access) -> Result<ServerLink, ClusterError> {
        let address: ServerAddr =
            url.parse()
                .map_err(|error: std::io::Error| ClusterError::Address {
                    why: error.to_string(),
                })?;
        let mut builder = runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("hands-cluster")
            .enable_all();
        let runtime = builder.build().map_err(|error| ClusterError::System {
            why: format!("cannot start the thread of the connection: {error}"),
        })?;
        let options = options(&address, name, access)?;
        let shown = shown(&address);
        // Spawned, and not blocked on: the caller may be in a runtime of its own.
        let (give, take) = tokio::sync::oneshot::channel();
        drop(runtime.spawn(async move {
            drop(give.send(connected(options, address, shown).await));
        }));
        let connected = wait_for(take).unwrap_or_else(|_| {
            Err(ClusterError::System {
                why: "the thread of the connection has ended".to_owned(),
            })
        });
        let (client, context) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        Ok(ServerLink(Arc::new(Connected {
            runtime: Some(runtime),
            client,
            context,
        })))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    /// Runs it on the connection's thread.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0.runtime {
            drop(runtime.spawn(future));
        }
    }

    /// Runs it on the connection's thread, and gives what came of it. `None`: the connection ended
    /// first.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::sync::oneshot::Receiver<T> {
        let (give, take) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            drop(give.send(future.await));
        });
        take
    }

    /// [`run`](Self::run), and waits for it.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        wait_for(self.run(future)).ok()
    }
}

/// A client and its context, of a server that Hands can count on.
async fn connected(
    options: ConnectOptions,
    address: ServerAddr,
    shown: String,
) -> Result<(Client, Context), ClusterError> {
    let client = tokio::time::timeout(2 * PATIENCE, options.connect(address)).await;
    let client = client.map_err(|_| ClusterError::Connect {
        url: shown.clone(),
        why: format!("no answer within {:?}", 2 * PATIENCE),
    })?;
    let client = client.map_err(|error| refused(&shown, &error))?;
    check(&client).await?;
    let mut context = jetstream::new(client.clone());
    context.set_timeout(PATIENCE);
    Ok((client, context))
}

/// Blocks the calling thread until a future is ready, in whatever runtime that thread may be.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may be on the runtime's own thread, which must not wait for itself.
            runtime.shutdown_background();
        }
    }
}

fn options(
    address: &ServerAddr,
    name: &str,
    access: &Access,
) -> Result<ConnectOptions, ClusterError> {
    let mut options = ConnectOptions::new()
        .name(name)
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .ping_interval(Duration::from_secs(2))
        .reconnect_delay_callback(|attempts| {
            RECONNECT.min(Duration::from_millis(10 * attempts as u64))
        });
    // The client ignores what the address says of this.
    let alone = address.username().filter(|_| address.password().is_none());
    let token = access.token.clone().or_else(|| alone.map(str::to_owned));
    if let Some(token) = token {
        options = options.token(token);
    } else if let Some((user, password)) = &access.user {
        options = options.user_and_password(user.clone(), password.clone());
    } else if let (Some(user), Some(password)) = (address.username(), address.password()) {
        options = options.user_and_password(user.to_owned(), password.to_owned());
    }
    if let Some(seed) = &access.nkey {
        options = options.nkey(seed.clone());
    }
    if let Some(path) = &access.credentials {
        let text = read(path, "the credentials")?;
        options = options
            .credentials(&text)
            .map_err(|error| ClusterError::System {
                why: format!("`{}` holds no credentials: {error}", path.display()),
            })?;
    }
    if let Some(path) = &access.root_certificates {
        read(path, "the certificates to trust")?;
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &access.client_certificate {
        read(certificate, "the certificate")?;
        read(key, "the certificate's key")?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options.require_tls(access.require_tls))
}

fn read(path: &Path, what: &str) -> Result<String, ClusterError> {
    std::fs::read_to_string(path).map_err(|error| ClusterError::System {
        why: format!("`{}`, {what}, cannot be read: {error}", path.display()),
    })
}

/// The address without user, password and token.
fn shown(address: &ServerAddr) -> String {
    format!(
        "{}://{}:{}",
        address.scheme(),
        address.host(),
        address.port()
    )
}

fn refused(url: &str, error: &async_nats::ConnectError) -> ClusterError {
    let (url, why) = (url.to_owned(), error.to_string());
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ClusterError::Refused { url, why }
        }
        _ => ClusterError::Connect { url, why },
    }
}

/// Whether the server is one that Hands can count on.
async fn check(client: &Client) -> Result<(), ClusterError> {
    let version = client.server_info().version;
    if !client.is_server_compatible(2, 11, 0) {
        return Err(ClusterError::TooOld { version });
    }
    let mut context = jetstream::new(client.clone());
    context.set_timeout(Duration::from_secs(1));
    // Servers that have just been started, several of them, agree on a leader first.
    for _ in 0..15 {
        let error = match context.query_account().await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if error.kind() != AccountErrorKind::TimedOut {
            let why = error.to_string();
            return Err(ClusterError::NoJetStream { why });
        }
    }
    // Who may not ask gets no answer, and may still do all else.
    Ok(())
}
