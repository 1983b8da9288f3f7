//! A server process: open the store, bind the socket, run until told to stop.

use crate::app::App;
use crate::fail::Fail;
use crate::functions;
use crate::functions::auth;
use crate::http::{Guard, Web, parse_origin, router};
use crate::live::{Hub, postgres};
use crate::registry::Registry;
use crate::store::users::{self, User};
use crate::store::{self, Backend, Store, Tx, retried};
use crate::{clock, reconcile, secret, sync};
use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Requests that are under way at a stop get this long to end.
const DRAIN: Duration = Duration::from_secs(3);

/// How to run a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The directory of the SQLite file and the lock; made if it is not there.
    pub data_dir: PathBuf,
    /// `postgres://...` for PostgreSQL instead of SQLite.
    pub database_url: Option<String>,
    /// The base of links for people; by default `http://` and the address that it listens on.
    pub public_url: Option<String>,
    /// Whether `X-Forwarded-For` of a proxy counts.
    pub trust_proxy: bool,
    /// Origins of other pages that may call the API from a browser, for example `https://app.example.org`.
    pub allowed_origins: Vec<String>,
    /// The name of the first user, when there is none yet.
    pub first_user: String,
}

/// A server that listens, and serves once it runs.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    allowed_origins: Vec<String>,
    /// Held for life: one server on one data directory.
    _lock: Option<std::fs::File>,
}

impl Server {
    /// Opens the store, makes the first user if there is none, and listens.
    ///
    /// # Errors
    /// When the data directory is in use or cannot be written, the database is newer than this program, or the address is
    /// taken.
    pub async fn bind(options: ServerOptions) -> anyhow::Result<Self> {
        Self::bind_with(options, functions::registry()).await
    }

    /// The same with other functions: tests bring their own.
    ///
    /// # Errors
    /// As for [`Server::bind`].
    pub async fn bind_with(options: ServerOptions, registry: Registry) -> anyhow::Result<Self> {
        let allowed_origins =
            options.allowed_origins.iter().map(|origin| parse_origin(origin)).collect::<Result<_, _>>()?;
        let replica: String = secret::new_id();
        let hub = Arc::new(Hub::new(replica.clone()));
        let (store, lock) = match &options.database_url {
            Some(url) => (Store::open_postgres(url, Arc::clone(&hub)).await?, None),
            None => {
                let lock = lock_data_dir(&options.data_dir)?;
                (Store::open_sqlite(&options.data_dir.join("chatroom.db"), Arc::clone(&hub)).await?, Some(lock))
            }
        };
        let listener = TcpListener::bind(options.listen).await.with_context(|| {
            format!(
                "cannot listen on {}: is another server running? choose another address with --listen",
                options.listen
            )
        })?;
        let address = listener.local_addr().context("cannot tell the address that was bound")?;
        let public_url = options.public_url.clone().unwrap_or_else(|| format!("http://{}", reachable(address)));
        let public_url = public_url.trim_end_matches('/').to_owned();
        let app = Arc::new(App::new(store, hub, registry, replica, public_url));
        ensure_first_user(&app, &options.first_user).await.context("cannot make the first user")?;
        sync::clock::resume(&app).await.context("cannot read the commit clock")?;
        reconcile::at_start(&app).await.context("cannot take note of the start")?;
        Ok(Self { app, listener, address, options, allowed_origins, _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How a program on this machine reaches it, for example `http://127.0.0.1:7420`.
    #[must_use]
    pub fn local_url(&self) -> String {
        format!("http://{}", reachable(self.address))
    }

    /// The server's state, for tests in this process.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Makes a one-time link that signs a browser in as the first user; earlier ones that were not used end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sign_in_link(&self) -> anyhow::Result<String> {
        let link = retried(|| async {
            let mut tx = self.app.store.write().await?;
            let admin = admin(&mut tx).await?;
            let link = auth::mint_link(&mut tx, &self.app.public_url, &admin.id, clock::now()).await?;
            tx.commit().await?;
            Ok::<_, Fail>(link)
        });
        Ok(link.await?.url)
    }

    /// Mints a CLI token for the first user.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mint_cli_token(&self, name: &str) -> anyhow::Result<String> {
        let token = retried(|| async {
            let mut tx = self.app.store.write().await?;
            let admin = admin(&mut tx).await?;
            let token = auth::mint_cli_token(&mut tx, &admin.id, name, clock::now()).await?;
            tx.commit().await?;
            Ok::<_, Fail>(token)
        });
        Ok(token.await?)
    }

    /// The first user's id and name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn first_user(&self) -> anyhow::Result<User> {
        let mut tx = self.app.store.read().await?;
        users::find_admin(&mut tx).await?.context("there is no first user")
    }

    /// Serves until shutdown; then lets requests end, closes every socket and the store.
    ///
    /// # Errors
    /// When serving fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        if let (Backend::Postgres, Some(url)) = (self.app.store.backend(), self.options.database_url.clone()) {
            tasks.spawn(postgres::run(url, Arc::clone(&self.app.hub), shutdown.clone()));
        }
        tasks.spawn(sync::clock::run(Arc::clone(&self.app), shutdown.clone()));
        tasks.spawn(reconcile::run(Arc::clone(&self.app), shutdown.clone()));
        let sockets = shutdown.child_token();
        let guard = Arc::new(Guard::new(&self.app.public_url, self.options.trust_proxy, self.allowed_origins));
        let router = router(Web { app: Arc::clone(&self.app), shutdown: sockets, guard });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tracing::info!(address = %self.address, "server listens");
        let stop = shutdown.clone();
        // Small frames go out at once: waiting for the peer's acknowledgement would add 40 ms to every answer.
        let listener = self.listener.tap_io(|connection| {
            if let Err(error) = connection.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
        });
        let serving = axum::serve(listener, service).with_graceful_shutdown(async move { stop.cancelled().await });
        let drained = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        let served = tokio::select! {
            served = serving => served.context("serving failed"),
            () = drained => Ok(()),
        };
        shutdown.cancel();
        while tasks.join_next().await.is_some() {}
        self.app.store.close().await;
        tracing::info!("server stopped");
        served
    }
}

/// An address that listens everywhere is reached on this machine by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port())),
        other => other,
    }
}

fn lock_data_dir(dir: &std::path::Path) -> anyhow::Result<std::fs::File> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the data directory {}", dir.display()))?;
    // SQLite makes its files with the mode of the main one: made first, with ours.
    let open = |name: &str| {
        let path = dir.join(name);
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    };
    let lock = open("lock")?;
    lock.try_lock().map_err(|_| {
        anyhow::anyhow!("another chatroom server uses {}; stop it first, or choose another --data-dir", dir.display())
    })?;
    open("chatroom.db")?;
    Ok(lock)
}

async fn admin(tx: &mut Tx) -> Result<User, Fail> {
    Ok(users::find_admin(tx).await?.context("there is no first user")?)
}

/// Several replicas may start on one empty database at once: one of them makes the first user.
async fn ensure_first_user(app: &App, name: &str) -> store::Result<()> {
    retried(|| async {
        let mut tx = app.store.write().await?;
        if users::find_admin(&mut tx).await?.is_some() {
            return Ok(());
        }
        let user = User { id: secret::new_id(), name: name.to_owned(), is_admin: true, signed_in_at: None };
        users::insert(&mut tx, &user, clock::now()).await?;
        tx.commit().await
    })
    .await
}
