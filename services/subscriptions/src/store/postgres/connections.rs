//! A bounded number of connections, lent one at a time.
//!
//! The rule that keeps it simple: a connection comes back only after whatever was done with it has come to a clean end.
//! One that failed, was given up after a timeout, or whose caller went away is closed, so that nobody ever waits for the
//! answer of a server that is cut off, and the server rolls back what was left open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marquee_config::Secret;
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::error::Trouble;

/// Where the server is and how much of it may be used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`, with `sslmode=verify-full&sslrootcert=...` over a network. It holds
    /// the password, so it is never shown.
    pub url: Secret,
    /// How many connections this process may hold at once; at least 1. 10.
    pub connections: usize,
}

impl Settings {
    /// A server with the default number of connections.
    pub fn new(url: Secret) -> Self {
        Self { url, connections: 10 }
    }

    /// # Errors
    /// What is wrong, without the password.
    pub(crate) fn validate(&self) -> Result<(), String> {
        if self.connections == 0 {
            return Err("postgres.connections: must be at least 1".to_owned());
        }
        self.options().map(drop)
    }

    fn options(&self) -> Result<PgConnectOptions, String> {
        let url = self.url.expose();
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err("postgres.url: must begin with postgres://".to_owned());
        }
        // The parser's error is not shown: it may quote what it could not read.
        let options: PgConnectOptions = url.parse().map_err(|_| {
            "postgres.url: must look like postgres://user:password@host:5432/database".to_owned()
        })?;
        Ok(options
            .application_name("marquee-subscriptions")
            // The server's side of our own limits: whatever hangs holds no lock for long, whoever holds it.
            .options([
                ("statement_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "10s"),
            ])
            .disable_statement_logging())
    }
}

/// How long a caller waits for a connection to become free.
const ACQUIRE: Duration = Duration::from_secs(3);
/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is asked whether it is alive before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// How long it has for the answer.
const PING: Duration = Duration::from_secs(1);
/// After this a connection is closed rather than kept, so that load follows when servers are added behind one address.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection that nobody needed for so long is closed when another one comes back.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Connections {
    options: PgConnectOptions,
    /// `host:port`, for people.
    server: String,
    places: Semaphore,
    size: usize,
    idle: Mutex<Vec<Open>>,
    /// Whether the schema is there.
    prepared: AtomicBool,
}

struct Open {
    connection: PgConnection,
    since: Instant,
    used: Instant,
}

/// A connection for as long as it is needed. Dropped, it is closed; [`Lent::give_back`] keeps it.
pub(super) struct Lent<'a> {
    open: Open,
    of: &'a Connections,
    _place: SemaphorePermit<'a>,
}

impl Connections {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        settings.validate()?;
        let options = settings.options()?;
        Ok(Self {
            server: format!("{}:{}", options.get_host(), options.get_port()),
            options,
            places: Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS)),
            size: settings.connections,
            idle: Mutex::new(Vec::new()),
            prepared: AtomicBool::new(false),
        })
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn prepared(&self) -> bool {
        self.prepared.load(Ordering::Acquire)
    }

    pub(super) fn set_prepared(&self) {
        self.prepared.store(true, Ordering::Release);
    }

    /// A connection that answers.
    pub(super) async fn acquire(&self) -> Result<Lent<'_>, Trouble> {
        let place = match timeout(ACQUIRE, self.places.acquire()).await {
            Ok(Ok(place)) => place,
            _ => {
                let text = format!("all {} connections to {} are busy", self.size, self.server);
                return Err(Trouble::unavailable(text));
            }
        };
        // Last in, first out: what is not needed stays unused, and is closed after a while.
        loop {
            let Some(mut open) = self.idle.lock().pop() else {
                break;
            };
            if open.used.elapsed() > FRESH && !alive(&mut open.connection).await {
                continue;
            }
            return Ok(Lent {
                open,
                of: self,
                _place: place,
            });
        }
        let connecting = timeout(CONNECT, PgConnection::connect_with(&self.options)).await;
        let connection = connecting
            .map_err(|_| Trouble::unavailable(format!("{} does not answer", self.server)))?
            .map_err(|error| Trouble::unconnected(&self.server, error))?;
        let now = Instant::now();
        Ok(Lent {
            open: Open {
                connection,
                since: now,
                used: now,
            },
            of: self,
            _place: place,
        })
    }

    /// Closes what is idle: after one connection was lost to a restart of the server, the others are too.
    pub(super) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }
}

impl Open {
    fn is_old(&self) -> bool {
        self.since.elapsed() > LIFETIME || self.used.elapsed() > IDLE
    }
}

async fn alive(connection: &mut PgConnection) -> bool {
    matches!(timeout(PING, connection.ping()).await, Ok(Ok(())))
}

impl Lent<'_> {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.open.connection
    }

    /// Keeps the connection for the next one: nothing is open on it.
    pub(super) fn give_back(mut self) {
        self.open.used = Instant::now();
        let old: Vec<Open> = {
            let mut idle = self.of.idle.lock();
            idle.push(self.open);
            idle.extract_if(.., |open| open.is_old()).collect()
        };
        // Closed without the lock.
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        Settings::new(Secret::new(url))
    }

    #[tokio::test]
    #[ignore = "needs postgres"]
    async fn connections_that_a_quiet_time_does_not_need_are_closed() {
        let server = marquee_backends::address(marquee_backends::Backend::Postgres);
        let connections = Connections::new(&settings(&server)).unwrap();
        let busy = futures::future::join_all((0..4).map(|_| connections.acquire())).await;
        for lent in busy {
            lent.unwrap().give_back();
        }
        assert_eq!(
            connections.idle.lock().len(),
            4,
            "they are kept for the next ones"
        );
        let quiet = async |time: Duration| {
            tokio::time::pause();
            tokio::time::advance(time).await;
            tokio::time::resume();
            connections.acquire().await.unwrap().give_back();
            connections.idle.lock().len()
        };
        assert_eq!(quiet(IDLE / 2).await, 4);
        assert_eq!(quiet(IDLE * 3 / 4).await, 1, "but the one that is used");
        assert_eq!(quiet(LIFETIME).await, 0, "that one is too old by now");
    }

    #[test]
    fn the_password_is_never_shown() {
        let settings = settings("postgres://it:hunter2@db/marquee");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_quoting_it() {
        for url in [
            "mysql://it:hunter2@db",
            "postgres://it:hunter2@db:port/x",
            "hunter2",
        ] {
            let refused = settings(url).validate().unwrap_err();
            assert!(refused.starts_with("postgres.url: "), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn no_connections_are_too_few() {
        let settings = Settings {
            connections: 0,
            ..settings("postgres://db")
        };
        assert!(settings.validate().unwrap_err().contains("connections"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_without_the_password() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let connections = Connections::new(&settings(&format!("postgres://it:hunter2@{address}/x"))).unwrap();
        let error = connections.acquire().await.err().unwrap().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("refused"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
