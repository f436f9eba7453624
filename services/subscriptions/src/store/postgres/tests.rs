//! The suite on a real server, and what only several processes on one server can do to each other.

mod processes;
mod servers;

use std::sync::Arc;

use marquee_backends::Backend as Server;
use marquee_config::Secret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use super::*;
use crate::store::suite::{Backend, LOGIN_LIMIT, is_another_process, store_suite};

/// A schema of its own on the server that the environment names; it is dropped with this.
struct Database {
    server: String,
    schema: Option<String>,
    place: String,
}

/// Asks a server directly, also where nothing can be awaited.
fn ask(server: &str, statement: String) {
    let options: PgConnectOptions = server.parse().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = options.connect().await.unwrap();
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        });
    })
    .join()
    .unwrap();
}

impl Database {
    /// A schema of its own on a server.
    fn on(server: String) -> Self {
        let schema = format!("subscriptions_{}", uuid::Uuid::new_v4().simple());
        let separator = if server.contains('?') { '&' } else { '?' };
        let place = format!("{server}{separator}options[search_path]={schema}");
        ask(&server, format!("CREATE SCHEMA {schema}"));
        Self {
            server,
            schema: Some(schema),
            place,
        }
    }

    /// As another process opens it, which is not prepared yet.
    fn unprepared(&self) -> Arc<Postgres> {
        Arc::new(Postgres::new(&Settings::new(Secret::new(&self.place)), LOGIN_LIMIT).unwrap())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(schema) = &self.schema
            && !std::thread::panicking()
        {
            ask(&self.server, format!("DROP SCHEMA {schema} CASCADE"));
        }
    }
}

impl Backend for Database {
    type Store = Postgres;

    async fn new() -> Self {
        if is_another_process() {
            return Self {
                server: String::new(),
                schema: None,
                place: String::new(),
            };
        }
        Self::on(marquee_backends::address(Server::Postgres))
    }

    async fn open(&self) -> Arc<Postgres> {
        Self::open_place(&self.place).await
    }

    fn place(&self) -> String {
        self.place.clone()
    }

    async fn open_place(place: &str) -> Arc<Postgres> {
        let store = Postgres::new(&Settings::new(Secret::new(place)), LOGIN_LIMIT).unwrap();
        store.prepare().await.unwrap();
        Arc::new(store)
    }
}

store_suite!(
    #[ignore = "needs postgres"]
    Database
);
