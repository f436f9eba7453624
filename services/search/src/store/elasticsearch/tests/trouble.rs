//! What only a server can do to a store: not be there, go away, be full, be used by others and by other versions.

use std::time::Instant;

use marquee_backends::{Home, Server, install};

use super::*;
use crate::domain::Document;
use crate::store::suite::{channel, concert, ids, put};

/// Nothing in here takes longer when it works.
const PATIENCE: Duration = Duration::from_secs(60);

fn on_server() -> OnServer {
    OnServer::on(Backend::Elasticsearch)
}

fn told(error: &Error) -> String {
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    error.to_string()
}

async fn indices(on: &OnServer) -> Vec<String> {
    let inner = &on.store.inner;
    let path = format!("/{}-*/_alias", on.settings.index_prefix);
    let answer = inner.client.get(&path).await.unwrap();
    answer.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_and_hinders_no_start() {
    let settings = Settings::new("http://somebody:verysecret@127.0.0.1:9");
    let store = Elasticsearch::open(&settings).unwrap();
    let errors = [
        store.ready().await.unwrap_err(),
        store.apply(Batch::default()).await.unwrap_err(),
        Store::search(&store, &Query::default(), None, 1)
            .await
            .unwrap_err(),
        store.follow().await.unwrap_err(),
    ];
    for error in &errors {
        let told = told(error);
        assert!(
            told.contains("elasticsearch at http://127.0.0.1:9 cannot be reached"),
            "{told}"
        );
        assert!(told.contains("refused"), "{told}");
        assert!(
            !told.contains("verysecret") && !told.contains("somebody"),
            "{told}"
        );
    }
}

#[test]
fn a_request_that_is_too_large_for_the_server_says_which_setting_is_too_low() {
    let store = Elasticsearch::open(&Settings::new("http://somebody:verysecret@127.0.0.1:9")).unwrap();
    let failure = store.inner.client.failure(413, &serde_json::Value::Null);
    let told = Error::from(failure).to_string();
    assert!(
        told.contains("127.0.0.1:9 takes no request of this size")
            && told.contains("http.max_content_length"),
        "{told}"
    );
    assert!(!told.contains("verysecret"), "{told}");
}

#[test]
fn settings_are_shown_without_credentials() {
    let login = |login| Settings {
        login: Some(login),
        ..Settings::new("https://somebody:verysecret@search.example")
    };
    let password = Login::Password {
        username: "somebody".into(),
        password: "verysecret".into(),
    };
    for settings in [login(Login::ApiKey("verysecret".into())), login(password)] {
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("search.example") && !shown.contains("verysecret"),
            "{shown}"
        );
    }
}

#[test]
fn a_wrong_address_or_prefix_is_refused_without_showing_credentials() {
    for url in [
        "somebody:verysecret@host",
        "ftp://somebody:verysecret@host",
        "http://somebody:verysecret@:x",
    ] {
        let error = Elasticsearch::open(&Settings::new(url))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("URL") && !error.contains("verysecret"), "{error}");
    }
    for index_prefix in ["", "Upper", "a*", "a,b", "-a", "a/b"] {
        let settings = Settings {
            index_prefix: index_prefix.into(),
            ..Settings::new("http://127.0.0.1:9")
        };
        assert!(Elasticsearch::open(&settings).is_err(), "{index_prefix}");
    }
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn another_process_turns_to_the_new_index_and_the_old_one_is_removed() {
    let on = on_server();
    put(&on.store, [concert("old", "Jazz")]).await;
    let another = on.reopened();
    assert_eq!(ids(&another, "jazz").await, ["old"]);
    another.positions().await.unwrap();

    on.store.rebuild().await.unwrap();
    assert!(another.follow().await.unwrap().is_another);
    put(&another, [concert("new", "Jazz")]).await;
    assert!(on.store.follow().await.unwrap().is_another);
    on.store.promote().await.unwrap();
    another.promote().await.unwrap();
    assert_eq!(ids(&on.store, "jazz").await, ["new"]);
    let followed = another.follow().await.unwrap();
    assert!(!followed.is_another && !followed.is_filling, "{followed:?}");
    assert_eq!(indices(&on).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn an_index_of_an_older_version_answers_until_the_new_one_is_full() {
    let on = on_server();
    let names = &on.store.inner.indices.names;
    let (searched, prefix) = (names.searched.clone(), &on.settings.index_prefix);
    let mut older = schema::index(
        0,
        json!({ &searched: {}, format!("{prefix}-search-writer-a"): {} }),
    );
    older["mappings"]["properties"]["channel_name"] = json!({ "type": "keyword", "index": false });
    let client = &on.store.inner.client;
    let old = format!("{prefix}-search-v0-000007");
    client.put(&format!("/{old}"), older).await.unwrap();
    let document = json!({ "name": "channels/c", "kind": "channel", "title": "jazz", "words": "jazz",
        "source": Document::Channel(channel("c", "Jazz")) });
    let path = format!("/{old}/_doc/channels%2Fc?refresh=true");
    client.put(&path, document).await.unwrap();

    let followed = on.store.follow().await.unwrap();
    assert!(followed.is_another && followed.is_filling, "{followed:?}");
    put(&on.store, [concert("new", "Jazz")]).await;
    assert_eq!(ids(&on.store, "jazz ").await, ["c"]);
    on.store.promote().await.unwrap();
    assert_eq!(ids(&on.store, "jazz ").await, ["new"]);
    assert!(!on.store.follow().await.unwrap().is_filling);
    assert_eq!(indices(&on).await, [format!("{prefix}-search-v1-000008")]);
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn an_index_of_a_newer_version_is_searched_and_left_alone() {
    let on = on_server();
    let (searched, prefix) = (
        on.store.inner.indices.names.searched.clone(),
        &on.settings.index_prefix,
    );
    let newer = schema::index(
        0,
        json!({ &searched: {}, format!("{prefix}-search-writer-a"): {} }),
    );
    let path = format!("/{prefix}-search-v99-000001");
    on.store.inner.client.put(&path, newer).await.unwrap();
    let error = on.store.apply(Batch::default()).await.unwrap_err();
    assert!(told(&error).contains("newer version"), "{error}");
    assert!(ids(&on.store, "").await.is_empty());
    assert_eq!(indices(&on).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn an_index_that_somebody_deletes_is_not_made_by_the_way() {
    let on = on_server();
    let batch = Batch {
        documents: vec![concert("e1", "Jazz")],
        positions: Positions::from([(("t".to_owned(), 0), 5)]),
    };
    on.store.apply(batch.clone()).await.unwrap();
    Elasticsearch::remove(&on.settings).await.unwrap();
    // Another process makes it anew, under the same name.
    let another = on.reopened();
    assert!(another.positions().await.unwrap().is_empty());

    let error = on.store.apply(batch.clone()).await.unwrap_err();
    assert!(told(&error).contains("another search index"), "{error}");
    assert!(on.store.apply(batch.clone()).await.is_err(), "until it looks");
    assert!(ids(&on.store, "jazz").await.is_empty());
    assert!(on.store.follow().await.unwrap().is_another);
    assert!(on.store.positions().await.unwrap().is_empty());
    on.store.apply(batch).await.unwrap();
    assert_eq!(ids(&another, "jazz").await, ["e1"]);
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn a_writer_that_was_away_does_not_set_a_position_back() {
    let on = on_server();
    let at = |next| Batch {
        positions: Positions::from([(("t".to_owned(), 0), next)]),
        ..Batch::default()
    };
    on.store.apply(at(7)).await.unwrap();
    on.reopened().apply(at(3)).await.unwrap();
    assert_eq!(on.store.positions().await.unwrap(), at(7).positions);
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn a_full_disk_is_told_and_gets_over() {
    let on = on_server();
    put(&on.store, [concert("e1", "Jazz")]).await;
    let set = async |block: Value| {
        let path = format!("/{}/_settings", indices(&on).await[0]);
        let body = json!({ "index.blocks.read_only_allow_delete": block });
        on.store.inner.client.put(&path, body).await.unwrap();
    };
    // What the server does by itself when its disk is fuller than the watermark.
    set(json!(true)).await;
    let batch = Batch {
        documents: vec![concert("e2", "Jazz")],
        positions: Positions::from([(("t".to_owned(), 0), 5)]),
    };
    let error = on.store.apply(batch.clone()).await.unwrap_err();
    assert!(told(&error).contains("is its disk full?"), "{error}");
    assert_eq!(ids(&on.store, "jazz").await, ["e1"]);
    assert!(on.store.positions().await.unwrap().is_empty());
    set(Value::Null).await;
    on.store.apply(batch).await.unwrap();
    assert_eq!(ids(&on.store, "jazz").await, ["e1", "e2"]);
}

#[tokio::test]
#[ignore = "needs elasticsearch"]
async fn a_document_that_the_index_cannot_take_is_named_and_its_position_not_stored() {
    let on = on_server();
    let (searched, prefix) = (
        on.store.inner.indices.names.searched.clone(),
        &on.settings.index_prefix,
    );
    let mut narrow = schema::index(
        0,
        json!({ &searched: {}, format!("{prefix}-search-writer-a"): {} }),
    );
    narrow["mappings"]["properties"]
        .as_object_mut()
        .unwrap()
        .remove("state");
    let path = format!("/{prefix}-search-v1-000001");
    on.store.inner.client.put(&path, narrow).await.unwrap();
    let batch = Batch {
        documents: vec![Document::Channel(channel("c", "Jazz")), concert("e1", "Jazz")],
        positions: Positions::from([(("t".to_owned(), 0), 5)]),
    };
    let error = on.store.apply(batch).await.unwrap_err();
    let Error::Refused(refused) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["channels/c/events/e1"]);
    assert!(error.to_string().contains("state"), "{error}");
    assert!(on.store.positions().await.unwrap().is_empty());
}

/// A server that is back opens its indices first.
async fn apply_until_taken(store: &Elasticsearch, batch: &Batch) {
    let began = Instant::now();
    while let Err(error) = store.apply(batch.clone()).await {
        told(&error);
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn a_server_that_is_stopped_or_killed_is_used_again_when_it_is_back() {
    let home = Home::default().unwrap();
    let data = tempfile::tempdir().unwrap();
    let start = || {
        install(&home, Backend::Elasticsearch, &mut |_| {}).unwrap();
        Server::start(&home, Backend::Elasticsearch, data.path()).unwrap()
    };
    let mut server = tokio::task::block_in_place(start);
    let store = Elasticsearch::open(&Settings::new(server.address())).unwrap();
    let batch = |n: u64| Batch {
        documents: vec![concert(&format!("e{n}"), "Jazz")],
        positions: Positions::from([(("t".to_owned(), 0), n)]),
    };
    store.apply(batch(1)).await.unwrap();
    for (n, kill) in [(2, true), (3, false)] {
        tokio::task::block_in_place(|| {
            if kill {
                server.kill();
            } else {
                server.stop().unwrap();
            }
        });
        assert!(store.apply(batch(n)).await.is_err());
        assert!(told(&store.ready().await.unwrap_err()).contains("cannot be reached"));
        tokio::task::block_in_place(|| server.restart().unwrap());
        let batch = batch(n);
        apply_until_taken(&store, &batch).await;
        store.ready().await.unwrap();
        let expected: Vec<_> = (1..=n).map(|n| format!("e{n}")).collect();
        assert_eq!(ids(&store, "jazz").await, expected);
        assert_eq!(store.positions().await.unwrap(), batch.positions);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs elasticsearch"]
async fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
    let home = Home::default().unwrap();
    let data = tempfile::tempdir().unwrap();
    let start = || {
        install(&home, Backend::Elasticsearch, &mut |_| {}).unwrap();
        Server::start(&home, Backend::Elasticsearch, data.path()).unwrap()
    };
    let server = tokio::task::block_in_place(start);
    let store = Elasticsearch::open(&Settings::new(server.address())).unwrap();
    put(&store, [concert("e1", "Jazz")]).await;
    server.pause();
    let error = Store::search(&store, &Query::default(), None, 1)
        .await
        .unwrap_err();
    assert!(told(&error).contains("did not answer within 5 s"), "{error}");
    server.resume();
    assert_eq!(ids(&store, "jazz").await, ["e1"]);
}
