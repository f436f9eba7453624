//! The service on PostgreSQL: all the tests once more, and what only a store on a server can do to it.

use std::process::Command;
use std::time::Duration;

use marquee_backends::{Backend, Home, Server, install};
use marquee_config::Secret;
use marquee_proto::subscriptions::v1::{GetKeySetRequest, ListPlansRequest};
use marquee_subscriptions::{Location, Settings};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use tonic::Code;

use crate::fixture::{Fixture, PASSWORD, refused, until};

/// In the environment of the run on PostgreSQL.
const WANTED: &str = "MARQUEE_TEST_SERVICE_ON_POSTGRES";

/// True when fixtures keep their data on the server.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(WANTED).is_some()
}

/// A schema of its own on the server; it is dropped with this.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    pub(crate) fn new() -> Self {
        let server = marquee_backends::address(Backend::Postgres);
        let name = format!("service_{}", uuid::Uuid::new_v4().simple());
        ask(&server, format!("CREATE SCHEMA {name}"));
        Self { server, name }
    }

    pub(crate) fn settings(&self) -> Settings {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        let url = format!("{}{separator}options[search_path]={}", self.server, self.name);
        Settings {
            connections: 4,
            ..Settings::new(Secret::new(url))
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        ask(&self.server, format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

/// Asks the server where nothing can be awaited.
fn ask(server: &str, statement: String) {
    let options: PgConnectOptions = server.parse().unwrap();
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = options.connect().await.unwrap();
            connection.execute(AssertSqlSafe(statement)).await.unwrap();
        });
    });
    asking.join().unwrap();
}

/// Runs this binary once more, with the same tests on the real store.
#[test]
#[ignore = "needs postgres"]
fn every_test_of_the_service_passes_on_postgres() {
    // Here it is said once what is missing, rather than by every test of the run.
    drop(marquee_backends::address(Backend::Postgres));
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads=4", "--skip", "postgres::"])
        .env(WANTED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(
        said.contains(" passed; 0 failed; 0 ignored;"),
        "some were left out"
    );
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_service_whose_store_is_down_lives_says_so_and_goes_on_by_itself() {
    let (server, _data) = tokio::task::spawn_blocking(|| {
        let home = Home::default().unwrap();
        install(&home, Backend::Postgres, &mut |line| println!("{line}")).unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut server = Server::start(&home, Backend::Postgres, data.path()).unwrap();
        server.stop().unwrap();
        (server, data)
    })
    .await
    .unwrap();
    let url = server.address();
    let fixture = Fixture::with(move |config| {
        config.store = Location::Postgres(Settings::new(Secret::new(url.clone())));
    })
    .await;

    assert_eq!(get(&fixture, "/healthz").await.0, 200);
    let (status, said) = get(&fixture, "/readyz").await;
    assert_eq!(status, 503);
    assert!(said.contains("subscriptions/postgres"), "{said}");
    assert!(said.contains("cannot connect to 127.0.0.1:"), "{said}");
    let plans = fixture.plans().list_plans(ListPlansRequest::default()).await;
    assert_eq!(
        refused(plans),
        (Code::Unavailable, "STORE_UNAVAILABLE".to_owned())
    );
    let keys = fixture.sessions().get_key_set(GetKeySetRequest {}).await;
    assert_eq!(refused(keys).0, Code::Unavailable);
    let login = fixture.login("ada@example.org", PASSWORD).await;
    assert_eq!(refused(login.map(drop)).0, Code::Unavailable);

    let mut server = restarted(server).await;
    until("readiness", async || get(&fixture, "/readyz").await.0 == 200).await;
    let ada = fixture.person("ada").await;

    // And in the middle of its life.
    server = tokio::task::spawn_blocking(move || {
        server.kill();
        server
    })
    .await
    .unwrap();
    assert_eq!(get(&fixture, "/readyz").await.0, 503);
    assert_eq!(
        refused(fixture.refresh(&ada.refresh_token).await).0,
        Code::Unavailable
    );
    let _server = restarted(server).await;
    until("readiness", async || get(&fixture, "/readyz").await.0 == 200).await;
    fixture.refresh(&ada.refresh_token).await.unwrap();
}

async fn restarted(mut server: Server) -> Server {
    tokio::task::spawn_blocking(move || {
        server.restart().unwrap();
        server
    })
    .await
    .unwrap()
}

/// Status and body.
async fn get(fixture: &Fixture, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let asking = async {
        let mut stream = tokio::net::TcpStream::connect(fixture.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), asking)
        .await
        .unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}
