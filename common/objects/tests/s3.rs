//! The suite on a bucket of a real server, and what only a server does.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::time::Duration;

use bytes::Bytes;
use marquee_backends::{Backend, Home, Server, address, install};
use marquee_objects::s3::Settings;
use marquee_objects::{Error, Location, Objects};

/// `http://{key id}:{secret}@host:port/{bucket}`; each test has a prefix of its own.
fn settings(address: &str, prefix: &str) -> Settings {
    let (credentials, place) = address.strip_prefix("http://").unwrap().split_once('@').unwrap();
    let (id, secret) = credentials.split_once(':').unwrap();
    let (host, bucket) = place.split_once('/').unwrap();
    Settings {
        endpoint: Some(format!("http://{host}")),
        credentials: Some((id.to_owned(), secret.to_owned())),
        prefix: prefix.to_owned(),
        timeout: Duration::from_secs(10),
        ..Settings::new(bucket)
    }
}

async fn open(settings: Settings) -> Objects {
    Objects::open(&Location::S3(settings)).await.unwrap()
}

async fn empty() -> (Objects, ()) {
    let test = std::thread::current()
        .name()
        .unwrap_or_default()
        .replace("::", "-");
    let prefix = format!("suite/{}-{test}", std::process::id());
    (open(settings(&address(Backend::S3), &prefix)).await, ())
}

marquee_objects::suite!(empty, ignore = "needs s3");

#[tokio::test]
#[ignore = "needs s3"]
async fn wrong_credentials_are_refused() {
    let mut wrong = settings(&address(Backend::S3), "p");
    wrong.credentials = Some(("marquee".to_owned(), "guessed".to_owned()));
    let objects = open(wrong).await;
    let error = objects
        .put("a", vec![Bytes::from_static(b"x")], "text/plain")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(!error.to_string().contains("guessed"));
    assert!(matches!(objects.ready().await, Err(Error::Denied(_))));
}

#[tokio::test]
#[ignore = "needs s3"]
async fn a_server_that_went_away_is_unavailable_until_it_is_back() {
    let data = tempfile::tempdir().unwrap();
    let home = Home::default().unwrap();
    install(&home, Backend::S3, &mut |_| {}).unwrap();
    let mut server = Server::start(&home, Backend::S3, data.path()).unwrap();
    let objects = open(settings(&server.address(), "")).await;
    let content = || vec![Bytes::from_static(b"x")];
    objects.put("c/a", content(), "text/plain").await.unwrap();
    server.kill();
    let error = objects.put("c/b", content(), "text/plain").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(matches!(objects.size("c/a").await, Err(Error::Unavailable(_))));
    server.restart().unwrap();
    objects.put("c/b", content(), "text/plain").await.unwrap();
    assert_eq!(objects.delete_all("c").await.unwrap(), 2);
}
